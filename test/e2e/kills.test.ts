/**
 * kill -9 of the mesh's programs in turn, while pods connect without pause and the link between the nodes is watched: no plain
 * byte crosses it, and everything comes back. How fast is printed, not judged: a busy machine is no failure. The goals are 1 s for
 * the data plane and 3 s for istiod.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import type { HostName, ProgramName } from '../../lab/index.ts';
import { countBytes } from '../../lab/pcap.ts';
import { longOr, skipUnless } from '../harness/require.ts';
import { answersOk } from '../harness/scrape.ts';
import type { LoopCall } from './tools/traffic.ts';
import { World } from './world.ts';

const kills = longOr(20, 200);
const victims: readonly (readonly [ProgramName, HostName | undefined])[] = [
  ['ztunnel', 'node-1'],
  ['cni-agent', 'node-1'],
  ['istiod', undefined],
  ['ztunnel', 'node-2'],
  ['cni-agent', 'node-2'],
];

describe('kill -9', { skip: skipUnless('ebpf', 'program:ip', 'program:nft', 'program:tcpdump') }, () => {
  let world: World;
  before(async () => {
    world = await World.up('e2ekill');
  });
  after(() => world?.down());

  test(`${kills} kills of ztunnels, agents and istiod leak nothing, and all come back`, async (t) => {
    const { lab } = world;
    const marker = randomBytes(24).toString('base64url');
    const capture = await lab.capture('tcp');
    const calls = await Promise.all(
      [(await world.vips()).v4, (await world.ips('server')).v6].map(async (to) =>
        world.loop(await world.ref('client'), to, 25, marker),
      ),
    );
    const answeredSince = (at: number) => calls.every((c) => c.lines.some((l) => l.at >= at && l.error === ''));
    /** ms from the kill, by program. */
    const back = new Map<ProgramName, number[]>(victims.map(([program]) => [program, []]));
    for (let i = 0; i < kills; i++) {
      await until('all is well', () => answeredSince(Date.now() - 500), 10_000);
      const [program, node] = victims[i % victims.length]!;
      const old = await lab.pid(program, node);
      const at = Date.now();
      await lab.kill(program, node);
      if (program === 'istiod') {
        await until('istiod is back', () => istiodIsReady(world, old), 20_000);
        back.get(program)!.push(Date.now() - at);
      } else {
        await until(`${program} runs again`, async () => (await lab.pid(program, node)) !== old, 20_000);
        const again = Date.now();
        await until('calls are answered', () => answeredSince(again), 20_000);
        back.get(program)!.push(Math.max(...calls.map((c) => outage(c.lines.filter((l) => l.at >= at)))));
      }
    }
    for (const stream of calls) await stream.finish();
    await capture.stop();
    const made = calls.flatMap((c) => c.lines);
    assert.equal(countBytes(await readFile(capture.file), Buffer.from(marker)), 0, 'no marker is on the link');
    assert.ok(made.filter((c) => c.error === '').length > kills * 10, 'calls were made');
    for (const [program, times] of back) {
      const sorted = times.sort((a, b) => a - b);
      t.diagnostic(
        `${program}: back after ${sorted[sorted.length >> 1]} ms (median), ${sorted.at(-1)} ms (longest of ${sorted.length})`,
      );
    }
  });
});

/** ms from the first to the beginning of the first that is answered after one that is not; 0 when all are. */
function outage(calls: readonly LoopCall[]): number {
  const failed = calls.findIndex((c) => c.error !== '');
  if (failed < 0) return 0;
  return calls.slice(failed).find((c) => c.error === '')!.at - calls[0]!.at;
}

/** Another process, and it answers. */
async function istiodIsReady({ lab }: World, old: number): Promise<boolean> {
  if ((await lab.pid('istiod')) === old) return false;
  return answersOk(lab, 'cp', 15_014, '/ready');
}
