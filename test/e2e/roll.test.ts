/**
 * Rolling restarts of node proxies under load: no call is lost, and open connections go over to the proxy of the new pod; with Node's engine they live
 * until the drain's deadline. What it loads afterwards in the running proxy (log levels, configuration) cuts nothing.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import type { HostName } from '../../lab/index.ts';
import { skipUnless } from '../harness/require.ts';
import type { HoldEvent, LoopCall } from './tools/traffic.ts';
import { policy, type Stream, World } from './world.ts';

const rolls = 10;
/** ms between calls of one source. */
const pace = 50;
/** ms: the drain deadline that the lab's proxies have by default. */
const deadline = 5_000;

describe('rolling restart', { skip: skipUnless('ebpf', 'program:ip', 'program:nft') }, () => {
  let world: World;
  before(async () => {
    world = await World.up('e2eroll');
  });
  after(() => world?.down());

  test(`${rolls} restarts lose no call of three sources, and no byte of connections that are open`, async (t) => {
    const calls = await sources(world);
    // All that both nodes' proxies have a part in: of the server's node that is also what others send.
    const held = await hold(world, ['client', 'near']);
    for (let i = 0; i < rolls; i++) await roll(world, i % 2 === 0 ? 'node-1' : 'node-2');
    for (const stream of held) {
      const events = await stream.finish();
      assert.deepEqual(
        events.map((e) => [e.event, e.error]),
        [
          ['open', ''],
          ['end', ''],
        ],
      );
    }
    t.diagnostic(await finished(calls, rolls));
  });

  test('other log levels, services and policies cut nothing', async () => {
    const { lab } = world;
    const held = await hold(world, ['client', 'near']);
    for (const node of lab.nodes) {
      const url = 'http://127.0.0.1:15000/logging?level=debug';
      const post = `fetch('${url}', { method: 'POST' }).then((r) => process.exit(r.ok ? 0 : 1))`;
      assert.equal((await lab.execOn(node, [process.execPath, '--eval', post])).code, 0);
    }
    await lab.apply(policy('only-clients', 'DENY', 'nobody'));
    const calls = await sources(world);
    await until('calls are made', () => calls.every((c) => c.lines.length > 20), 20_000);
    await lab.delete(policy('only-clients', 'DENY', 'nobody'));
    for (const stream of calls) await stream.finish();
    for (const stream of held) {
      assert.deepEqual(
        stream.lines.map((l) => l.event),
        ['open'],
      );
      await stream.kill();
    }
    for (const { lines } of calls) assert.deepEqual(new Set(lines.map((c) => c.error)), new Set(['']));
  });
});

describe("rolling restart with Node's engine", { skip: skipUnless('ebpf', 'program:ip', 'program:nft') }, () => {
  let world: World;
  before(async () => {
    world = await World.up('e2erolln', 'ebpf', { ztunnel: { AQUIFER_ENGINE: 'node' } });
  });
  after(() => world?.down());

  test('2 restarts lose no call of three sources, and open connections live until the deadline', async (t) => {
    const calls = await sources(world);
    const lived: number[] = [];
    for (const node of world.lab.nodes) {
      const held = await hold(world, node === 'node-1' ? ['client'] : ['client', 'near']);
      const began = await roll(world, node);
      for (const end of await Promise.all(held.map(ended))) {
        assert.equal(end.error, 'ECONNRESET', `a connection that ${node} cut is reset`);
        lived.push(end.at - began);
      }
    }
    t.diagnostic(await finished(calls, 2));
    // The clock of the test starts when it sees that the drain began.
    assert.ok(Math.min(...lived) > deadline / 2, `open connections lived ${lived.join()} ms of the drain`);
  });
});

/** Replaces a node's proxy; resolves with the time (ms since the epoch) at which the old one was seen to drain. */
async function roll(world: World, node: HostName): Promise<number> {
  const { lab } = world;
  const old = await lab.pid('ztunnel', node);
  const drained = await drains(world, node);
  const rolled = lab.rollProxy(node);
  await until('the old proxy drains', async () => (await drains(world, node)) > drained, 30_000);
  const began = Date.now();
  await rolled;
  assert.notEqual(await lab.pid('ztunnel', node), old);
  return began;
}

/** Ends the sources, of whose calls none may have failed; says how many there were. */
async function finished(calls: readonly Stream<LoopCall>[], rolled: number): Promise<string> {
  for (const stream of calls) await stream.finish();
  const made = calls.flatMap((c) => c.lines);
  assert.deepEqual(
    calls.flatMap(({ lines }, source) => lines.filter((c) => c.error !== '').map((c) => ({ source, ...c }))),
    [],
  );
  for (const { lines } of calls) assert.ok(lines.length > rolled * 20, 'calls were made');
  const slowest = made.map((c) => c.ms).sort((a, b) => b - a);
  return `${made.length} calls, 0 failed; slowest ${slowest[0]} ms; p99 ${slowest[Math.floor(made.length / 100)]} ms`;
}

/** To the Service by both families, to a pod on the same node, and by name. */
async function sources(world: World): Promise<readonly Stream<LoopCall>[]> {
  const { v4, v6 } = await world.vips();
  return Promise.all([
    world.loop(await world.ref('client'), v4, pace, 'roll'),
    world.loop(await world.ref('stranger'), v6, pace, 'roll'),
    world.loop(await world.ref('near'), (await world.ips('server')).v4, pace, 'roll'),
    world.loop(await world.ref('client'), 'server.e2e.svc.cluster.local', pace, 'roll'),
  ]);
}

/** Open connections of these to the server; `near` is on its node. */
async function hold(world: World, names: readonly string[]): Promise<readonly Stream<HoldEvent>[]> {
  const { v4 } = await world.vips();
  const from = await Promise.all(names.map((name) => world.ref(name)));
  const held = await Promise.all(from.map((ref) => world.hold(ref, v4)));
  await until('all are open', () => held.every((h) => h.lines.length > 0));
  return held;
}

async function ended(stream: Stream<HoldEvent>): Promise<HoldEvent> {
  return until('it ends', () => stream.lines.find((l) => l.event === 'end'), 20_000);
}

/** How often a proxy of this node began to drain. */
async function drains({ lab }: World, node: HostName): Promise<number> {
  return (await lab.logs('ztunnel', { node })).split('\tdraining ').length - 1;
}
