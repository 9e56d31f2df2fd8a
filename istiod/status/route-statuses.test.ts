/** The status of routes, from a real istiod: as things come and go that they refer to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition } from '../../common/kube/kinds/core.ts';
import { xBackendTrafficPolicyKind } from '../../common/kube/kinds/gateway-api/experimental.ts';
import { httpRouteKind } from '../../common/kube/kinds/gateway-api/http-route.ts';
import { virtualServiceKind } from '../../common/kube/kinds/istio/virtual-service.ts';
import { until } from '../../common/testing/until.ts';
import { type World, withWorld } from '../testing/world.ts';
import { parentsFor, parentsWith } from './route-parents.ts';

const namespace = `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
`;
const service = (name: string) => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }] }
---`;
const routes = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r, namespace: shop }
spec: { parentRefs: [{ group: '', kind: Service, name: web }], rules: [{ backendRefs: [{ name: v2, port: 80 }] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: vs, namespace: shop }
spec: { hosts: [web], http: [{ route: [{ destination: { host: v2 } }] }] }
`;

interface Parent {
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}
const named = (conditions: readonly Condition[] = []) =>
  Object.fromEntries(conditions.map((c) => [c.type, `${c.status} ${c.reason} ${c.observedGeneration}`]));

async function ofRoute(w: World): Promise<Readonly<Record<string, string>>> {
  const found = await w.source.get(httpRouteKind, { namespace: 'shop', name: 'r' });
  const { parents = [] } = (found?.status ?? {}) as { readonly parents?: readonly Parent[] };
  assert.ok(parents.length <= 1);
  return named(parents[0]?.conditions);
}
async function ofService(w: World): Promise<Readonly<Record<string, string>>> {
  return named((await w.source.get(virtualServiceKind, { namespace: 'shop', name: 'vs' }))?.status?.conditions);
}

test('routes say whether parents and backends are there, as these come and go', async () => {
  await withWorld(async (w) => {
    const both = async (what: string, accepted: RegExp, resolved: RegExp, ofHost = resolved) =>
      until(what, async () => {
        const [route, vs] = [await ofRoute(w), await ofService(w)];
        return (
          accepted.test(route['Accepted'] ?? '') &&
          resolved.test(route['ResolvedRefs'] ?? '') &&
          ofHost.test(vs['ResolvedRefs'] ?? '')
        );
      });
    await w.put('routes.yaml', `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---${routes}`);
    await both('nothing is there', /^False NoMatchingParent 1/, /^False BackendNotFound 1/, /^True/);
    await w.put('web.yaml', service('web'));
    await both('the parent is there', /^True Accepted 1/, /^False BackendNotFound 1/);
    await w.put('v2.yaml', service('v2'));
    await both('all is there', /^True Accepted 1/, /^True ResolvedRefs 1/);
    assert.match((await ofRoute(w))['ResolvedWaypoints'] ?? '', /^False MissingUseWaypointLabel/);
    await w.remove('v2.yaml');
    await both('the backend is gone', /^True Accepted 1/, /^False BackendNotFound 1/);
  });
});

test('an XBackendTrafficPolicy says whether its services are there, and that sessions are kept by routes alone', async () => {
  const policy = (spec: string) => `
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: { name: p, namespace: shop }
spec: { targetRefs: [{ group: '', kind: Service, name: web }], ${spec} }
`;
  await withWorld(async (w) => {
    const says = (what: string, type: string, expected: RegExp) =>
      until(what, async () => {
        const found = await w.source.get(xBackendTrafficPolicyKind, { namespace: 'shop', name: 'p' });
        const [one] = found?.status?.ancestors ?? [];
        return expected.test(named(one?.conditions as readonly Condition[] | undefined)[type] ?? 'none');
      });
    await w.put('policy.yaml', `${namespace}---${policy('retryConstraint: {}')}`);
    await says('nothing is there', 'Accepted', /^False TargetNotFound 1/);
    await w.put('web.yaml', service('web'));
    await says('the service is there', 'Accepted', /^True Accepted 1/);
    await says('all of it counts', 'aquifer.dev/Ineffective', /^none$/);
    const session = (more: string) => policy(`sessionPersistence: { type: Header, header: { name: x-s }${more} }`);
    await w.put('policy.yaml', `${namespace}---${session(', absoluteTimeout: 1h')}`);
    await says('a time that does not end it', 'aquifer.dev/Ineffective', /^True Ineffective 2/);
    await w.put('policy.yaml', `${namespace}---${session('')}`);
    await says('sessions count', 'aquifer.dev/Ineffective', /^none$/);
  });
});

test('entries of other controllers stay, and a fault of the object is said to each parent', () => {
  const other = { parentRef: { name: 'edge' }, controllerName: 'example.com/x', conditions: [] };
  const object = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'r', uid: 'r', resourceVersion: '1', generation: 3 },
    status: { parents: [other] },
  };
  const parentRef = { group: '', kind: 'Service', name: 'web' };
  const accepted = { status: 'True', reason: 'Accepted', message: 'm' } as const;
  const wanted = [{ parentRef, conditions: new Map([['Accepted', accepted]]) }];
  const now = '2026-01-01T00:00:00.000Z';
  const made = parentsFor(object, wanted, undefined, now);
  const condition = { type: 'Accepted', ...accepted, observedGeneration: 3, lastTransitionTime: now };
  assert.deepEqual(made, [
    other,
    { parentRef, controllerName: 'istio.io/gateway-controller', conditions: [condition] },
  ]);
  const settled = { ...object, status: { parents: made! } };
  assert.equal(parentsFor(settled, wanted, undefined, 'later'), undefined);
  const fault = { status: 'False', reason: 'Invalid', message: 'f' } as const;
  const [, ours] = parentsFor(settled, wanted, fault, 'later') as readonly Parent[];
  assert.deepEqual(named(ours!.conditions), { Accepted: 'False Invalid 3' });
  assert.deepEqual(parentsFor(settled, [], undefined, 'later'), [other]);
});

test('a condition of all parents goes to those in the mesh, once each has its entry', () => {
  const [web, api] = ['web', 'api'].map((name) => ({ group: '', kind: 'Service', name }));
  const ours = (parentRef: object, ...conditions: object[]) => ({
    parentRef,
    controllerName: 'istio.io/gateway-controller',
    conditions,
  });
  const routeOf = (...parents: object[]) => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'r', uid: 'r', resourceVersion: '1', generation: 3 },
    spec: { parentRefs: [web, { name: 'edge' }, api] },
    status: { parents },
  });
  const now = '2026-01-01T00:00:00.000Z';
  const wanted = { status: 'True', reason: 'Programmed', message: '1/1 proxies' } as const;
  const put = (...parents: object[]) => parentsWith(routeOf(...parents), 'Programmed', wanted, now);
  assert.equal(put(ours(web!)), 'unready');
  const accepted = { type: 'Accepted', status: 'True' };
  const made = { type: 'Programmed', ...wanted, observedGeneration: 3, lastTransitionTime: now };
  const edge = ours({ name: 'edge' });
  const next = [ours(web!, accepted, made), edge, ours(api!, made)];
  assert.deepEqual(put(ours(web!, accepted), edge, ours(api!)), next);
  assert.equal(put(...next), 'unchanged');
});
