/** A gRPC program without a proxy, by grpc-js-xds: it finds a service of the mesh through istiod, and follows its endpoints and routes. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client, credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { register } from '@grpc/grpc-js-xds';
import { until } from '../../common/testing/until.ts';
import { startEnvoyBed } from '../../istiod/testing/envoy-bed.ts';

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

test('it calls by xds:///host:port, and follows what changes', async () => {
  const [first, second] = [await backend('first'), await backend('second')];
  const bed = await startEnvoyBed(entry([{ port: first.port, version: 'v1' }]));
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
  const client = new Client('xds:///echo.example.com:7070', credentials.createInsecure());
  after(() => {
    client.close();
    bed[Symbol.dispose]();
    first.stop();
    second.stop();
  });
  const say = () =>
    new Promise<string>((resolve, reject) =>
      client.makeUnaryRequest(
        path,
        bytes,
        text,
        'who',
        new Metadata(),
        { deadline: Date.now() + 30_000 },
        (e, answer) => (e ? reject(e) : resolve(answer ?? '')),
      ),
    );
  assert.equal(await say(), 'first');
  bed.apply(entry([{ port: second.port, version: 'v1' }]));
  await until('the other endpoint', async () => (await say().catch(() => '')) === 'second');
  const both = entry([
    { port: first.port, version: 'v1' },
    { port: second.port, version: 'v2' },
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
    inARow = (await say().catch(() => '')) === 'first' ? inARow + 1 : 0;
    return inARow === 20;
  });
});
