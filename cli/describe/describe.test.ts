import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Namespace, Pod, Service } from '../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { describePod, describeService } from './facts.ts';

const object = (
  kind: string,
  name: string,
  spec: object,
  more: { readonly labels?: object; readonly annotations?: object } = {},
  status: object = {},
) =>
  ({
    apiVersion: 'v1',
    kind,
    metadata: { name, namespace: 'shop', uid: name, resourceVersion: '1', ...more },
    spec,
    status,
  }) as unknown as KubeObject;
const pod = object(
  'Pod',
  'web-1',
  { containers: [{ name: 'nginx', ports: [{ containerPort: 8080 }] }], nodeName: 'n' },
  { labels: { app: 'web', version: 'v1' } },
) as Pod;
const service = object('Service', 'web', {
  selector: { app: 'web' },
  ports: [{ name: 'http', port: 80, targetPort: 8080 }, { port: 9 }],
}) as Service;
const refs = [{ kind: 'Service', group: '', name: 'web' }];
const objects = [
  pod,
  service,
  object('DestinationRule', 'web', {
    host: 'web',
    subsets: [
      { name: 'v1', labels: { version: 'v1' } },
      { name: 'v9', labels: { version: 'v9' } },
    ],
  }),
  object('DestinationRule', 'other', { host: 'other' }),
  object('VirtualService', 'vs', { hosts: ['web.shop.svc.cluster.local'] }),
  object(
    'HTTPRoute',
    'route',
    { parentRefs: refs },
    {},
    { parents: [{ conditions: [{ type: 'Accepted', status: 'False', message: 'no such backend' }] }] },
  ),
  object('AuthorizationPolicy', 'l7', { targetRefs: refs, action: 'DENY', rules: [{}] }),
  object('AuthorizationPolicy', 'l4', { selector: { matchLabels: { app: 'web' } }, rules: [{}, {}] }),
  object('AuthorizationPolicy', 'not', { selector: { matchLabels: { app: 'other' } } }),
  object('PeerAuthentication', 'strict', { mtls: { mode: 'STRICT' } }),
];
const namespace = {
  metadata: { labels: { 'istio.io/use-waypoint': 'waypoint', 'istio.io/dataplane-mode': 'ambient' } },
} as unknown as Namespace;
const world = { objects, namespaces: new Map([['shop', namespace]]), rootNamespace: 'istio-system' };

test('a service: ports, waypoint, rules with empty subsets, routes with what is wrong, policies', () => {
  assert.deepEqual(describeService(world, service), [
    'Service: web.shop',
    '   Port: http 80/HTTP targets pod port 8080',
    '   Port:  9/auto-detect, TCP targets pod port 9',
    '   Waypoint: waypoint.shop (label of namespace shop)',
    'DestinationRule: web.shop for "web"',
    '   Subset v1: 1 pods',
    '   WARNING: Subset v9: 0 pods',
    'VirtualService: vs.shop',
    'HTTPRoute: route.shop',
    '   WARNING: Accepted: no such backend',
    'AuthorizationPolicy: l7.shop, DENY, 1 rules',
  ]);
});

test('a pod: whether it is in the mesh, its services, its policies', () => {
  const lines = describePod(world, pod, false);
  assert.match(lines[2] ?? '', /WARNING: asks for the mesh and is not captured yet/);
  assert.ok(lines.includes('Service: web.shop'));
  assert.deepEqual(lines.slice(-2), [
    'PeerAuthentication: strict.shop, mtls STRICT',
    'AuthorizationPolicy: l4.shop, ALLOW, 2 rules',
  ]);
  const outside = { ...world, namespaces: new Map() };
  assert.match(describePod(outside, pod, false)[2] ?? '', /WARNING: not in the mesh: .*kubectl label namespace shop/);
  assert.doesNotMatch(describePod(outside, pod, true).join('\n'), /WARNING: not in the mesh/);
});
