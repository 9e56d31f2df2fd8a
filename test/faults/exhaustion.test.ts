/** A node proxy without descriptors or memory to spare: open connections go on, new ones are refused or wait, and it recovers. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { World } from '../e2e/world.ts';
import { childProcesses } from '../harness/children.ts';
import { engineUnderTest } from '../harness/engine.ts';
import { longOr, skipUnless } from '../harness/require.ts';
import { answersOk, scrape } from '../harness/scrape.ts';
import { MemoryLimit } from './memory-limit.ts';
import type { StallEvent, TalkEvent } from './tools/load.ts';
import { besidesHbone, watched } from './watch.ts';

const descriptors = 1_600;
const wanted = longOr(2_000, 6_000);
const slowReaders = longOr(400, 1_000);
/** Node's engine bounds each connection alone: it holds up to 0.3 MiB of what a slow reader has not taken, and has 40 MiB without any. */
const memory = (engineUnderTest['AQUIFER_ENGINE'] === 'node' ? longOr(256, 512) : longOr(160, 256)) * 1024 * 1024;
const pourPort = 8081;

describe('a node proxy that runs out', {
  skip: skipUnless('ebpf', 'memory-cgroup', 'program:ip', 'program:nft', 'program:tcpdump'),
  timeout: longOr(240_000, 900_000),
}, () => {
  let world: World;
  const limits: MemoryLimit[] = [];
  before(async () => {
    world = await World.up('fltlimit', 'ebpf', { ztunnel: { AQUIFER_MAX_DESCRIPTORS: `${descriptors}` } });
  });
  after(async () => {
    await world?.down();
    for (const limit of limits) await limit.remove();
  });

  test(`of descriptors: of ${wanted} connections those that are open go on, and it answers for itself`, (t) =>
    watched(world, async (marker) => {
      const { lab } = world;
      const client = await world.ref('client');
      const { v4 } = await world.ips('server');
      const talk = await world.load<TalkEvent>(client, 'talk', v4, 8080, wanted, 2_000, marker);
      const { open } = await until('all are open or refused', () => talk.lines[0], 90_000);
      assert.ok(open > descriptors / 2 && open < descriptors, `${open} of ${wanted} are open`);
      for (const node of lab.nodes) assert.ok(await answersOk(lab, node, 15_021, '/healthz/ready'), `${node} is ready`);
      const refused = /aquifer_connections_refused_total\{reason="descriptors"\} ([1-9]\d*)/;
      assert.match(await scrape(lab, 'node-1', 15_020), refused);
      assert.equal((await world.burst(client, v4, 3)).ok, 0, 'there is no room');
      const end = (await talk.finish()).at(-1);
      assert.equal(end?.whole, open, `open ones have all they sent back: ${JSON.stringify(end)}`);
      const at = performance.now();
      await until('room', async () => (await world.burst(client, v4, 50)).ok === 50, 30_000);
      t.diagnostic(
        `${open} of ${wanted} open; 50 calls answered ${Math.round(performance.now() - at)} ms after release`,
      );
    }));

  test(`of memory: ${slowReaders} connections whose apps do not read, in ${memory / 1024 / 1024} MiB`, async (t) => {
    const { lab } = world;
    const client = await world.ref('client');
    const { v4 } = await world.ips('server');
    const proxies = await Promise.all(
      lab.nodes.map(async (node) => {
        const supervisor = await lab.pid('ztunnel', node);
        const limit = MemoryLimit.hold(supervisor, memory);
        limits.push(limit);
        const old = childProcesses(supervisor);
        for (const worker of old) process.kill(worker, 'SIGKILL');
        await until('another worker', () => childProcesses(supervisor).some((pid) => !old.includes(pid)), 30_000);
        return { limit, supervisor, worker: childProcesses(supervisor) };
      }),
    );
    await watched(
      world,
      async (marker) => {
        await until('calls are answered', async () => (await world.burst(client, v4, 5)).ok === 5, 30_000);
        const source = await world.load<{ event: string }>(await world.ref('server'), 'pour', pourPort);
        await until('the server listens', () => source.lines.length === 1, 15_000);
        const talk = await world.load<TalkEvent>(client, 'talk', v4, 8080, 10, 100, marker);
        await until('ten connections that are read', () => talk.lines[0], 15_000);
        const slow = await world.load<StallEvent>(client, 'stall', v4, pourPort, slowReaders);
        const stalled = await until('all are stalled', () => slow.lines[0], 90_000);
        assert.equal(stalled.open, slowReaders);
        await until('nothing moves any more', settled(limits), 90_000);
        assert.deepEqual(await world.burst(client, v4, 20), { ok: 20, failed: {} }, 'others are served');
        assert.deepEqual((await talk.finish()).at(-1), { event: 'end', open: 10, whole: 10, broken: {} });
        const read = (await slow.finish()).at(-1);
        assert.deepEqual(read, { event: 'read', open: slowReaders }, 'once they read, all comes');
        await source.kill();
        assert.deepEqual(await world.burst(client, v4, 20), { ok: 20, failed: {} });
      },
      besidesHbone,
    );
    for (const { limit, supervisor, worker } of proxies) {
      assert.equal(limit.oomKills, 0);
      // One that only compiled may have been among the first.
      const now = childProcesses(supervisor);
      assert.ok(now.length > 0 && now.every((pid) => worker.includes(pid)), `no worker ended: ${worker}, now ${now}`);
      t.diagnostic(`at most ${Math.round(limit.peak / 1024 / 1024)} MiB used`);
    }
  });
});

/** Whether what is used has hardly changed for a second. */
function settled(limits: readonly MemoryLimit[]): () => boolean {
  let base: readonly number[] = [];
  let since = 0;
  return () => {
    const now = limits.map((l) => l.used);
    if (!now.every((bytes, i) => Math.abs(bytes - (base[i] ?? 0)) < 1_048_576)) {
      base = now;
      since = performance.now();
    }
    return performance.now() - since > 1_000;
  };
}
