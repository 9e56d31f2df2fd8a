/** What a waypoint knows of its callers: connections are routed by their namespace, and requests say who made them. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { envoyTypes } from '../../istiod/envoy/types.ts';
import { startEnvoyBed } from '../../istiod/testing/envoy-bed.ts';
import { waypointYaml } from '../../istiod/testing/manifests.ts';
import { verdicts } from './accepts.ts';
import { engines } from './followers.ts';
import { Caller } from './pair/caller.ts';

const entry = (name: string, ip: number, port: number, namespace = 'shop') => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ${namespace}, labels: {istio.io/use-waypoint: waypoint}}
spec:
  hosts: [${name}.example.com]
  addresses: [240.1.2.${ip}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: tcp, protocol: TCP, targetPort: ${port}}, {number: 81, name: http, protocol: HTTP, targetPort: ${port}}]
  endpoints: [{address: 127.0.0.1}]
`;
const routes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web.example.com]
  tcp: [{match: [{sourceNamespace: lab}], route: [{destination: {host: other.example.com, port: {number: 80}}}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: own, namespace: pay}
spec:
  parentRefs: [{group: networking.istio.io, kind: ServiceEntry, name: web, namespace: shop, port: 80}]
  rules: [{backendRefs: [{group: networking.istio.io, kind: Hostname, name: own.example.com, port: 80}]}]
`;

for (const engine of engines) {
  test(`by callers: ${engine.name}`, { skip: engine.skip }, async () => {
    const servers: Server[] = [];
    const start = async (name: string) => {
      const server = createServer((q, s) => s.end(`${name} ${q.headers['x-forwarded-client-cert'] ?? 'nobody'}`));
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return (server.address() as AddressInfo).port;
    };
    const mesh = [
      waypointYaml(),
      entry('web', 3, await start('web')),
      entry('other', 4, await start('other')),
      entry('own', 5, await start('own'), 'pay'),
    ];
    using bed = await startEnvoyBed(mesh.join('---'));
    await using follower = await engine.follow(bed);
    const ask = async (namespace: string, port = 80) => {
      using caller = new Caller(await follower.port(), await follower.issue('client', namespace));
      const headers = { 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/root/sa/root' };
      return await caller.ask(`240.1.2.3:${port}`, { host: 'web.example.com', path: '/', headers });
    };
    const to = async (namespace: string) => (await ask(namespace)).body.split(' ')[0];
    try {
      await until('it serves', async () => (await to('lab')) === 'web');
      bed.apply(routes);
      await until('the VirtualService', async () => (await to('lab')) === 'other');
      assert.deepEqual([await to('shop'), await to('pay'), await to('labs')], ['web', 'own', 'web']);

      assert.equal((await ask('shop', 81)).body, 'web nobody');
      bed.apply(waypointYaml({ annotations: 'ambient.istio.io/xfcc-include-client-identity: "true"' }));
      const told = 'web By=spiffe://cluster.local/ns/shop/sa/waypoint;URI=spiffe://cluster.local/ns/pay/sa/client';
      await until('it says who called', async () => (await ask('pay', 81)).body === told);
      if (engine.name === 'a stock Envoy') assert.deepEqual(await verdicts(bed, envoyTypes), []);
    } finally {
      for (const server of servers) server.close();
    }
  });
}
