import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Fd } from '../../common/core/brand.ts';
import { MeshError } from '../../common/core/errors.ts';
import { ip, port } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import { addonFile, closeFd, dupFd, type Packet, seqpacketFromFd, seqpacketPair } from '../../native/index.ts';
import { type Frozen, type Given, give, type Movable } from './give.ts';
import { encodeMessage, hello, type Line, type ToGiver } from './protocol.ts';
import { type Restored, type Taken, take } from './take.ts';
import type { Unit } from './unit.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const address = { ip: ip('10.0.0.1'), port: port(80) };

/** A unit that its pod names; so many connections. */
function unitOf(id: number, connections = 1): Unit {
  const relay = {
    tag: `${id}|1`,
    record: { direction: 'outbound' as const, sourceAddress: address, destinationAddress: address, mtls: false },
    elapsedMs: 1,
    received: 2,
    sent: 3,
    inbound: undefined,
  };
  return {
    pod: { uid: `${id}`, netns: 'n' },
    tunnel: undefined,
    relays: Array.from({ length: connections }, () => relay),
  };
}

/**
 * One end of a pair as the kernel's: what was sent is there for the peer although its sender has gone, and is read before the end. Packets
 * move when the test says so.
 */
class FakeEnd implements Line {
  peer!: FakeEnd;
  readonly inbox: Packet[] = [];
  readonly #capacity: number;
  #handler: ((packet: Packet) => void) | undefined;
  #onClose: ((error: Error | undefined) => void) | undefined;
  #told = false;
  closed = false;
  /** Its process is gone. */
  dead = false;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  static pair(capacity = 1_000): [FakeEnd, FakeEnd] {
    const [a, b] = [new FakeEnd(capacity), new FakeEnd(capacity)];
    a.peer = b;
    b.peer = a;
    return [a, b];
  }

  get gone(): boolean {
    return this.closed || this.dead;
  }

  trySend(data: Uint8Array, fds: readonly Fd[] = []): 'sent' | 'full' | 'gone' {
    if (this.gone || this.peer.gone) return 'gone';
    if (this.peer.inbox.length >= this.#capacity) return 'full';
    this.peer.inbox.push({ data, fds });
    return 'sent';
  }
  send(data: Uint8Array): void {
    if (!this.gone && !this.peer.gone) this.peer.inbox.push({ data, fds: [] });
  }
  onPacket(handler: (packet: Packet) => void): void {
    this.#handler = handler;
  }
  onClose(handler: (error: Error | undefined) => void): void {
    this.#onClose = handler;
  }
  close(error?: Error): void {
    if (this.closed) return;
    this.closed = true;
    setImmediate(() => this.#tell(error));
  }

  /** The next packet, or the end behind the last. */
  deliver(): void {
    if (this.gone) return;
    const packet = this.inbox.shift();
    if (!packet) {
      if (this.peer.gone) this.close();
      return;
    }
    try {
      this.#handler?.(packet);
    } catch (e) {
      this.close(e as Error);
    }
  }

  #tell(error: Error | undefined): void {
    if (this.dead || this.#told) return;
    this.#told = true;
    this.#onClose?.(error);
  }
}

type Step = 'toTaker' | 'toGiver' | 'freeze' | 'restore' | 'time' | 'killTaker' | 'killGiver';

interface UnitFate {
  readonly unmoved: boolean;
  readonly unreadable: boolean;
  /** How often there is no descriptor for it first. */
  readonly lacks?: number;
}

/** Both processes with engines that only note where a unit is live. */
class World {
  readonly clock = new FakeClock();
  readonly liveIn = { old: new Set<number>(), new: new Set<number>() };
  /** Units that the kernel has a commit for. */
  readonly committed = new Set<number>();
  readonly restoredOnce = new Set<number>();
  readonly giver: FakeEnd;
  readonly taker: FakeEnd;
  readonly #units: readonly UnitFate[];
  readonly #lacked = new Map<number, number>();
  readonly #freezing: (() => void)[] = [];
  readonly #restoring: (() => void)[] = [];
  given: Given | undefined;
  taken: Taken | undefined;

  constructor(units: readonly UnitFate[], capacity: number) {
    this.#units = units;
    [this.giver, this.taker] = FakeEnd.pair(capacity);
    for (const id of units.keys()) this.liveIn.old.add(id);
    const movables = units.map((_, id) => this.#movable(id));
    void give({ line: this.giver, clock: this.clock, engine: 'e', movables }).then((given) => {
      this.given = given;
    });
    const restore = (unit: Unit) => this.#restore(Number(unit.pod.uid));
    void take({ line: this.taker, engine: 'e', restore, closeFd: () => undefined }).then((taken) => {
      this.taken = taken;
    });
  }

  #movable(id: number): Movable {
    return {
      connections: 1,
      descriptors: 3,
      freeze: () =>
        new Promise((resolve) => {
          this.#freezing.push(() => {
            if (this.giver.dead) return;
            const lacked = this.#lacked.get(id) ?? 0;
            if (lacked < (this.#units[id]!.lacks ?? 0)) {
              this.#lacked.set(id, lacked + 1);
              return resolve({ lacksDescriptors: 'too many open files' });
            }
            if (this.#units[id]!.unmoved) return resolve({ unmoved: 'it is in a handshake' });
            assert.ok(this.liveIn.old.delete(id));
            resolve(this.#frozen(id));
          });
        }),
    };
  }

  #frozen(id: number): Frozen {
    const decide = (how: 'thaw' | 'forget') => {
      assert.ok(!this.liveIn.old.has(id) && !this.committed.has(id), 'it is decided once');
      if (how === 'forget') this.committed.add(id);
      else this.liveIn.old.add(id);
    };
    return { unit: unitOf(id), fds: [], thaw: () => decide('thaw'), forget: () => decide('forget') };
  }

  #restore(id: number): Promise<Restored> {
    return new Promise((resolve, reject) => {
      this.#restoring.push(() => {
        if (this.taker.dead) return;
        if (this.#units[id]!.unreadable) return reject(new MeshError('PROTOCOL', 'a row has no bytes'));
        let open = true;
        const end = () => {
          assert.ok(open, 'it is decided once');
          open = false;
        };
        resolve({
          goLive: () => {
            end();
            this.liveIn.new.add(id);
          },
          discard: end,
        });
      });
    });
  }

  async step(step: Step): Promise<void> {
    switch (step) {
      case 'toTaker':
        this.taker.deliver();
        break;
      case 'toGiver':
        this.giver.deliver();
        break;
      case 'freeze':
        this.#freezing.shift()?.();
        break;
      case 'restore':
        this.#restoring.shift()?.();
        break;
      case 'time':
        if (!this.giver.dead) this.clock.advance(1_000);
        break;
      case 'killTaker':
        this.taker.dead = true;
        break;
      case 'killGiver':
        this.giver.dead = true;
        break;
    }
    await turn();
    this.check();
  }

  check(): void {
    for (const id of this.#units.keys()) {
      const live = Number(this.liveIn.old.has(id) && !this.giver.dead) + Number(this.liveIn.new.has(id));
      assert.ok(live <= 1, `unit ${id} is live in both`);
      if (this.liveIn.new.has(id)) assert.ok(this.committed.has(id), `unit ${id} lives without the word for it`);
      if (this.committed.has(id)) assert.ok(!this.liveIn.old.has(id), `unit ${id} was given and kept`);
    }
  }

  /** Everything that can happen by itself happens. */
  async finish(): Promise<void> {
    for (let i = 0; i < 60 + 20 * this.#units.length; i++) {
      for (const step of ['freeze', 'toTaker', 'restore', 'toGiver'] as const) await this.step(step);
      if (i % 10 === 9 && !this.giver.dead) this.clock.advance(10);
    }
    // A peer that is dead shows at once; one that is silent at the limit.
    for (let i = 0; i < 6; i++) await this.step('time');
    for (const step of ['freeze', 'toGiver', 'toTaker', 'restore', 'toTaker'] as const) await this.step(step);
  }
}

/** Mostly progress, now and then time, and at some point perhaps a death. */
const schedule = fc
  .record({
    order: fc.array(
      fc.oneof(
        { weight: 50, arbitrary: fc.constantFrom<Step>('toTaker', 'toGiver', 'freeze', 'restore') },
        { weight: 1, arbitrary: fc.constant<Step>('time') },
      ),
      { minLength: 20, maxLength: 200 },
    ),
    death: fc.constantFrom<Step | undefined>('killTaker', 'killGiver', undefined),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ order, death, at }) => (death ? order.toSpliced(Math.floor(at * order.length), 0, death) : order));
const several = fc.array(
  fc.record({
    unmoved: fc.boolean(),
    unreadable: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    lacks: fc.integer({ min: 0, max: 12 }).map((n) => Math.max(0, n - 9)),
  }),
  { minLength: 0, maxLength: 40 },
);

test('whoever dies when, in whatever order things come: a unit is never live in both, and lost only with its own process', async () => {
  let moved = 0;
  let deaths = 0;
  await fc.assert(
    fc.asyncProperty(several, schedule, fc.integer({ min: 1, max: 20 }), async (units, order, capacity) => {
      const world = new World(units, capacity);
      for (const step of order) await world.step(step);
      await world.finish();
      const { giver, taker, liveIn, committed } = world;
      for (const id of units.keys()) {
        if (committed.has(id)) assert.equal(liveIn.new.has(id) || taker.dead, true, `unit ${id} was given to nobody`);
        else if (!giver.dead) assert.ok(liveIn.old.has(id), `unit ${id} was neither given nor kept`);
      }
      if (!giver.dead) {
        assert.equal(world.given?.moved, committed.size);
        const stayed = [...world.given!.stayed.values()].reduce((a, b) => a + b, 0);
        assert.equal(stayed + committed.size, units.length);
      }
      if (!taker.dead) assert.equal(world.taken?.moved, liveIn.new.size);
      if (!giver.dead && !taker.dead) {
        const able = units.filter((u) => !u.unmoved && !u.unreadable).length;
        assert.ok(committed.size <= able);
      }
      moved += committed.size;
      deaths += Number(giver.dead) + Number(taker.dead);
    }),
    { numRuns: 150 },
  );
  assert.ok(moved > 20 && deaths > 20, `${moved} units and ${deaths} deaths show nothing`);
});

test('undisturbed everything moves that can, and the rest is counted by its reason', async () => {
  const units = Array.from({ length: 100 }, (_, i) => ({ unmoved: i % 10 === 0, unreadable: i % 10 === 1 }));
  const world = new World(units, 5);
  await world.finish();
  assert.equal(world.given?.moved, 80);
  assert.deepEqual([...world.given!.stayed].sort(), [
    ['a row has no bytes', 10],
    ['it is in a handshake', 10],
  ]);
  assert.deepEqual(world.taken, { moved: 80, error: undefined });
});

test('what descriptors lack for waits until others have moved, and moves then', async () => {
  const [line, other] = FakeEnd.pair();
  const clock = new FakeClock();
  // As many as this process may have frozen at a time; a table of its own, as that of the kernel.
  let free = 1;
  let refused = 0;
  let passed = 0;
  const movables = Array.from(
    { length: 9 },
    (_, id): Movable => ({
      connections: 1,
      descriptors: 3,
      async freeze() {
        if (free === 0) {
          refused++;
          return { lacksDescriptors: 'too many open files' };
        }
        free--;
        return { unit: unitOf(id), fds: [], thaw: () => assert.fail('it has moved'), forget: () => void free++ };
      },
    }),
  );
  let given: Given | undefined;
  void give({ line, clock, engine: 'e', movables }).then((result) => {
    given = result;
  });
  const restore = async () => ({ goLive: () => undefined, discard: () => assert.fail('it was committed') });
  void take({ line: other, engine: 'e', restore, closeFd: () => undefined });
  for (let i = 0; !given; i++) {
    assert.ok(i < 1_000, 'it goes on for ever');
    other.deliver();
    line.deliver();
    await turn();
    // Longer in all than anything may lack them: what moves sets that back.
    clock.advance(400);
    passed += 400;
  }
  assert.ok(refused > 0 && passed > 5_000, `${refused} refusals in ${passed} ms show nothing`);
  assert.deepEqual(given, { moved: 9, stayed: new Map() });
});

test('where no descriptor comes free everything stays, with the reason', async () => {
  const world = new World([{ unmoved: false, unreadable: false, lacks: Number.POSITIVE_INFINITY }], 1_000);
  for (let i = 0; i < 49; i++) {
    for (const step of ['toTaker', 'toGiver', 'freeze'] as const) await world.step(step);
    world.clock.advance(100);
  }
  assert.equal(world.given, undefined);
  for (let i = 0; i < 2; i++) {
    await world.step('freeze');
    world.clock.advance(100);
  }
  await turn();
  assert.deepEqual(world.given, { moved: 0, stayed: new Map([['too many open files', 1]]) });
  assert.deepEqual([...world.liveIn.old], [0]);
});

test('an engine that never answers keeps nobody waiting; one that answers late goes on', async () => {
  const world = new World([{ unmoved: false, unreadable: false }], 1_000);
  for (const step of ['toTaker', 'toGiver'] as const) await world.step(step);
  world.clock.advance(5_000);
  await turn();
  assert.deepEqual(world.given, { moved: 0, stayed: new Map([['the engine gave no answer in 5 s', 1]]) });
  await world.step('freeze');
  assert.deepEqual([...world.liveIn.old], [0]);
});

test('a successor that dies before its answer, with its answer unread, and after the word for it', async () => {
  const before = new World([{ unmoved: false, unreadable: false }], 10);
  const until = async (world: World, ...steps: readonly Step[]) => {
    for (const step of steps) await world.step(step);
  };
  await until(before, 'toTaker', 'toGiver', 'freeze', 'toTaker', 'toTaker', 'killTaker', 'toGiver', 'toGiver');
  assert.deepEqual([...before.liveIn.old], [0]);
  assert.deepEqual([...before.given!.stayed], [['the successor is gone', 1]]);

  const unread = new World([{ unmoved: false, unreadable: false }], 10);
  await until(
    unread,
    'toTaker',
    'toGiver',
    'freeze',
    'toTaker',
    'toTaker',
    'restore',
    'killTaker',
    'toGiver',
    'toGiver',
  );
  assert.deepEqual([...unread.liveIn.old], [0], 'the word for it came to nobody');

  const after = new World([{ unmoved: false, unreadable: false }], 10);
  await until(
    after,
    'toTaker',
    'toGiver',
    'freeze',
    'toTaker',
    'toTaker',
    'restore',
    'toGiver',
    'killTaker',
    'toGiver',
  );
  assert.deepEqual([...after.liveIn.old], [], 'it was its own by then');
  assert.equal(after.given!.moved, 1);
});

test('a giver that dies right behind its word has given; before it, nothing lives in the successor', async () => {
  for (const [word, live] of [
    [true, [0]],
    [false, []],
  ] as const) {
    const world = new World([{ unmoved: false, unreadable: false }], 10);
    for (const step of ['toTaker', 'toGiver', 'freeze', 'toTaker', 'toTaker', 'restore'] as const)
      await world.step(step);
    if (word) await world.step('toGiver');
    await world.step('killGiver');
    for (let i = 0; i < 3; i++) await world.step('toTaker');
    assert.deepEqual([...world.liveIn.new], live);
    assert.equal(world.taken!.moved, live.length);
  }
});

test('a successor of another version takes nothing, and the reason names both', async () => {
  const [line, other] = FakeEnd.pair();
  let frozen = 0;
  const freeze = async () => {
    frozen++;
    return { unmoved: '' };
  };
  const given = give({
    line,
    clock: new FakeClock(),
    engine: 'e1',
    movables: [{ connections: 7, descriptors: 3, freeze }],
  });
  const taken = take({ line: other, engine: 'e2', restore: () => Promise.reject(), closeFd: () => undefined });
  other.deliver();
  line.deliver();
  const reason = "the successor reads version e2 of the engine's state, this one writes e1";
  assert.deepEqual([...(await given).stayed], [[reason, 7]]);
  other.deliver();
  assert.deepEqual(await taken, { moved: 0, error: undefined });
  assert.equal(frozen, 0);
});

test('answers that fit no offer end the hand-over, and everything goes on', async () => {
  const wrong: readonly ToGiver[] = [
    hello('e'),
    { kind: 'accept', unit: 5 },
    { kind: 'refuse', unit: 1, reason: 'no' },
  ];
  for (const message of wrong) {
    const [line, other] = FakeEnd.pair();
    let thawed = 0;
    const frozen = { unit: unitOf(0), fds: [], thaw: () => void thawed++, forget: () => assert.fail('it was kept') };
    const movables = [{ connections: 1, descriptors: 3, freeze: () => Promise.resolve(frozen) }];
    const given = give({ line, clock: new FakeClock(), engine: 'e', movables });
    other.send(encodeMessage(hello('e')));
    line.deliver();
    await turn();
    other.send(encodeMessage(message));
    line.deliver();
    assert.equal((await given).moved, 0);
    assert.equal(thawed, 1);
  }
});

test('packets that break the protocol end it for who takes, which keeps nothing and no descriptor', async () => {
  const first = encodeMessage(hello('e'));
  const broken: readonly (readonly Uint8Array[])[] = [
    [Buffer.from('not json')],
    [Buffer.from('{"kind":"toString"}')],
    [first, first],
    [encodeMessage({ kind: 'part', unit: 0, text: '' })],
    [first, encodeMessage({ kind: 'offer', unit: 0 })],
    [first, encodeMessage({ kind: 'commit', unit: 0 })],
    [first, encodeMessage({ kind: 'part', unit: 0, text: '' }), encodeMessage({ kind: 'part', unit: 1, text: '' })],
  ];
  for (const packets of broken) {
    const [line, other] = FakeEnd.pair();
    const taken = take({ line: other, engine: 'e', restore: () => Promise.reject(), closeFd: () => undefined });
    for (const packet of packets) line.send(packet);
    for (const _ of packets) other.deliver();
    const { moved, error } = await taken;
    assert.equal(moved, 0);
    assert.ok(error instanceof MeshError);
  }
});

test('a text that cannot be read is refused with the field, and its descriptors are closed', async () => {
  const [line, other] = FakeEnd.pair();
  const closed: Fd[] = [];
  void take({ line: other, engine: 'e', restore: () => assert.fail(), closeFd: (fd) => closed.push(fd) });
  line.send(encodeMessage(hello('e')));
  line.send(encodeMessage({ kind: 'part', unit: 0, text: '{"version":1,"mesh":[],"relays":[]}' }));
  line.trySend(encodeMessage({ kind: 'offer', unit: 0 }), [7 as Fd, 8 as Fd]);
  for (let i = 0; i < 3; i++) other.deliver();
  assert.match(Buffer.from(line.inbox.at(-1)!.data).toString(), /"refuse".*unit\.pod is not an object/);
  assert.deepEqual(closed, [7, 8]);
  line.close();
});

test('over a socket pair: descriptors come with their units, in any number of packets', {
  skip: existsSync(addonFile) ? false : 'the addon is not built: make -C native',
}, async () => {
  const [a, b] = seqpacketPair();
  const [line, other] = [seqpacketFromFd(a), seqpacketFromFd(b)];
  const [spare, end] = seqpacketPair();
  const given: number[] = [];
  const movables = Array.from({ length: 50 }, (_, id) => ({
    connections: 40,
    descriptors: 41,
    freeze: async (): Promise<Frozen> => {
      const fds = Array.from({ length: 41 }, () => dupFd(spare) as Fd);
      return {
        unit: unitOf(id, 40),
        fds,
        thaw: () => assert.fail('it was given'),
        forget() {
          fds.forEach(closeFd);
          given.push(id);
        },
      };
    },
  }));
  const live: string[] = [];
  const taken = take({
    line: other,
    engine: 'e',
    closeFd,
    restore: async (unit, fds) => {
      assert.equal(fds.length, 41);
      assert.equal(unit.relays.length, 40);
      fds.forEach(closeFd);
      return { goLive: () => void live.push(unit.pod.uid), discard: () => assert.fail('it was given') };
    },
  });
  const result = await give({ line, clock: new FakeClock(), engine: 'e', movables });
  assert.deepEqual(result, { moved: 2_000, stayed: new Map() });
  assert.deepEqual(await taken, { moved: 2_000, error: undefined });
  await until('all of them', () => live.length === 50 && given.length === 50);
  closeFd(spare);
  closeFd(end);
});
