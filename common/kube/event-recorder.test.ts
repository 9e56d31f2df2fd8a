import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../core/log.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { EventRecorder, type EventWriter, type Happening, type KubeEvent } from './event-recorder.ts';

const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'n', uid: 'u', resourceVersion: '7' } };
const started: Happening = { type: 'Normal', reason: 'Started', message: 'm', fieldPath: 'spec.containers{c}' };

function world(over: Partial<EventWriter> = {}) {
  const clock = new FakeClock();
  const created: KubeEvent[] = [];
  const counts: number[] = [];
  const writer: EventWriter = {
    create: async (event) => void created.push(event),
    change: async (_key, { count }) => {
      counts.push(count);
      return true;
    },
    isHarmless: () => false,
    ...over,
  };
  const recorder = new EventRecorder(writer, { component: 'kubelet', host: 'node-1' }, clock, silentLogger);
  const record = async (happening = started) => {
    recorder.record(pod, happening);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, created, counts, record };
}

test('an event names its object, the part of it, and who saw it', async () => {
  const { created, record } = world();
  await record();
  const [event] = created;
  assert.equal(event?.metadata.namespace, 'n');
  assert.deepEqual(event?.['involvedObject'], {
    ...{ kind: 'Pod', apiVersion: 'v1', name: 'p', uid: 'u', resourceVersion: '7', namespace: 'n' },
    fieldPath: 'spec.containers{c}',
  });
  assert.deepEqual(event?.['source'], { component: 'kubelet', host: 'node-1' });
});

test('the same again is counted, anew when it is gone or was long ago', async () => {
  const { clock, created, counts, record } = world();
  await record();
  await record();
  await record({ ...started, message: 'other' });
  assert.deepEqual([created.length, counts], [2, [2]]);
  await clock.advance(10 * 60_000);
  await record();
  assert.deepEqual([created.length, counts], [3, [2]]);
  const gone = world({ change: async () => false });
  await gone.record();
  await gone.record();
  assert.equal(gone.created.length, 2);
});

test('of one object no more than its burst, and later some again', async () => {
  const { clock, created, record } = world();
  for (let i = 0; i < 40; i++) await record({ ...started, message: String(i) });
  assert.equal(created.length, 25);
  await clock.advance(2 * 300_000);
  for (let i = 0; i < 5; i++) await record({ ...started, message: `later ${i}` });
  assert.equal(created.length, 27);
});

test('events of one object come in order, and a failure does not hold up the next', async () => {
  const created: string[] = [];
  const { record } = world({
    create: async (event) => {
      if (event['message'] === '0') throw new Error('no');
      created.push(String(event['message']));
    },
  });
  for (const message of ['0', '1', '2']) await record({ ...started, message });
  assert.deepEqual(created, ['1', '2']);
});

test('names of events sort as they happened', async () => {
  const { created, record } = world();
  for (const message of ['0', '1', '2', '3']) await record({ ...started, message });
  const names = created.map((e) => e.metadata.name);
  assert.deepEqual(names, names.toSorted());
});
