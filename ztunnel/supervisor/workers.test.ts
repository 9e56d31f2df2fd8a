import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Fd, fd } from '../../common/core/brand.ts';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import type { Packet, SeqpacketConnection } from '../../native/index.ts';
import {
  answerChunk,
  decodeFromSupervisor,
  encode,
  type PodMessage,
  type ToSupervisor,
  type ToWorker,
} from '../control/messages.ts';
import type { WorkerProcess } from './running-worker.ts';
import { WorkerFleet } from './workers.ts';

class FakeWorker implements WorkerProcess, SeqpacketConnection {
  readonly peer = { pid: 4711, uid: 0 };
  readonly pid = 4711;
  readonly connection = this;
  readonly got: { readonly message: ToWorker; readonly fds: readonly Fd[] }[] = [];
  readonly signals: string[] = [];
  #onPacket: ((packet: Packet) => void) | undefined;
  #onExit: ((how: string) => void) | undefined;

  send(data: Uint8Array, fds: readonly Fd[] = []): void {
    this.got.push({ message: decodeFromSupervisor(data), fds });
  }
  onPacket(handler: (packet: Packet) => void): void {
    this.#onPacket = handler;
  }
  onClose(): void {}
  close(): void {}
  unref(): void {}
  onExit(handler: (how: string) => void): void {
    this.#onExit = handler;
  }
  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.signals.push(signal);
  }

  say(message: ToSupervisor): void {
    this.#onPacket!({ data: encode(message), fds: [] });
  }
  raw(text: string): void {
    this.#onPacket!({ data: Buffer.from(text), fds: [] });
  }
  exit(): void {
    this.#onExit!('signal SIGKILL');
  }
  kinds(): string[] {
    return this.got.map((g) => g.message.kind);
  }
}

const pod: PodMessage = {
  kind: 'pod',
  hidesClients: false,
  pod: 1,
  uid: 'u1',
  netns: 'n',
  info: { name: 'web', namespace: 'shop', serviceAccount: 'web' },
  listeners: [{ role: 'outbound', port: 1 }],
};

function fleet(over: { readonly sockets?: () => readonly Fd[]; readonly count?: number } = {}) {
  const spawned: FakeWorker[] = [];
  const closed: Fd[] = [];
  const logged: string[] = [];
  const sink = { levels: new LogLevels(), format: 'plain', write: (line: string) => void logged.push(line) } as const;
  const clock = new FakeClock();
  const workers = new WorkerFleet({
    count: over.count ?? 1,
    spawn() {
      spawned.push(new FakeWorker());
      return spawned.at(-1)!;
    },
    makePair: () => [fd(70), fd(71)],
    pods: () => [{ message: pod, fds: [fd(50)] }],
    makeSockets: over.sockets ?? ((_pod, _kind, count) => Array.from({ length: count }, (_, i) => fd(60 + i))),
    closeFd: (f) => closed.push(f),
    clock,
    log: createLogger(sink, 'test'),
  });
  workers.start();
  return { workers, spawned, closed, clock, logged, worker: spawned[0]! };
}

test('a worker that says hello is told of the pods; until it is ready the node waits', () => {
  const { workers, worker } = fleet();
  assert.deepEqual(workers.pending, ['worker']);
  worker.say({ kind: 'pending', items: ['state manager'] });
  worker.say({ kind: 'hello' });
  assert.deepEqual(worker.got, [{ message: pod, fds: [fd(50)] }]);
  assert.deepEqual(workers.pending, ['state manager']);
  worker.say({ kind: 'pending', items: [] });
  assert.deepEqual(workers.pending, []);
});

test('the fleet is warm once every worker has known the mesh, and stays so', async () => {
  const { workers, spawned } = fleet();
  let warm = false;
  void workers.warm.then(() => {
    warm = true;
  });
  spawned[0]!.say({ kind: 'hello' });
  spawned[0]!.say({ kind: 'pending', items: [] });
  await Promise.resolve();
  assert.equal(warm, false);
  spawned[0]!.say({ kind: 'warm' });
  await workers.warm;
  spawned[0]!.exit();
  await workers.warm;
});

test('a worker that dies is started again, and the next one gets the same listeners', () => {
  const { workers, spawned, clock } = fleet();
  spawned[0]!.exit();
  assert.equal(spawned.length, 2);
  assert.deepEqual(workers.pending, ['worker']);
  spawned[1]!.say({ kind: 'hello' });
  assert.deepEqual(spawned[1]!.got, [{ message: pod, fds: [fd(50)] }]);
  // One that dies at once again waits, ever longer; one that lived is replaced at once.
  spawned[1]!.exit();
  assert.equal(spawned.length, 2);
  assert.equal(clock.nextIn, 50);
  clock.advance(50);
  assert.equal(spawned.length, 3);
  clock.advance(10_000);
  spawned[2]!.exit();
  assert.equal(spawned.length, 4);
  assert.equal(workers.restarts, 3);
});

test('sockets are made on request, sent, and closed here', () => {
  const { worker, closed } = fleet();
  worker.say({ kind: 'need', pod: 1, socket: 'outbound4', count: 3 });
  const { message, fds } = worker.got[0]!;
  assert.deepEqual(message, { kind: 'sockets', pod: 1, socket: 'outbound4', asked: 3, error: '' });
  assert.deepEqual(fds, [60, 61, 62]);
  assert.deepEqual(closed, [60, 61, 62]);
});

test('sockets that cannot be made are answered with the reason', () => {
  const { worker } = fleet({
    sockets() {
      throw new Error('EMFILE');
    },
  });
  worker.say({ kind: 'need', pod: 1, socket: 'outbound4', count: 3 });
  assert.deepEqual(worker.got[0]!.message, { kind: 'sockets', pod: 1, socket: 'outbound4', asked: 3, error: 'EMFILE' });
});

test('a worker that talks nonsense is killed', () => {
  const { worker } = fleet();
  worker.raw('{"kind":"need","pod":1,"socket":"outbound4","count":100000}');
  worker.raw('not json');
  assert.deepEqual(worker.signals, ['SIGKILL', 'SIGKILL']);
});

test('serving waits for the worker, and gives up before the agent does', async () => {
  const { workers, worker, clock } = fleet();
  const served = workers.serve(pod, [fd(50)]);
  worker.say({ kind: 'serving', pod: 1, error: '' });
  await served;
  const refused = workers.serve(pod, [fd(50)]);
  worker.say({ kind: 'serving', pod: 1, error: 'EBADF' });
  await assert.rejects(refused, /EBADF/);
  const hangs = workers.serve(pod, [fd(50)]);
  clock.advance(3_500);
  await assert.rejects(hangs, /3\.5 s/);
});

test('a pod is gone when the worker says so, dies, or misses the deadline', async () => {
  const { workers, spawned, clock } = fleet();
  const said = workers.drop(1, 5_000);
  spawned[0]!.say({ kind: 'dropped', pod: 1 });
  await said;
  const late = workers.drop(1, 5_000);
  clock.advance(6_000);
  await late;
  const died = workers.drop(1, 5_000);
  spawned[0]!.exit();
  await died;
});

test('answers come in pieces; a worker that is silent is left out', async () => {
  const { workers, worker, clock } = fleet();
  const collected = workers.ask({ kind: 'metrics' });
  worker.say({ kind: 'answer', id: 1, last: false, text: '[1,' });
  worker.say({ kind: 'answer', id: 1, last: true, text: '2]' });
  assert.deepEqual(await collected, ['[1,2]']);
  const silent = workers.ask({ kind: 'metrics' });
  clock.advance(2_000);
  assert.deepEqual(await silent, []);
});

test('an answer that is too long is dropped, and that is said once', async () => {
  const { workers, worker, logged } = fleet();
  const collected = workers.ask({ kind: 'metrics' });
  const text = 'x'.repeat(answerChunk);
  const most = (16 * 1024 * 1024) / answerChunk;
  for (let i = 0; i <= most; i++) worker.say({ kind: 'answer', id: 1, last: false, text });
  assert.deepEqual(await collected, []);
  worker.say({ kind: 'answer', id: 1, last: true, text });
  assert.equal(logged.filter((line) => /too long.*metrics/.test(line)).length, 1);
  const next = workers.ask({ kind: 'metrics' });
  worker.say({ kind: 'answer', id: 2, last: true, text: '[]' });
  assert.deepEqual(await next, ['[]']);
});

test('draining asks first and kills after the deadline, and nothing is started again', async () => {
  const { workers, spawned, clock } = fleet();
  const drained = workers.drain(5_000, undefined);
  assert.deepEqual(spawned[0]!.kinds(), ['drain']);
  clock.advance(6_000);
  assert.deepEqual(spawned[0]!.signals, ['SIGKILL']);
  spawned[0]!.exit();
  await drained;
  assert.equal(spawned.length, 1);
});

/** One worker that serves, and the successor that was asked for. */
function replacing() {
  const bed = fleet();
  const [old] = bed.spawned as [FakeWorker];
  for (const kind of ['hello', 'warm'] as const) old.say({ kind });
  const replaced = bed.workers.replace(5_000);
  const successor = bed.spawned[1]!;
  successor.say({ kind: 'hello' });
  return { ...bed, old, successor, replaced };
}

test('a successor gets the listeners, takes over once it knows the mesh, and only then the old worker drains', async () => {
  const { workers, old, successor, replaced, spawned } = replacing();
  assert.deepEqual(successor.got, [{ message: pod, fds: [fd(50)] }]);
  successor.say({ kind: 'pending', items: ['state manager'] });
  assert.deepEqual(workers.pending, ['worker'], 'of who serves');
  assert.deepEqual(old.kinds(), ['pod']);
  successor.say({ kind: 'warm' });
  await replaced;
  assert.deepEqual(old.got.at(-1)?.message, { kind: 'replaced', deadline: 5_000, listeners: 'same' });
  assert.deepEqual(workers.pending, ['state manager']);
  old.exit();
  assert.equal(spawned.length, 2);
  assert.equal(workers.restarts, 0);
});

test('asked again before the successor has taken over, it is the same replacement; then it is another', async () => {
  const { workers, successor, replaced, spawned } = replacing();
  const again = workers.replace(5_000);
  assert.equal(spawned.length, 2);
  successor.say({ kind: 'warm' });
  await Promise.all([again, replaced]);
  void workers.replace(5_000);
  assert.equal(spawned.length, 3);
});

test('a worker goes on where its successor dies, is late, or cannot take the listeners', async () => {
  const ways: Readonly<Record<string, (bed: ReturnType<typeof replacing>) => void>> = {
    'ended before it took over': ({ successor }) => successor.exit(),
    'does not know the mesh after 60 s': ({ clock }) => clock.advance(60_000),
    'descriptors were lost': ({ successor }) =>
      successor.say({ kind: 'serving', pod: 1, error: 'descriptors were lost' }),
  };
  for (const [why, fail] of Object.entries(ways)) {
    const bed = replacing();
    fail(bed);
    await bed.replaced;
    bed.successor.say({ kind: 'warm' });
    assert.deepEqual(bed.old.kinds(), ['pod'], why);
    assert.ok(
      bed.logged.some((line) => line.includes(why)),
      bed.logged.join('\n'),
    );
    bed.old.say({ kind: 'pending', items: [] });
    assert.deepEqual(bed.workers.pending, [], why);
    // What a late one has accepted ends in order.
    if (!why.startsWith('ended')) assert.equal(bed.successor.kinds().at(-1), 'drain', why);
    // It dies later as any other, and is started again.
    bed.old.exit();
    assert.equal(bed.spawned.length, 3, why);
  }
});

test('a worker that dies before its successor knows the mesh has it in its place at once', async () => {
  const { workers, old, successor, replaced, spawned } = replacing();
  old.exit();
  await replaced;
  successor.say({ kind: 'pending', items: [] });
  assert.deepEqual(workers.pending, []);
  assert.equal(spawned.length, 2);
  assert.equal(workers.restarts, 1);
});

test('pods come to successors too, and a pod is gone when the workers that were replaced have ended', async () => {
  const { workers, old, successor, replaced, clock } = replacing();
  const second = { ...pod, pod: 2 };
  const served = workers.serve(second, [fd(51)]);
  assert.deepEqual(successor.got.at(-1), { message: second, fds: [fd(51)] });
  successor.say({ kind: 'serving', pod: 2, error: '' });
  let isServed = false;
  void served.then(() => {
    isServed = true;
  });
  await Promise.resolve();
  assert.equal(isServed, false, 'the one that serves has not said so');
  old.say({ kind: 'serving', pod: 2, error: '' });
  await served;
  successor.say({ kind: 'warm' });
  await replaced;
  let isGone = false;
  const gone = workers.drop(2, 5_000).then(() => {
    isGone = true;
  });
  successor.say({ kind: 'dropped', pod: 2 });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isGone, false, 'connections of the pod may still need sockets there');
  clock.advance(6_000);
  assert.deepEqual(old.signals, ['SIGKILL']);
  old.exit();
  await gone;
});

test('workers that were replaced answer too, and all of them end when ztunnel drains', async () => {
  const { workers, old, successor, replaced, spawned } = replacing();
  successor.say({ kind: 'warm' });
  await replaced;
  const answers = workers.ask({ kind: 'metrics' });
  for (const worker of [old, successor]) worker.say({ kind: 'answer', id: 1, last: true, text: '[]' });
  assert.deepEqual(await answers, ['[]', '[]']);
  void workers.replace(5_000);
  let isDrained = false;
  const drained = workers.drain(5_000, undefined).then(() => {
    isDrained = true;
  });
  assert.deepEqual([successor.kinds().at(-1), spawned[2]!.kinds().at(-1)], ['drain', 'drain']);
  successor.exit();
  old.exit();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isDrained, false);
  spawned[2]!.exit();
  await drained;
  assert.equal(spawned.length, 3);
});

test("draining with an heir sends each worker's end of a line there, and the worker gives away before it drains", () => {
  const { workers, worker, closed } = fleet();
  worker.say({ kind: 'hello' });
  worker.say({ kind: 'warm' });
  const sent: (readonly [place: number, line: Fd])[] = [];
  void workers.drain(5_000, (...line) => sent.push(line));
  assert.deepEqual(sent, [[0, 71]]);
  assert.deepEqual(worker.got.at(-1), {
    message: { kind: 'replaced', deadline: 5_000, listeners: 'others' },
    fds: [fd(70)],
  });
  assert.deepEqual(closed, [71, 70]);
});

test('a line of another proxy goes to a worker that knows the mesh, and to no other', () => {
  const { workers, spawned, closed } = fleet();
  const last = () => spawned.at(-1)!.got.at(-1);
  spawned[0]!.say({ kind: 'hello' });
  workers.takeOver(0, fd(80));
  assert.equal(last()!.message.kind, 'pod');
  spawned[0]!.say({ kind: 'warm' });
  // The other has more workers than this one.
  workers.takeOver(3, fd(81));
  assert.deepEqual(last(), { message: { kind: 'predecessor' }, fds: [fd(81)] });
  spawned[0]!.exit();
  workers.takeOver(0, fd(82));
  assert.equal(last(), undefined);
  spawned[1]!.say({ kind: 'warm' });
  void workers.drain(5_000, undefined);
  workers.takeOver(0, fd(83));
  assert.deepEqual(spawned[1]!.kinds(), ['drain']);
  assert.deepEqual(closed, [80, 81, 82, 83]);
});

test('a line whose place has a worker that only begins goes to another that knows the mesh', () => {
  const { workers, spawned, closed } = fleet({ count: 3 });
  for (const worker of spawned) worker.say({ kind: 'hello' });
  for (const worker of spawned.slice(1)) worker.say({ kind: 'warm' });
  workers.takeOver(2, fd(80));
  workers.takeOver(0, fd(81));
  assert.deepEqual(
    spawned.map((worker) => worker.kinds().filter((kind) => kind === 'predecessor').length),
    [0, 1, 1],
  );
  assert.deepEqual(closed, [80, 81]);
});
