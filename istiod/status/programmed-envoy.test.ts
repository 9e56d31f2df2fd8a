/** The condition `Programmed` of what waypoints are told, from a real istiod. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition } from '../../common/kube/kinds/core.ts';
import { httpRouteKind } from '../../common/kube/kinds/gateway-api/http-route.ts';
import { destinationRuleKind } from '../../common/kube/kinds/istio/destination-rule.ts';
import { virtualServiceKind } from '../../common/kube/kinds/istio/virtual-service.ts';
import { authorizationPolicyKind } from '../../common/kube/kinds/security.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import { until } from '../../common/testing/until.ts';
import { clusterTypeUrl } from '../envoy/types.ts';
import { EnvoyClient } from '../testing/envoy-bed.ts';
import { type World, withWorld } from '../testing/world.ts';
import { programmed } from './programmed.ts';

const mesh = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {istio.io/use-waypoint: waypoint}}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec: {targetRefs: [{kind: Service, group: "", name: web}], rules: [{}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: shop}
spec: {hosts: [web], http: [{directResponse: {status: 418}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: h, namespace: shop}
spec: {parentRefs: [{group: '', kind: Service, name: web}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`;
const rule = (most: number) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d, namespace: shop}
spec: {host: web, trafficPolicy: {connectionPool: {tcp: {maxConnections: ${most}}}}}
`;

async function says(w: World, kind: Kind<KubeObject>, name: string, message: RegExp): Promise<Condition> {
  return until(`${kind.kind} ${name}: ${message}`, async () => {
    const found = await w.source.get(kind, { namespace: 'shop', name });
    interface Conditions {
      readonly conditions?: readonly Condition[];
    }
    const status = found?.['status'] as (Conditions & { readonly parents?: readonly Conditions[] }) | undefined;
    const condition = [status, ...(status?.parents ?? [])]
      .flatMap((s) => s?.conditions ?? [])
      .find((c) => c.type === programmed);
    return condition !== undefined && message.test(condition.message ?? '') ? condition : undefined;
  });
}

test('rules, routes and policies of a waypoint: who confirmed, and why one refused', () =>
  withWorld(async (w) => {
    await w.put('mesh.yaml', `${mesh}---${rule(10)}`);
    using client = await new EnvoyClient(w.istiod.ports.grpc!).settled();
    const kinds = [
      [destinationRuleKind, 'd'],
      [virtualServiceKind, 'v'],
      [httpRouteKind, 'h'],
      [authorizationPolicyKind, 'p'],
    ] as unknown as readonly (readonly [Kind<KubeObject>, string])[];
    for (const [kind, name] of kinds) assert.equal((await says(w, kind, name, /^1\/1 proxies$/)).status, 'True');
    const web = 'inbound-vip|80|http|web.shop.svc.cluster.local';
    client.refuse = ({ typeUrl }) =>
      typeUrl === clusterTypeUrl ? `Error adding/updating cluster(s) ${web}: too many` : undefined;
    await w.put('rule.yaml', rule(11));
    const refused = await says(w, destinationRuleKind as unknown as Kind<KubeObject>, 'd', /refused/);
    assert.deepEqual([refused.status, refused.reason], ['False', 'Rejected']);
    assert.equal(refused.message, '0/1 proxies; waypoint-0.shop refused it: too many');
    client.refuse = () => undefined;
    await w.put('rule.yaml', rule(12));
    await says(w, destinationRuleKind as unknown as Kind<KubeObject>, 'd', /^1\/1 proxies$/);
  }));
