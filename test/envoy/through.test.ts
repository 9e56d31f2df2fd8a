/** Requests through a stock Envoy that istiod configured: to the service, by its routes, past its policies. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { envoyTypes } from '../../istiod/envoy/types.ts';
import { startEnvoyBed } from '../../istiod/testing/envoy-bed.ts';
import { waypointYaml } from '../../istiod/testing/manifests.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { followBed, verdicts } from './accepts.ts';
import { type Asked, Caller } from './pair/caller.ts';

const skip = skipWithoutEnvoy();

const mesh = (port: number) => `${waypointYaml()}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, labels: {istio.io/use-waypoint: waypoint}}
spec:
  hosts: [web.example.com]
  addresses: [240.1.2.3]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: ${port}}, {number: 90, name: any, protocol: UNKNOWN, targetPort: ${port}}]
  endpoints: [{address: 127.0.0.1, labels: {version: v1}}]
`;
const policy = (name: string, spec: string) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}}
spec: {targetRefs: [{group: networking.istio.io, kind: ServiceEntry, name: web}], ${spec}}
`;

test('through a stock Envoy: routes, and who may call', { skip }, async () => {
  const backend = createServer((q, s) => s.end(JSON.stringify({ url: q.url, headers: q.headers })));
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  using bed = await startEnvoyBed(mesh((backend.address() as AddressInfo).port));
  await using follower = await followBed(bed);
  try {
    assert.deepEqual(await verdicts(bed, envoyTypes), []);
    const port = await follower.port();
    using client = new Caller(port, await follower.issue('client'));
    using other = new Caller(port, await follower.issue('other'));
    const ask = (as = client, more: Partial<Asked> = {}, to = '240.1.2.3:80') =>
      as.ask(to, { host: 'web.shop', path: '/', ...more });
    const plain = await ask();
    assert.equal(plain.status, 200, plain.body);
    assert.equal((await ask(client, {}, '240.1.2.3:90')).status, 200);
    const becomes = async (status: number, as = client, more = {}) =>
      until(`status ${status}`, async () => (await ask(as, more)).status === status);

    bed.apply(
      policy(
        'p',
        'rules: [{from: [{source: {principals: ["cluster.local/ns/shop/sa/client"], ipBlocks: ["127.0.0.0/8"]}}]}]',
      ),
    );
    await becomes(403, other);
    assert.equal((await ask(client)).status, 200);
    // What the client says of its address does not count.
    bed.apply(policy('p', 'rules: [{from: [{source: {ipBlocks: ["10.1.1.1"]}}]}]'));
    await becomes(403);
    assert.equal((await ask(client, { headers: { 'x-forwarded-for': '10.1.1.1' } })).status, 403);
    bed.apply(policy('p', 'action: DENY, rules: [{to: [{operation: {paths: ["/admin*"], hosts: ["a.com"]}}]}]'));
    await becomes(200);
    for (const host of ['a.com', 'A.com', 'a.com:80', 'a.com.', 'a.com.:80'])
      assert.equal((await ask(client, { path: '/x/../admin/%41', host })).status, 403, host);
    assert.equal((await ask(client, { path: '/admin', host: 'b.com' })).status, 200);
    bed.remove('AuthorizationPolicy', 'shop/p');

    bed.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web.example.com]
  http:
  - match: [{uri: {prefix: /old}}]
    rewrite: {uri: /new}
    route: [{destination: {host: web.example.com, subset: v1}, headers: {request: {set: {x-by: route}}}}]
  - match: [{uri: {prefix: /none}}]
    route: [{destination: {host: web.example.com, subset: v2}}]
  - directResponse: {status: 418}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web.example.com, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
`);
    await becomes(418, client, { path: '/' });
    const { body } = await ask(client, { path: '/old/a' });
    const seen = JSON.parse(body) as { readonly url: string; readonly headers: Record<string, string> };
    assert.equal(seen.url, '/new/a');
    assert.equal(seen.headers['x-by'], 'route');
    assert.equal((await ask(client, { path: '/none' })).status, 503);
  } finally {
    backend.close();
  }
});
