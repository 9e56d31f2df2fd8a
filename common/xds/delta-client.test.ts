import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { addressTypeUrl, authorizationTypeUrl, stringField } from '../api/index.ts';
import { MeshStore } from '../mesh/store.ts';
import { ip, policy, service, workload } from '../testing/builders.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { addressResponse, FakeXds, type FakeXdsStream, policyResponse, resource } from '../testing/fake-xds.ts';
import { startTestProxy } from '../testing/test-proxy.ts';
import { until } from '../testing/until.ts';
import type { DeltaClient } from './delta-client.ts';

let fake: FakeXds;
let store: MeshStore;
let clock: FakeClock;
let stop: AbortController;
let terminations: string[];
let messages: string[];
let cleanUps: (() => void)[];

beforeEach(async () => {
  fake = await FakeXds.start();
  store = new MeshStore();
  clock = new FakeClock();
  stop = new AbortController();
  terminations = [];
  messages = [];
  cleanUps = [];
});

afterEach(() => {
  stop.abort();
  fake.kill();
  for (const cleanUp of cleanUps) cleanUp();
});

function start(address = () => fake.address): DeltaClient {
  return startTestProxy({
    plane: address,
    node: { podName: 'zt-1', metadata: { CLUSTER_ID: 'Kubernetes' } },
    store,
    clock,
    metrics: { message: (url) => messages.push(url), terminated: (reason) => terminations.push(reason) },
    signal: stop.signal,
  });
}

/** A client that has both subscriptions open and nothing received. */
async function subscribed(): Promise<{ client: DeltaClient; stream: FakeXdsStream }> {
  const client = start();
  const stream = await fake.stream();
  await stream.next();
  await stream.next();
  return { client, stream };
}

/** Waits for the end of the n-th connection, then lets the back-off pass. */
async function retry(n: number, ms: number): Promise<void> {
  await until(`connection ${n} to end`, () => terminations.length === n && clock.nextIn !== undefined);
  clock.advance(ms);
}

const pod = workload({ name: 'a', addresses: [ip('10.0.0.1')] });

test('subscribes to addresses, then policies, as a wildcard and with its node', async () => {
  start();
  const stream = await fake.stream();
  const first = await stream.next();
  const second = await stream.next();
  assert.equal(first.typeUrl, addressTypeUrl);
  assert.equal(second.typeUrl, authorizationTypeUrl);
  for (const request of [first, second]) {
    assert.deepEqual(request.resourceNamesSubscribe, []);
    assert.deepEqual({ ...request.initialResourceVersions }, {});
    assert.equal(request.node?.id, 'ztunnel~10.0.0.1~zt-1.istio-system~istio-system.svc.cluster.local');
    assert.equal(stringField(request.node!.metadata, 'NODE_NAME'), 'node-1');
    assert.equal(stringField(request.node!.metadata, 'CLUSTER_ID'), 'Kubernetes');
  }
  assert.deepEqual(stream.metadata.get('clusterid'), ['Kubernetes']);
});

test('is ready when both first answers are ACKed, empty ones too', async () => {
  const { client, stream } = await subscribed();
  let ready = false;
  void client.ready.then(() => {
    ready = true;
  });
  let applied = false;
  void client.applied.then(() => {
    applied = true;
  });
  stream.send(addressResponse('n1', []));
  const ack = await stream.next();
  assert.deepEqual([ack.typeUrl, ack.responseNonce, ack.errorDetail, ack.node], [addressTypeUrl, 'n1', null, null]);
  assert.deepEqual(client.pending(), [authorizationTypeUrl]);
  assert.equal(ready, false);
  assert.equal(applied, false);
  stream.send(policyResponse('n2', []));
  assert.equal((await stream.next()).responseNonce, 'n2');
  await client.ready;
  assert.deepEqual(messages, [addressTypeUrl, authorizationTypeUrl]);
});

test('a rejected first answer lets it serve by what was good, but does not make it ready; the good one after it does', async () => {
  const { client, stream } = await subscribed();
  let ready = false;
  void client.ready.then(() => {
    ready = true;
  });
  const { resources } = policyResponse('n1', [policy({ name: 'good' })]);
  stream.send({ typeUrl: authorizationTypeUrl, nonce: 'n1', resources: [{ name: 'a/b' }, ...resources!] });
  stream.send(addressResponse('n2', []));
  assert.match((await stream.next()).errorDetail!.message, /^a\/b: /);
  await stream.next();
  await client.applied;
  assert.ok(store.policy('default/good'));
  assert.equal(ready, false);
  assert.deepEqual(client.pending(), [authorizationTypeUrl]);
  stream.send(policyResponse('n3', [policy()]));
  await stream.next();
  await client.ready;
});

test('NACKs each bad resource by name, applies the rest and keeps the last good form', async () => {
  const { stream } = await subscribed();
  stream.send(addressResponse('n1', [pod]));
  await stream.next();
  const good = service({ name: 'good' });
  const { resources } = addressResponse('n2', [good]);
  const bad = resource(pod.uid, addressTypeUrl, Buffer.from('ffff', 'hex'), 'v2');
  const forged = resource(
    'x/y',
    addressTypeUrl,
    (addressResponse('', [pod]).resources![0]!.resource as never)['value'],
    '',
  );
  stream.send({ typeUrl: addressTypeUrl, nonce: 'n2', resources: [bad, forged, ...resources!] });
  const nack = await stream.next();
  assert.equal(nack.responseNonce, 'n2');
  assert.match(nack.errorDetail!.message, new RegExp(`^${pod.uid}: not a valid protobuf.*; x/y: the body is that of`));
  assert.deepEqual(store.workload(pod.uid), pod);
  assert.deepEqual(store.service('default/good.default.svc.cluster.local'), good);

  stream.end();
  await retry(1, 10);
  const again = await fake.stream();
  const request = await again.next();
  assert.deepEqual(
    { ...request.initialResourceVersions },
    {
      [pod.uid]: 'v-n1',
      'default/good.default.svc.cluster.local': 'v-n2',
    },
  );
});

test('removed names leave the store and the versions sent on reconnect', async () => {
  const { stream } = await subscribed();
  const s = service();
  stream.send(addressResponse('n1', [pod, s]));
  stream.send(policyResponse('n2', [policy({ name: 'p' })]));
  await stream.next();
  await stream.next();
  stream.send(addressResponse('n3', [], [pod.uid, 'never/heard-of', 'no-slash']));
  stream.send(policyResponse('n4', [], ['default/p']));
  assert.equal((await stream.next()).errorDetail, null);
  assert.equal((await stream.next()).errorDetail, null);
  assert.deepEqual(store.workloads(), []);
  assert.deepEqual(store.policies(), []);
  stream.fail(status.CANCELLED, 'age limit');
  await retry(1, 10);
  const again = await fake.stream();
  assert.deepEqual(Object.keys((await again.next()).initialResourceVersions), [`default/${s.hostname}`]);
  assert.deepEqual(Object.keys((await again.next()).initialResourceVersions), []);
  assert.deepEqual(terminations, ['Reconnect']);
});

test('a server that dies mid-stream leaves what was learned, and is found again', async () => {
  const { stream } = await subscribed();
  stream.send(addressResponse('n1', [pod]));
  await stream.next();
  const { port } = fake;
  fake.kill();
  await retry(1, 10);
  assert.deepEqual(store.workload(pod.uid), pod);
  await until('a failed try', () => terminations.length === 2);
  assert.equal(terminations[1], 'ConnectionError');
  fake = await FakeXds.start(port);
  await retry(2, 20);
  const again = await fake.stream();
  assert.deepEqual({ ...(await again.next()).initialResourceVersions }, { [pod.uid]: 'v-n1' });
});

test('garbage in place of a message ends the connection, not the client', async () => {
  const { stream } = await subscribed();
  stream.sendRaw(Buffer.from('0affffffff0f', 'hex'));
  await retry(1, 10);
  const again = await fake.stream();
  await again.next();
});

test('a type that was not asked for is refused and changes nothing', async () => {
  const { client, stream } = await subscribed();
  stream.send({ typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster', nonce: 'n1' });
  const nack = await stream.next();
  assert.equal(nack.responseNonce, 'n1');
  assert.match(nack.errorDetail!.message, /not subscribed/);
  assert.equal(client.pending().length, 2);
});

test('every response is answered with its own nonce, repeated and stale ones too', async () => {
  const { stream } = await subscribed();
  for (const nonce of ['n2', 'n1', 'n1', '']) stream.send(addressResponse(nonce, [pod]));
  for (const nonce of ['n2', 'n1', 'n1', '']) assert.equal((await stream.next()).responseNonce, nonce);
  assert.equal(store.workloads().length, 1);
});

test('connection failures back off from 10 ms, doubling to 15 s', async () => {
  fake.kill();
  start();
  const waits: number[] = [];
  for (let i = 0; i < 13; i++) {
    await until('a failed try', () => terminations.length === i + 1 && clock.nextIn !== undefined);
    waits.push(clock.nextIn!);
    clock.advance(clock.nextIn!);
  }
  assert.deepEqual(waits, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_240, 15_000, 15_000]);
  assert.ok(terminations.every((t) => t === 'ConnectionError'));
});

test('a server that accepts and says nothing is given up after 5 s', async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1');
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  await once(silent, 'listening');
  start(() => `http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
  await until('the client to come', () => sockets.length === 1);
  clock.advance(4_999);
  assert.deepEqual(terminations, []);
  clock.advance(1);
  await until('the end', () => terminations.length === 1);
  assert.deepEqual(terminations, ['ConnectionError']);
});

test('a server that does not speak HTTP/2 is tried again', async () => {
  let visits = 0;
  const nonsense = createServer((socket) => {
    visits++;
    socket.on('error', () => undefined);
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
  }).listen(0, '127.0.0.1');
  cleanUps.push(() => void nonsense.close());
  await once(nonsense, 'listening');
  start(() => `http://127.0.0.1:${(nonsense.address() as AddressInfo).port}`);
  await retry(1, 10);
  await until('the second visit', () => visits >= 2);
  assert.equal(terminations[0], 'ConnectionError');
});

test('nothing goes on after the signal', async () => {
  const { stream } = await subscribed();
  stop.abort();
  await until('the server to see it', () => stream.closed);
  clock.advance(60_000);
  assert.equal(fake.streams.length, 1);
  assert.deepEqual(terminations, []);
});
