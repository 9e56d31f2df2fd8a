/**
 * The control plane is out of reach for long, certificates expire meanwhile, and clocks are set: calls fail only while a certificate is
 * truly invalid, nothing is asked for more than it takes, and nothing is ever sent in plain text. How fast things come back is printed.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import type { LoopCall } from '../e2e/tools/traffic.ts';
import { type Stream, World } from '../e2e/world.ts';
import { longOr, skipUnless } from '../harness/require.ts';
import { answersOk, scrape } from '../harness/scrape.ts';
import { TestClock } from './clock.ts';
import { nft } from './packet-loss.ts';
import { watched } from './watch.ts';

/** Certificate requests that one identity may cost when a clock is set. */
const mostRequests = 2;
/** ms that istiod is away, in which the clock is set to many hours later. */
const away = longOr(5_000, 600_000);
const awayRules = `table inet aq_away {
chain in {
type filter hook input priority 0
tcp dport { 15010, 15012 } drop
}
}`;
const backRules = 'table inet aq_away {}\ndelete table inet aq_away';

describe('the control plane away, and clocks that are set', {
  skip: skipUnless('ebpf', 'program:ip', 'program:nft', 'program:tcpdump'),
  timeout: away + 240_000,
}, () => {
  let clock: TestClock;
  let world: World;
  /** Requests for certificates at the start: one for each identity of each node. */
  let identities = 0;
  before(async () => {
    clock = new TestClock();
    // Tokens of the lab are good for 12 h.
    const env = { ...clock.env, ztunnel: { ...clock.env?.ztunnel, SECRET_TTL: '6h' } };
    world = await World.up('fltclock', 'ebpf', env);
    identities = await requests();
    assert.ok(identities >= 4, `${identities} identities`);
  });
  after(async () => {
    await world?.down();
    clock.remove();
  });

  test('an hour forward and back is nothing to a certificate of six', () =>
    watched(world, async (marker) => {
      const calls = await start(marker);
      const before = await requests();
      for (const hours of [1, 0]) {
        await clock.set(hours);
        await more(calls, 60);
      }
      assert.equal(await requests(), before, 'no certificate is asked for');
      assert.deepEqual(failures(await finish(calls)), []);
    }));

  test('an istiod that starts again sends nothing that is known', async (t) => {
    const { lab } = world;
    const calls = await start('m');
    const before = await received();
    const old = await lab.pid('istiod');
    const terminated = await terminations();
    await lab.kill('istiod');
    const began = performance.now();
    await until('istiod is back', async () => (await lab.pid('istiod')) !== old, 30_000);
    await until('istiod is ready', () => answersOk(lab, 'cp', 15_014, '/ready'), 30_000);
    await until('both ztunnels are connected', async () => /^pilot_xds\S* 2$/m.test(await istiod()), 30_000);
    const ms = Math.round(performance.now() - began);
    assert.ok((await terminations()) > terminated);
    await more(calls, 40);
    assert.equal(await received(), before, 'bytes of resources');
    assert.deepEqual(failures(await finish(calls)), []);
    t.diagnostic(`both connected again after ${ms} ms, 0 bytes of resources sent`);
  });

  test('certificates that are not valid yet, since the clock was set back, are replaced once', (t) =>
    watched(world, async (marker) => {
      const { lab } = world;
      await clock.set(1);
      // What these get now begins to be valid an hour later than the machine's clock says.
      const old = await lab.pid('istiod');
      await lab.kill('istiod');
      await until('istiod is back', async () => (await lab.pid('istiod')) !== old, 30_000);
      await until('istiod is ready', () => answersOk(lab, 'cp', 15_014, '/ready'), 30_000);
      for (const node of lab.nodes) await lab.rollProxy(node);
      const before = await requests();
      await clock.set(0);
      // Nothing is open, so that each needs the certificates of both ends.
      const at = Date.now();
      const calls = await start(marker);
      const back = await answered(calls, at);
      await more(calls, 40);
      const asked = (await requests()) - before;
      assert.ok(asked > 0, 'certificates were replaced');
      assert.ok(asked <= mostRequests * identities, `${asked} requests for ${identities} certificates`);
      assert.deepEqual(failures(await finish(calls), back), []);
      t.diagnostic(`calls are answered ${back - at} ms after; ${asked} requests for ${identities} certificates`);
    }));

  test('while istiod is away calls go on until the certificates expire, and are refused from then on', (t) =>
    watched(world, async (marker) => {
      const { lab } = world;
      const calls = await start(marker);
      const before = await requests();
      await nft(lab, 'cp', awayRules);
      try {
        const gone = Date.now();
        await clock.set(5);
        await more(calls, 100);
        await until('istiod was away for long', () => Date.now() - gone > away, away + 10_000);
        assert.deepEqual(failures(calls.flatMap((c) => c.lines)), [], 'certificates are valid');
        const expired = Date.now();
        await clock.set(7);
        const refused = await until(
          'calls are refused',
          () => calls.every((c) => c.lines.at(-1)?.error !== ''),
          10_000,
        );
        assert.ok(refused);
        const last = Math.max(
          ...calls
            .flatMap((c) => c.lines)
            .filter((l) => l.error === '')
            .map((l) => l.at),
        );
        await more(calls, 60);
        const late = calls.flatMap((c) => c.lines).filter((l) => l.at > last && l.error === '');
        assert.deepEqual(late, [], 'nobody is served any more');
        t.diagnostic(`the last call that was answered began ${last - expired} ms after the certificates had expired`);
      } finally {
        await nft(lab, 'cp', backRules);
      }
      const at = Date.now();
      const back = await answered(calls, at);
      await more(calls, 40);
      assert.deepEqual(failures(await finish(calls), back), []);
      const asked = (await requests()) - before;
      assert.ok(asked <= mostRequests * identities, `${asked} requests for ${identities} certificates`);
      t.diagnostic(`calls are answered ${back - at} ms after istiod is back; ${asked} requests for ${identities}`);
    }));

  /** Between nodes by both families, and on one node. */
  async function start(marker: string): Promise<readonly Stream<LoopCall>[]> {
    const { v4, v6 } = await world.vips();
    const calls = [
      await world.loop(await world.ref('client'), v4, 50, marker),
      await world.loop(await world.ref('stranger'), v6, 50, marker),
      await world.loop(await world.ref('near'), (await world.ips('server')).v4, 50, marker),
    ];
    await until('calls are answered', () => calls.every((c) => c.lines.some((l) => l.error === '')), 120_000);
    return calls;
  }

  /** ms since the epoch from when on all are answered. */
  async function answered(calls: readonly Stream<LoopCall>[], since: number): Promise<number> {
    const firstGood = (c: Stream<LoopCall>) => {
      const bad = c.lines.findLastIndex((l) => l.at >= since && l.error !== '');
      return c.lines.slice(bad + 1).find((l) => l.at >= since)?.at;
    };
    const good = () => calls.map(firstGood);
    const enough = () => {
      const from = good();
      if (from.some((at) => at === undefined)) return false;
      const start = Math.max(...from.map((at) => at!));
      return calls.every((c) => c.lines.filter((l) => l.at >= start).length >= 20) && start;
    };
    return until('all calls are answered', enough, 120_000);
  }

  async function requests(): Promise<number> {
    return Number(/^citadel_server_csr_count\S* (\d+)$/m.exec(await istiod())?.[1] ?? Number.NaN);
  }

  function istiod(): Promise<string> {
    return scrape(world.lab, 'cp', 15_014);
  }

  /** Bytes of resources that both ztunnels have been sent. */
  function received(): Promise<number> {
    return sum(/^istio_xds_message_bytes_total\S* (\d+)$/gm);
  }

  function terminations(): Promise<number> {
    return sum(/^istio_xds_connection_terminations_total\S* (\d+)$/gm);
  }

  async function sum(metric: RegExp): Promise<number> {
    const texts = await Promise.all(world.lab.nodes.map((node) => scrape(world.lab, node, 15_020)));
    return texts.flatMap((text) => [...text.matchAll(metric)]).reduce((n, m) => n + Number(m[1]), 0);
  }
});

async function more(calls: readonly Stream<LoopCall>[], count: number): Promise<void> {
  const wanted = calls.map((c) => c.lines.length + count);
  await until(`${count} more calls`, () => calls.every((c, i) => c.lines.length >= wanted[i]!), 60_000);
}

async function finish(calls: readonly Stream<LoopCall>[]): Promise<readonly LoopCall[]> {
  return (await Promise.all(calls.map((c) => c.finish()))).flat();
}

function failures(calls: readonly LoopCall[], since = 0): readonly LoopCall[] {
  return calls.filter((c) => c.at >= since && c.error !== '');
}
