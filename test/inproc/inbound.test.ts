/** HBONE into a pod by what its CONNECT names: which app is dialled, what that app is told, and what metrics call it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { formatSocketAddr, type Port } from '../../common/core/net.ts';
import { identityOf } from '../../common/mesh/address.ts';
import type { MeshAddress, Workload } from '../../common/mesh/types.ts';
import { ip, networkAddress, serves, service, waypoint, workload } from '../../common/testing/builders.ts';
import { connectHeaders } from '../../common/testing/hbone-rig.ts';
import { until } from '../../common/testing/until.ts';
import { proxyHeader } from '../../ztunnel/proxy/proxy-protocol.ts';
import { longOr } from '../harness/require.ts';
import { InprocMesh, type InprocOptions } from './mesh.ts';

const clientIp = ip('10.1.0.1');
const serverIp = ip('10.2.0.2');
const echoService = service({ name: 'echo', addresses: [networkAddress('/10.96.0.7')] });
const clientWorkload = workload({ name: 'client', serviceAccount: 'client', addresses: [clientIp] });
const serverWorkload = workload({
  name: 'server',
  serviceAccount: 'server',
  addresses: [serverIp],
  services: serves(echoService),
});

interface App {
  /** `from -> to` of each connection to it. */
  readonly calls: string[];
  received: Buffer;
}

/** A client pod that opens tunnels to a server pod by hand, and an app that records and echoes at the server's ports. */
async function twoPods(server: Workload, more: readonly MeshAddress[] = [], options: InprocOptions = {}) {
  const mesh = await InprocMesh.start(options);
  const client = mesh.pod(clientWorkload);
  mesh.pod(server);
  mesh.store.apply({ addresses: [clientWorkload, server, echoService, ...more] });
  const app: App = { calls: [], received: Buffer.alloc(0) };
  for (const at of [serverIp, ip('127.0.0.1')]) {
    for (const port of [80, 8080, 15_088]) {
      mesh.net.listen(at, port, (socket: Socket, remote, local) => {
        app.calls.push(`${remote.ip} -> ${formatSocketAddr(local)}`);
        socket.on('error', () => undefined);
        socket.on('data', (chunk: Buffer) => {
          app.received = Buffer.concat([app.received, chunk]);
        });
        socket.pipe(socket);
      });
    }
  }
  /** What comes back for `hello`; rejects with the status where it is refused. */
  const call = async (authority: string, headers: Partial<ReturnType<typeof connectHeaders>> = {}): Promise<string> => {
    const target = {
      address: { ip: serverIp, port: 15_008 as Port },
      expected: [identityOf(server)],
      source: identityOf(clientWorkload),
      sourceIp: clientIp,
    };
    const all = { ...connectHeaders(authority), ...headers };
    const { stream } = await client.pool.connect(target, all, new AbortController().signal);
    let got = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      got += chunk;
    });
    stream.end('hello');
    await once(stream, 'end');
    return got;
  };
  return { mesh, app, call, [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose]() };
}

test('an app that takes the PROXY protocol is told client, destination and identity before the first byte', async (t) => {
  const sandwiched = { ...serverWorkload, applicationTunnel: { protocol: 'PROXY' as const, port: 15_088 } };
  for (const [tunnelOverLoopback, expected] of [
    [true, `${serverIp} -> 127.0.0.1:15088`],
    [false, `${clientIp} -> ${serverIp}:15088`],
  ] as const) {
    await t.test(tunnelOverLoopback ? 'over loopback' : "at the pod's address", async () => {
      await using pods = await twoPods(sandwiched, [], { tunnelOverLoopback });
      const echoed = await pods.call('10.96.0.99:4321');
      assert.deepEqual(pods.app.calls, [expected]);
      await until('the account', () => pods.mesh.sink.of('inbound').length === 1);
      const [{ record, outcome }] = pods.mesh.sink.of('inbound') as [(typeof pods.mesh.sink.settled)[0]];
      const header = proxyHeader({
        source: record.sourceAddress,
        destination: { ip: ip('10.96.0.99'), port: 4321 as Port },
        spiffe: 'spiffe://cluster.local/ns/default/sa/client',
      });
      assert.deepEqual(pods.app.received, Buffer.concat([header, Buffer.from('hello')]));
      assert.equal(echoed.slice(-5), 'hello');
      assert.equal(outcome.received, 5, 'the header is not traffic of the client');
    });
  }
});

test('a waypoint without a tunnel of its own is dialled at the port of what it stands before', async () => {
  const guarded = service({ name: 'guarded', addresses: [networkAddress('/10.96.0.8')] });
  const behind = { ...guarded, waypoint: waypoint(`default/${echoService.hostname}`) };
  await using pods = await twoPods(serverWorkload, [behind]);
  assert.equal(await pods.call('10.96.0.8:80'), 'hello');
  assert.deepEqual(pods.app.calls, [`${clientIp} -> ${serverIp}:80`]);
  pods.mesh.store.apply({ addresses: [guarded] });
  await assert.rejects(pods.call('10.96.0.8:80'), /status 400/);
});

test('an authority that is not for this pod is refused by its kind, and nothing is dialled', async () => {
  await using pods = await twoPods(serverWorkload);
  const rows: readonly [string, number][] = [
    [`${clientIp}:8080`, 400],
    ['10.96.0.7:80', 400],
    ['127.0.0.1:8080', 400],
    ['[::1]:8080', 400],
    ['[::ffff:127.0.0.1]:8080', 400],
    ['nonsense', 400],
    [`${serverIp}`, 400],
    [`${serverIp}:0`, 400],
    [`${serverIp}:65536`, 400],
    ['no.such.host:80', 503],
    [`${echoService.hostname}:81`, 503],
    [`${serverIp}:15008`, 503],
    [`${serverIp}:15006`, 503],
    [`${serverIp}:15001`, 503],
  ];
  for (const [authority, status] of rows) {
    await assert.rejects(pods.call(authority), new RegExp(`status ${status}`), authority);
    assert.equal(await pods.call(`${serverIp}:8080`), 'hello', `a neighbour's call after ${authority}`);
  }
  assert.equal(pods.app.calls.length, rows.length);
  assert.equal(pods.mesh.sink.of('inbound').filter((s) => !s.opened).length, rows.length, 'each refusal is accounted');
});

test('of random authorities none leads to anything but the own pod at the port asked for', async () => {
  await using pods = await twoPods(serverWorkload);
  const pieces = [
    `${serverIp}`,
    `${clientIp}`,
    '10.96.0.7',
    '127.0.0.1',
    '[::1]',
    `[::ffff:${serverIp}]`,
    echoService.hostname,
    'a.b',
    '',
    '0',
    '@',
    '%',
    '[',
    ']',
    '..',
    '\u00e4',
    ' ',
  ];
  const ports = [
    ':8080',
    ':80',
    ':15088',
    ':15008',
    ':0',
    ':65536',
    ':-1',
    ':08080',
    ':',
    '',
    ':8080:8080',
    ':0x50',
    ': 80',
  ];
  const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]!;
  const allowed = new Map([
    [`${serverIp}:8080`, `${clientIp} -> ${serverIp}:8080`],
    [`${serverIp}:80`, `${clientIp} -> ${serverIp}:80`],
    [`${serverIp}:15088`, `${clientIp} -> ${serverIp}:15088`],
    [`[::ffff:${serverIp}]:8080`, `${clientIp} -> ${serverIp}:8080`],
    [`[::ffff:${serverIp}]:80`, `${clientIp} -> ${serverIp}:80`],
    [`[::ffff:${serverIp}]:15088`, `${clientIp} -> ${serverIp}:15088`],
    [`${serverIp}:08080`, `${clientIp} -> ${serverIp}:8080`],
    [`[::ffff:${serverIp}]:08080`, `${clientIp} -> ${serverIp}:8080`],
    [`${echoService.hostname}:80`, `${clientIp} -> ${serverIp}:8080`],
  ]);
  const rounds = longOr(1_000, 10_000);
  const one = async (): Promise<void> => {
    const authority = Math.random() < 0.2 ? `${pick(pieces)}${pick(pieces)}${pick(ports)}` : pick(pieces) + pick(ports);
    const answer = await pods.call(authority).catch((e: Error) => e.message);
    // Some of these are no HTTP/2 either: after ten such frames their connection ends, with what else was on it.
    if (allowed.has(authority)) assert.doesNotMatch(answer, /with status/, authority);
    else assert.notEqual(answer, 'hello', authority);
    if (answer === 'hello') served++;
  };
  let served = 0;
  for (let done = 0; done < rounds; done += 20) await Promise.all(Array.from({ length: 20 }, one));
  const right = new Set(allowed.values());
  assert.deepEqual(
    pods.app.calls.filter((call) => !right.has(call)),
    [],
  );
  assert.ok(served > rounds / 100, `${served} of ${rounds} were served`);
});

test('a host name leads to the target port, by number and by the name that only the pod knows', async () => {
  const named = service({ name: 'named', ports: [{ servicePort: 80, targetPort: 0 }] });
  const server = { ...serverWorkload, services: new Map([...serves(echoService), ...serves(named, 80, 15_088)]) };
  await using pods = await twoPods(server, [named]);
  assert.equal(await pods.call(`${echoService.hostname}:80`), 'hello');
  assert.equal(await pods.call(`${named.hostname}:80`), 'hello');
  assert.deepEqual(pods.app.calls, [`${clientIp} -> ${serverIp}:8080`, `${clientIp} -> ${serverIp}:15088`]);
});

test('metrics name the service that the client names if it is ours, and the source by baggage through a gateway', async () => {
  const twin = service({ name: 'twin' });
  const foreign = service({ name: 'foreign' });
  const server = { ...serverWorkload, services: new Map([...serves(echoService), ...serves(twin)]) };
  await using pods = await twoPods(server, [twin, foreign]);
  const record = async (headers: Parameters<typeof pods.call>[1], authority = `${serverIp}:8080`) => {
    const n = pods.mesh.sink.of('inbound').length;
    await pods.call(authority, headers);
    await until('the account', () => pods.mesh.sink.of('inbound').length > n);
    return pods.mesh.sink.of('inbound').at(-1)!.record;
  };
  const by = (host: string) => ({ forwarded: `for="10.9.9.9:1";host=${host}` });
  assert.equal((await record(by(twin.hostname))).service?.name, 'twin');
  assert.equal((await record(by(foreign.hostname))).service?.name, 'echo', 'the first with that port');
  assert.equal((await record({}, `${twin.hostname}:80`)).service?.name, 'twin');
  const baggage = 'k8s.namespace.name=far,k8s.deployment.name=caller';
  const near = await record({ baggage });
  assert.deepEqual([near.source?.name, near.sourceBaggage], ['client', undefined]);
  assert.equal((await record({ baggage, forwardedNetwork: '' })).source?.name, 'client');
  const far = await record({ baggage, forwardedNetwork: 'net-2' });
  assert.equal(far.source, undefined);
  assert.deepEqual([far.sourceBaggage?.namespace, far.sourceBaggage?.workloadName], ['far', 'caller']);
  assert.equal(far.sourceIdentity?.serviceAccount, 'client', 'who it is, TLS says');
});
