/** What is refused before any decision: each cause counts once and is logged once. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { MeshError } from '../../common/core/errors.ts';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import type { Port } from '../../common/core/net.ts';
import { createHboneServer } from '../../common/hbone/server.ts';
import type { HboneServerOptions } from '../../common/hbone/types.ts';
import { defaultWire } from '../../common/hbone/wire.ts';
import { ip } from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import { connectTls } from '../../common/tls/connect.ts';
import { closeFd, dupFd } from '../../native/index.ts';
import type { PodMessage } from '../../ztunnel/control/messages.ts';
import { serveDnsTcp } from '../../ztunnel/dns/server.ts';
import { descriptorOf } from '../../ztunnel/proxy/accept.ts';
import { DescriptorBudget } from '../../ztunnel/worker/descriptors.ts';
import { WorkerPod } from '../../ztunnel/worker/pod.ts';
import { skipUnless } from '../harness/require.ts';
import { InprocMesh } from './mesh.ts';

type Role = PodMessage['listeners'][number]['role'];

const rows: readonly {
  readonly cause: string;
  readonly role: Role;
  readonly limit: number;
  readonly reason: string;
}[] = [
  { cause: 'a direct call of the HBONE listener', role: 'hbone', limit: 20_000, reason: 'direct' },
  { cause: 'too few descriptors', role: 'outbound', limit: 20, reason: 'descriptors' },
  { cause: 'too few descriptors, for DNS over TCP', role: 'dnsTcp', limit: 20, reason: 'descriptors' },
];

test('refusals', { skip: skipUnless('addon') }, async (t) => {
  for (const { cause, role, limit, reason } of rows) {
    await t.test(cause, async () => {
      const { port, refused, logged, close } = await podWith(role, limit);
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      await until('the refusal', () => socket.closed);
      assert.deepEqual(refused, [reason]);
      assert.equal(logged.length, 1, logged.join('\n'));
      assert.match(logged[0]!, new RegExp(`refused a connection reason="?${reason}`));
      await close();
    });
  }
  await t.test('an error of the HBONE server', async () => {
    const { server, refused, logged, close } = await podWith('hbone', 20_000);
    server().onError(new MeshError('PROTOCOL', 'not CONNECT'), { ip: ip('10.0.0.7'), port: 1 as Port });
    assert.deepEqual(refused, ['handshake']);
    assert.equal(logged.length, 1);
    await close();
  });
});

test('a request that is not CONNECT is answered by 400 and reported once', async () => {
  await using mesh = await InprocMesh.start();
  const errors: Error[] = [];
  const identity = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'server' };
  const certificate = await mesh.certificate(identity);
  const server = createHboneServer({
    clock: mesh.runtime.clock,
    certificate: async () => certificate,
    onTunnel: () => assert.fail('no tunnel was asked for'),
    onError: (error) => void errors.push(error),
  });
  const { near, far } = await mesh.net.pair();
  const here = { ip: ip('10.0.0.7'), port: 1 as Port };
  server.serve(far, here, here);
  const { socket } = await connectTls(near, certificate, [identity], defaultWire.tls, AbortSignal.timeout(4_000));
  const session = connectHttp2('https://hbone', { createConnection: () => socket });
  const stream = session.request({ ':method': 'GET', ':path': '/' });
  const [headers] = await once(stream, 'response');
  assert.equal(headers[':status'], 400);
  assert.equal(errors.length, 1);
  assert.match(errors[0]!.message, /10\.0\.0\.7:1 sent a request that is not CONNECT/);
  session.destroy();
  server.close();
});

async function podWith(role: Role, limit: number) {
  const mesh = await InprocMesh.start();
  const refused: string[] = [];
  const logged: string[] = [];
  const log = createLogger(
    { levels: new LogLevels(), format: 'plain', write: (line) => void logged.push(line) },
    'test',
  );
  let server: HboneServerOptions | undefined;
  const { engine } = mesh.runtime;
  const createServerOf = (options: HboneServerOptions) => {
    server = options;
    return engine.createServer(options);
  };
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const fd = dupFd(descriptorOf(listener as never)!);
  listener.close();
  const info = { name: 'p', namespace: 'default', serviceAccount: 'p' };
  const pod = new WorkerPod(
    { kind: 'pod', pod: 1, uid: 'u1', netns: 'n', info, listeners: [{ role, port }], hidesClients: false },
    [fd],
    {
      runtime: { ...mesh.runtime, log, engine: { ...engine, createServer: createServerOf } },
      certificates: { get: () => Promise.reject(new Error('none')) } as never,
      budget: new DescriptorBudget(limit),
      clusterId: 'Kubernetes',
      nodeName: undefined,
      wire: defaultWire,
      pool: { maxStreamsPerConnection: 100, unusedReleaseMs: 1_000 },
      revocation: undefined,
      lookup: async () => undefined,
      requestSockets: () => undefined,
      closeFd,
      refused: (why) => void refused.push(why),
      held: () => undefined,
      serveDns: (_role, dns, of) =>
        serveDnsTcp(dns, { answerer: {} as never, clock: mesh.runtime.clock, log, admits: (a) => of.admits(a) }),
    },
  );
  pod.serve();
  const close = async () => {
    pod.close();
    await mesh[Symbol.asyncDispose]();
  };
  return { port, refused, logged, server: () => server!, close };
}
