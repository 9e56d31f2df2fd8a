/** SOCKS 5 in a pod: a destination that an app names goes the way of a captured connection, and hostile clients get nowhere. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { Ip } from '../../common/core/net.ts';
import { ip, networkAddress, serves, service, workload } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import type { NameLookup } from '../../ztunnel/socks5/server.ts';
import { InprocMesh } from './mesh.ts';

const serverIp = ip('10.2.0.2');
const echoService = service({ name: 'echo', addresses: [networkAddress('/10.96.0.7')] });
const pods = {
  client: workload({ name: 'client', serviceAccount: 'client', addresses: [ip('10.1.0.1')] }),
  server: workload({ name: 'server', addresses: [serverIp], services: serves(echoService) }),
};
const greeting = Buffer.of(5, 1, 0);
const ok = '05000001000000000000';

function byName(name: string, port = 80): Buffer {
  return Buffer.concat([Buffer.of(5, 1, 0, 3, name.length), Buffer.from(name), Buffer.of(port >> 8, port & 255)]);
}

function byAddress(address: string, port: number): Buffer {
  return Buffer.from([5, 1, 0, 1, ...address.split('.').map(Number), port >> 8, port & 255]);
}

async function rig(lookup?: NameLookup, clock?: Clock) {
  const mesh = await InprocMesh.start(clock ? { clock } : {});
  const client = mesh.pod(pods.client);
  mesh.pod(pods.server);
  mesh.store.apply({ addresses: [pods.client, pods.server, echoService] });
  mesh.net.listen(serverIp, 8080, (socket: Socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  const refusals: string[] = [];
  const known = new Map<string, Ip>([['echo.default', ip('10.96.0.7')]]);
  const options = {
    lookup: lookup ?? (async (name) => known.get(name)),
    refused: (reason: string) => void refusals.push(reason),
  };
  /** All that comes back, as hexadecimal digits, when the client sends this and then ends. */
  const call = async (...chunks: readonly Buffer[]): Promise<string> => {
    const socket = await client.openSocks(options);
    const got = collect(socket);
    for (const chunk of chunks) socket.write(chunk);
    socket.end();
    await until('the end', () => socket.closed);
    return got();
  };
  return { mesh, client, options, refusals, call, [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose]() };
}

function collect(socket: Socket): () => string {
  let got = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    got += chunk.toString('hex');
  });
  return () => got;
}

const hello = Buffer.from('hello');
const answered = `0500${ok}${hello.toString('hex')}`;

test('by address and by name, through the mesh, with the bytes that come along', async () => {
  await using all = await rig();
  assert.equal(await all.call(greeting, byAddress('10.96.0.7', 80), hello), answered);
  assert.equal(await all.call(greeting, byAddress('10.2.0.2', 8080), hello), answered);
  assert.equal(await all.call(Buffer.concat([greeting, byName('Echo.default'), hello])), answered);
  const whole = Buffer.concat([greeting, byName('echo.default'), hello]);
  assert.equal(await all.call(...[...whole].map((b) => Buffer.of(b))), answered, 'byte by byte');
  await until('the accounts', () => all.mesh.sink.of('outbound').length === 4);
  for (const { record, outcome } of all.mesh.sink.of('outbound')) {
    assert.equal(record.mtls, true);
    assert.equal(outcome.received, 5);
    assert.equal(outcome.error, undefined);
  }
  assert.deepEqual(all.refusals, []);
});

test('failures are told by their codes', async () => {
  await using all = await rig();
  const rows: readonly [string, Buffer, string][] = [
    ['nobody listens', byAddress('10.3.0.3', 80), '05'],
    ['the app is down', byAddress('10.2.0.2', 8081), '05'],
    ['no such service port', byAddress('10.96.0.7', 81), '04'],
    ['a port of the proxy', byAddress('127.0.0.1', 15_001), '02'],
    ['no such name', byName('no.such.host'), '04'],
  ];
  for (const [what, request, code] of rows) {
    assert.equal(await all.call(greeting, request, hello), `050005${code}000100000000${'0000'}`, what);
  }
  assert.equal(all.refusals.length, 1);
  assert.match(all.refusals[0]!, /no\.such\.host has no address/);
  const failing = await rig(async () => {
    throw new MeshError('NO_HEALTHY_UPSTREAM', 'no name server');
  });
  assert.equal(await failing.call(greeting, byName('a.b'), hello), `0500${'0504'}000100000000${'0000'}`);
  await failing[Symbol.asyncDispose]();
});

test('hostile bytes are answered as the RFC says or not at all, counted once, and others are served', async () => {
  await using all = await rig();
  const rows: readonly [string, readonly Buffer[], string][] = [
    ['SOCKS 4', [Buffer.of(4, 1, 0, 80, 10, 0, 0, 1, 0)], ''],
    ['HTTP', [Buffer.from('CONNECT a:80 HTTP/1.1\r\n\r\n')], ''],
    ['TLS', [Buffer.of(0x16, 3, 1, 0, 200)], ''],
    ['only methods with authentication', [Buffer.of(5, 2, 1, 2)], '05ff'],
    ['no methods', [Buffer.of(5, 0)], '05ff'],
    ['nothing at all', [], ''],
    ['half a greeting', [Buffer.of(5, 3, 0)], ''],
    ['no request', [greeting], '0500'],
    ['half a request', [greeting, Buffer.of(5, 1, 0, 1, 10)], '0500'],
    ['BIND', [greeting, Buffer.of(5, 2, 0, 1)], '050005070001000000000000'],
    ['an unknown address type', [greeting, Buffer.of(5, 1, 0, 9)], '050005080001000000000000'],
    ['a name of NULs', [greeting, byName('\0\0\0')], '050005010001000000000000'],
    ['port 0', [greeting, byAddress('10.2.0.2', 0)], '050005010001000000000000'],
    ['a flood', [greeting, Buffer.alloc(1_000_000, 0xff)], '050005010001000000000000'],
  ];
  for (const [i, [what, chunks, expected]] of rows.entries()) {
    assert.equal(await all.call(...chunks), expected, what);
    assert.equal(all.refusals.length, i + 1, `${what}: ${all.refusals.at(-1)}`);
    assert.equal(await all.call(greeting, byName('echo.default'), hello), answered, `after ${what}`);
  }
  assert.equal(all.mesh.sink.of('outbound').filter((s) => !s.opened).length, 0);
});

test('a client that dawdles is let go, and so is a name that is not resolved', async () => {
  const clock = new FakeClock(Date.now());
  await using all = await rig((_name, signal) => {
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }, clock);
  for (const [sent, expected] of [
    [Buffer.of(5), ''],
    [Buffer.concat([greeting, Buffer.of(5, 1, 0, 3, 200)]), '0500'],
    [Buffer.concat([greeting, byName('slow.example')]), '050005040001000000000000'],
  ] as const) {
    const socket = await all.client.openSocks(all.options);
    const got = collect(socket);
    const before = all.refusals.length;
    socket.write(sent);
    await until('the answer to the greeting', () => sent.length < 3 || got() !== '');
    clock.advance(millis(9_999));
    assert.equal(all.refusals.length, before);
    clock.advance(millis(1));
    await until('the refusal', () => all.refusals.length === before + 1);
    await until('the end of our side', () => socket.readableEnded);
    // This client keeps its own side open, and notices only when it sends more.
    clock.advance(millis(1_000));
    await until('the end', () => socket.closed || (socket.write('x') && false));
    assert.equal(got(), expected);
  }
});
