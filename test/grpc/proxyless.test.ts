/** A gRPC program without a proxy, by grpc-js-xds: it finds a service of the mesh through istiod, and follows its endpoints and routes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { register } from '@grpc/grpc-js-xds';
import { until } from '../../common/testing/until.ts';
import { type EnvoyBed, startEnvoyBed } from '../../istiod/testing/envoy-bed.ts';
import { waypointYaml } from '../../istiod/testing/manifests.ts';

const path = '/test.Echo/Say';
const text = (b: Buffer) => String(b);
const bytes = (s: string) => Buffer.from(s);

/** Answers with its name. */
async function backend(name: string): Promise<{ readonly port: number; readonly stop: () => void }> {
  const server = new Server();
  server.addService(
    {
      Say: {
        path,
        requestStream: false,
        responseStream: false,
        requestSerialize: bytes,
        requestDeserialize: text,
        responseSerialize: bytes,
        responseDeserialize: text,
      },
    },
    { Say: (_: unknown, done: (e: null, answer: string) => void) => done(null, name) },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (e, p) => (e ? reject(e) : resolve(p))),
  );
  return { port, stop: () => server.forceShutdown() };
}

const entry = (endpoints: readonly { readonly port: number; readonly version: string }[]) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: echo}
spec:
  hosts: [echo.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 7070, name: grpc, protocol: GRPC}]
  endpoints:
${endpoints.map((e) => `  - {address: 127.0.0.${e.version === 'v1' ? 1 : 2}, labels: {version: ${e.version}}, ports: {grpc: ${e.port}}}`).join('\n')}
`;

const ends: (() => void)[] = [];
let bed: EnvoyBed;
before(async () => {
  bed = await startEnvoyBed('');
  process.env['GRPC_XDS_BOOTSTRAP_CONFIG'] = JSON.stringify({
    xds_servers: [
      { server_uri: `127.0.0.1:${bed.port}`, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] },
    ],
    node: {
      id: 'sidecar~10.0.0.1~client.shop~shop.svc.cluster.local',
      cluster: 'client',
      locality: {},
      metadata: { NAMESPACE: 'shop', GENERATOR: 'grpc' },
    },
  });
  register();
});
after(() => {
  for (const end of ends) end();
  bed[Symbol.dispose]();
});

async function backends<const Names extends readonly string[]>(...names: Names) {
  const made = await Promise.all(names.map((name) => backend(name)));
  for (const { stop } of made) ends.push(stop);
  return made;
}

/** Asks who is there; what goes wrong in place of an answer. `patience` in ms. */
function caller(target: string, patience = 30_000): () => Promise<string> {
  const client = new Client(`xds:///${target}`, credentials.createInsecure());
  ends.push(() => client.close());
  return () =>
    new Promise((resolve) =>
      client.makeUnaryRequest(
        path,
        bytes,
        text,
        'who',
        new Metadata(),
        { deadline: Date.now() + patience },
        (e, answer) => resolve(answer ?? e?.details ?? ''),
      ),
    );
}

test('it calls by xds:///host:port, and follows what changes', async () => {
  const [first, second] = await backends('first', 'second');
  bed.apply(entry([{ port: first!.port, version: 'v1' }]));
  const say = caller('echo.example.com:7070');
  assert.equal(await say(), 'first');
  bed.apply(entry([{ port: second!.port, version: 'v1' }]));
  await until('the other endpoint', async () => (await say()) === 'second');
  const both = entry([
    { port: first!.port, version: 'v1' },
    { port: second!.port, version: 'v2' },
  ]);
  bed.apply(`${both}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo}
spec: {host: echo.example.com, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec: {hosts: [echo.example.com], http: [{route: [{destination: {host: echo.example.com, subset: v1}}]}]}
`);
  let inARow = 0;
  await until('the route to the subset', async () => {
    inARow = (await say()) === 'first' ? inARow + 1 : 0;
    return inARow === 20;
  });
});

for (const hash of ['httpHeaderName: x-key', 'httpHeaderName: x-key, maglev: {}']) {
  test(`it keeps to one endpoint by ${hash} as far as it can`, async () => {
    bed.apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo}
spec: {host: echo.example.com, subsets: [{name: v1, labels: {version: v1}}], trafficPolicy: {loadBalancer: {consistentHash: {${hash}}}}}
`);
    const say = caller('echo.example.com:7070');
    assert.equal(await say(), 'first');
  });
}

const noName = /name resolution|does not exist/;
test('what nobody has, or its Sidecar hides, it does not find', async () => {
  for (const target of ['gone.example.com:7070', 'echo.example.com:7071', 'echo.example.com'])
    assert.match(await caller(target, 300)(), noName, target);
  bed.apply(`
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own}
spec: {egress: [{hosts: ["pay/*"]}]}
`);
  await until('it is hidden', async () => noName.test(await caller('echo.example.com:7070', 300)()));
  bed.remove('Sidecar', 'shop/own');
});

test('it connects to the address of what is behind a waypoint, where the node proxy leads it there', async () => {
  const [behind] = await backends('behind');
  const { port } = behind!;
  bed.apply(`${waypointYaml()}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: behind, labels: {istio.io/use-waypoint: waypoint}}
spec:
  hosts: [behind.example.com]
  addresses: [127.0.0.1]
  resolution: STATIC
  ports: [{number: ${port}, name: grpc, protocol: GRPC}]
  endpoints: [{address: 192.0.2.1}]
`);
  assert.equal(await caller(`behind.example.com:${port}`)(), 'behind');
});
