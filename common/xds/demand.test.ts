import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { addressTypeUrl, authorizationTypeUrl } from '../api/index.ts';
import { MeshStore } from '../mesh/store.ts';
import type { MeshAddress } from '../mesh/types.ts';
import { ip, networkAddress, service, workload } from '../testing/builders.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { addressResponse, FakeXds, type FakeXdsStream, policyResponse } from '../testing/fake-xds.ts';
import { startTestProxy } from '../testing/test-proxy.ts';
import { until } from '../testing/until.ts';
import { OnDemand } from './demand.ts';

let fake: FakeXds;
let store: MeshStore;
let clock: FakeClock;
let stop: AbortController;
let demand: OnDemand;
let terminations: number;

beforeEach(async () => {
  fake = await FakeXds.start();
  store = new MeshStore();
  clock = new FakeClock();
  stop = new AbortController();
  demand = new OnDemand(clock);
  terminations = 0;
});

afterEach(() => {
  stop.abort();
  fake.kill();
});

const pod = workload({ name: 'a', addresses: [ip('10.0.0.1')] });
const svc = service({ addresses: [networkAddress('/10.96.0.1')] });

function start() {
  const address = fake.address;
  return startTestProxy({
    plane: () => address,
    store,
    demand,
    clock,
    metrics: { message: () => undefined, terminated: () => void terminations++ },
    signal: stop.signal,
  });
}

/** A stream on which the first answers, empty ones, have been ACKed. */
async function ready(): Promise<FakeXdsStream> {
  const client = start();
  const stream = await fake.stream();
  await stream.next();
  await stream.next();
  stream.send(addressResponse('n1', []));
  stream.send(policyResponse('n2', []));
  await stream.next();
  await stream.next();
  await client.ready;
  return stream;
}

/** As istiod answers: with the aliases. */
function answer(stream: FakeXdsStream, nonce: string, addresses: readonly MeshAddress[], removed: string[] = []): void {
  const response = addressResponse(nonce, addresses, removed);
  const resources = response.resources!.map((r, i) => {
    const a = addresses[i]!;
    const ips =
      a.kind === 'workload'
        ? a.addresses.map((x) => `${a.network}/${x}`)
        : a.addresses.map((x) => `${x.network}/${x.ip}`);
    return { ...r, aliases: ips };
  });
  stream.send({ ...response, resources });
}

async function settled(promise: Promise<void>): Promise<'done' | 'open'> {
  return Promise.race([promise.then(() => 'done' as const), new Promise<'open'>((r) => setImmediate(() => r('open')))]);
}

test('the first request names nothing, policies stay a wildcard', async () => {
  start();
  const stream = await fake.stream();
  const first = await stream.next();
  assert.equal(first.typeUrl, addressTypeUrl);
  assert.deepEqual([first.resourceNamesSubscribe, first.resourceNamesUnsubscribe], [['*'], ['*']]);
  const second = await stream.next();
  assert.equal(second.typeUrl, authorizationTypeUrl);
  assert.deepEqual([second.resourceNamesSubscribe, second.resourceNamesUnsubscribe], [[], []]);
});

test('a look-up waits for the resource: by uid, by address, by host name', async () => {
  const stream = await ready();
  const key = `default/${svc.hostname}`;
  for (const [names, addresses] of [
    [[pod.uid], [pod]],
    [['/10.0.0.1'], [pod]],
    [[key], [svc]],
    [['/10.96.0.1'], [svc]],
  ] as const) {
    const waiting = demand.need(names)!;
    const request = await stream.next();
    assert.deepEqual(request.resourceNamesSubscribe, names);
    assert.equal(request.responseNonce, '');
    assert.equal(await settled(waiting), 'open');
    answer(stream, 'n', addresses);
    await waiting;
    await stream.next();
    assert.equal(demand.need(names), undefined, 'known now');
  }
  assert.equal(store.workloadByIp('', ip('10.0.0.1'))?.uid, pod.uid);
});

test('a removal of exactly that name is an answer too, others are not', async () => {
  const stream = await ready();
  const waiting = demand.need(['/10.9.9.9', '/10.9.9.8'])!;
  assert.deepEqual((await stream.next()).resourceNamesSubscribe, ['/10.9.9.9', '/10.9.9.8']);
  answer(stream, 'n3', [], ['/10.9.9.9']);
  await stream.next();
  assert.equal(await settled(waiting), 'open');
  answer(stream, 'n4', [pod], ['/10.9.9.8']);
  await waiting;
  assert.equal(demand.need(['/10.9.9.9', '/10.9.9.8']), undefined);
});

test('a resource that is NACKed is no answer, unless its last good form is known', async () => {
  const stream = await ready();
  const waiting = demand.need(['/10.0.0.1'])!;
  await stream.next();
  const bad = addressResponse('n3', [pod]);
  const spoiled = bad.resources!.map((r) => ({
    ...r,
    aliases: ['/10.0.0.1', '/10.0.0.2'],
    resource: { type_url: addressTypeUrl, value: Buffer.from([0xff]) },
  }));
  stream.send({ ...bad, resources: spoiled });
  assert.match((await stream.next()).errorDetail!.message, new RegExp(pod.uid));
  assert.equal(await settled(waiting), 'open');
  answer(stream, 'n4', [pod]);
  await waiting;
  await stream.next();
  const other = demand.need(['/10.0.0.2'])!;
  await stream.next();
  stream.send({ ...bad, nonce: 'n5', resources: spoiled });
  await other;
});

test('questions that come together are asked once', async () => {
  const stream = await ready();
  const all = [demand.need(['/10.0.0.1']), demand.need(['/10.0.0.1', '/10.0.0.2']), demand.need(['/10.0.0.2'])];
  assert.deepEqual((await stream.next()).resourceNamesSubscribe, ['/10.0.0.1']);
  assert.deepEqual((await stream.next()).resourceNamesSubscribe, ['/10.0.0.2']);
  answer(stream, 'n3', [pod], ['/10.0.0.2']);
  await Promise.all(all);
  assert.equal((await stream.next()).responseNonce, 'n3');
});

test('a look-up without an answer fails after 5 s, and the next asks again', async () => {
  const stream = await ready();
  const waiting = demand.need(['/10.0.0.1'])!;
  await stream.next();
  clock.advance(5_000);
  await assert.rejects(waiting, {
    code: 'NO_HEALTHY_UPSTREAM',
    message: /has not said within 5000 ms what \/10\.0\.0\.1 is/,
  });
  const again = demand.need(['/10.0.0.1'])!;
  await stream.next();
  answer(stream, 'n3', [pod]);
  await again;
});

test('after a break everything is asked for again: what is known with its version, the rest with an empty one', async () => {
  const stream = await ready();
  const known = demand.need(['/10.0.0.1', '/10.9.9.9'])!;
  await stream.next();
  answer(stream, 'n3', [pod], ['/10.9.9.9']);
  await known;
  await stream.next();
  const pending = demand.need(['/10.96.0.1'])!;
  await stream.next();
  stream.end();
  await until('the end and a back-off', () => terminations === 1 && clock.nextIn !== undefined);
  clock.advance(1);
  const away = demand.need(['/10.0.0.7'])!;
  clock.advance(9);
  const next = await fake.stream();
  const first = await next.next();
  assert.deepEqual([first.resourceNamesSubscribe, first.resourceNamesUnsubscribe], [['*'], ['*']]);
  assert.deepEqual(
    { ...first.initialResourceVersions },
    { [pod.uid]: 'v-n3', '/10.0.0.1': '', '/10.9.9.9': '', '/10.96.0.1': '', '/10.0.0.7': '' },
  );
  answer(next, 'm1', [svc], ['/10.0.0.7']);
  await Promise.all([pending, away]);
});

test('what comes to be or vanishes after its answer is followed', async () => {
  const stream = await ready();
  const waiting = demand.need(['/10.0.0.1'])!;
  await stream.next();
  answer(stream, 'n3', [], ['/10.0.0.1']);
  await waiting;
  answer(stream, 'n4', [pod]);
  await until('the workload', () => store.workload(pod.uid));
  answer(stream, 'n5', [], [pod.uid]);
  await until('its removal', () => !store.workload(pod.uid));
  assert.equal(demand.need(['/10.0.0.1']), undefined);
});

test('of names that nothing is known by 10,000 stay subscribed, the oldest go', async () => {
  const stream = await ready();
  const names = Array.from({ length: 10_002 }, (_, i) => `/10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  const waiting = demand.need(names)!;
  await stream.next();
  answer(stream, 'n3', [], names);
  await waiting;
  const dropped = await stream.next();
  assert.deepEqual([dropped.resourceNamesSubscribe, dropped.resourceNamesUnsubscribe], [[], names.slice(0, 2)]);
  assert.equal(demand.names().length, 10_000);
  assert.ok(demand.need([names[0]!]), 'asked again');
  assert.equal(demand.need([names[2]!]), undefined);
});
