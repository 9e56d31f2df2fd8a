/** An endpoint of another network through waypoints that istiod configured: two tunnels, one within the other; and back in by name. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import { createSecureServer, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import type { WorkloadCertificate } from '../../common/identity/types.ts';
import { ip } from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import { envoyTypes } from '../../istiod/envoy/types.ts';
import { lookupOfGateway } from '../../istiod/model/gateway-names.ts';
import { startEnvoyBed } from '../../istiod/testing/envoy-bed.ts';
import { waypointYaml } from '../../istiod/testing/manifests.ts';
import { TestCredentials } from '../../istiod/testing/test-credentials.ts';
import { verdicts } from './accepts.ts';
import { engines } from './followers.ts';
import { Caller } from './pair/caller.ts';

const mesh = (gatewayPort: number) => `
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: net-1}}
---
${waypointYaml()}---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: far, namespace: istio-system, labels: {topology.istio.io/network: net-2}}
spec:
  gatewayClassName: istio-remote
  listeners: [{name: hbone, port: ${gatewayPort}, protocol: HBONE}]
  addresses: [{type: Hostname, value: ew.example}]
---
kind: Service
metadata: {name: web, labels: {istio.io/use-waypoint: waypoint, istio.io/global: "true"}}
spec: {clusterIP: 240.1.2.3, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web}
spec: {address: 192.0.2.7, network: net-2, labels: {app: web}, serviceAccount: web, ports: {http: 8080}}
---
kind: Service
metadata: {name: here, labels: {istio.io/use-waypoint: waypoint}}
spec: {clusterIP: 240.1.2.4, selector: {app: here}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: here}
spec: {address: 192.0.2.8, network: net-1, labels: {app: here}, serviceAccount: here}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}]}
`;

interface Seen {
  readonly authority: string | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** The other network: a gateway that leads to a workload's own end of HBONE, and that to the app. */
async function farNetwork(of: WorkloadCertificate, app: number) {
  const inner = await connectServer(of, app);
  const outer = await connectServer(of, inner.port);
  return { outer, inner };
}

/** Ends HBONE, and passes on what is inside. */
async function connectServer(of: WorkloadCertificate, to: number) {
  const seen: Seen[] = [];
  const server = createSecureServer({
    key: of.privateKey,
    cert: of.chain.join(''),
    ca: [...of.roots],
    requestCert: true,
  });
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    seen.push({ authority: headers[':authority'], headers });
    const next = connect(to, '127.0.0.1');
    next.on('error', () => stream.close());
    stream.on('error', () => next.destroy());
    stream.respond({ ':status': 200 });
    next.pipe(stream).pipe(next);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { seen, port: (server.address() as AddressInfo).port, close: () => server.close() };
}

for (const engine of engines) {
  test(`endpoints of another network: through its gateway, by the name of the service: ${engine.name}`, {
    skip: engine.skip,
  }, async () => {
    const backend = createServer((q: IncomingMessage, s) => s.end(`far ${q.url}`));
    await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
    const credentials = new TestCredentials();
    using bed = await startEnvoyBed(mesh(1), {
      credentials,
      settings: {
        multiNetwork: true,
        serviceScopes: [{ namespaces: undefined, services: undefined, scope: 'GLOBAL' }],
      },
    });
    await using follower = await engine.follow(bed);
    const far = await farNetwork(await follower.issue('web'), (backend.address() as AddressInfo).port);
    bed.apply(mesh(far.outer.port));
    const resolvesTo = (...ips: readonly string[]) => {
      credentials.gateways.set('ew.example', ips.map(ip));
      bed.looked(lookupOfGateway('ew.example'));
    };
    resolvesTo('127.0.0.1');
    try {
      assert.deepEqual(await verdicts(bed, envoyTypes), []);
      using client = new Caller(await follower.port(), await follower.issue('client'));
      const ask = (to: string, path: string) => client.ask(to, { host: 'web', path });
      await until('the gateway is known', async () => (await ask('240.1.2.3:80', '/a')).body === 'far /a');
      const [outer, inner] = [far.outer.seen[0]!, far.inner.seen[0]!];
      const target = 'web.shop.svc.cluster.local:80';
      assert.deepEqual([outer.authority, outer.headers['x-istio-source']], [target, 'waypoint']);
      assert.deepEqual([inner.authority, inner.headers['x-forwarded-network']], [target, 'net-1']);
      // The way in: gateways of other networks say the name.
      assert.equal((await ask(target, '/b')).body, 'far /b');

      resolvesTo();
      await until('no way leads there', async () => (await ask('240.1.2.3:80', '/')).status === 503);
      resolvesTo('127.0.0.1');
      await until('one leads there again', async () => (await ask('240.1.2.3:80', '/')).status === 200);

      // A subset is where some have its labels.
      bed.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec: {hosts: [web], http: [{route: [{destination: {host: web, subset: v1}}]}]}
`);
      await until('the subset has nobody', async () => (await ask('240.1.2.3:80', '/')).status === 503);
      bed.apply(mesh(far.outer.port).replace('app: web}, serviceAccount', 'app: web, version: v1}, serviceAccount'));
      await until('somebody has its labels', async () => (await ask('240.1.2.3:80', '/c')).body === 'far /c');
    } finally {
      backend.close();
      far.outer.close();
      far.inner.close();
    }
  });
}
