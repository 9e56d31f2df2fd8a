/** The mesh on each kind of capture, in short; and the leaving of a server whose policy wants an identity of its callers. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { podKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { countBytes, countTlsRecords } from '../../lab/pcap.ts';
import { skipUnless } from '../harness/require.ts';
import type { LoopCall } from './tools/traffic.ts';
import { meshNamespace, policy, type Stream, World } from './world.ts';

const kinds = [
  { kind: 'ebpf', requires: ['ebpf'] },
  { kind: 'nft', requires: ['ebpf', 'program:nft'] },
] as const;

for (const { kind, requires } of kinds) {
  describe(`the mesh, captured by ${kind}`, { skip: skipUnless(...requires, 'program:ip', 'program:tcpdump') }, () => {
    let world: World;
    before(async () => {
      world = await World.up(`cap${kind}`, kind);
    });
    after(() => world?.down());

    test('says at its start which capture it is, and why', async () => {
      for (const node of world.lab.nodes.filter((n) => n !== 'cp')) {
        const log = await world.lab.logs('cni-agent', { node });
        assert.match(log, new RegExp(`capture is chosen capture="${kind}" why="AQUIFER_CAPTURE=${kind}"`));
      }
    });

    test('pods reach each other by Service and by address, and the link between the nodes carries TLS alone', async () => {
      const marker = randomBytes(24).toString('hex');
      const [vips, ips] = [await world.vips(), await world.ips('server')];
      const client = await world.ips('client');
      const link = await world.lab.capture('tcp');
      for (const [to, from] of [
        [vips.v4, client.v4],
        [vips.v6, client.v6],
        [ips.v4, client.v4],
        [ips.v6, client.v6],
      ] as const) {
        const calls = await world.loop(await world.ref('client'), to, 20, marker);
        await until('three calls', () => calls.lines.length >= 3);
        for (const call of await calls.finish()) {
          assert.equal(call.error, '');
          assert.ok(call.seen.endsWith(from), `the app sees ${call.seen}`);
        }
      }
      await link.stop();
      const seen = await readFile(link.file);
      assert.equal(countBytes(seen, Buffer.from(marker)), 0);
      assert.ok(countTlsRecords(seen, 15_008) > 0);
    });

    test('the namespace leaves and enters under load without losing a call', async () => {
      const streams = [
        await world.loop(await world.ref('client'), (await world.vips()).v4, 25, 'm'),
        await world.loop(await world.ref('near'), (await world.ips('server')).v6, 25, 'm'),
      ];
      const made = () => streams.reduce((sum, s) => sum + s.lines.length, 0);
      for (const mode of [null, 'ambient', null, 'ambient'] as const) {
        await world.setMesh(mode);
        const next = made() + 60;
        await until(`${next} calls`, () => made() >= next, 30_000);
      }
      assertNoneLost(await finish(streams));
    });

    test('a server behind a policy that names its callers leaves without losing a call of theirs', async () => {
      const allow = policy('only-clients', 'ALLOW', 'client');
      await world.lab.apply(allow);
      const { v4 } = await world.vips();
      await until('others are refused', async () => (await world.burst(await world.ref('stranger'), v4, 1)).ok === 0);
      const streams = [
        await world.loop(await world.ref('client'), v4, 20, 'm'),
        await world.loop(await world.ref('near'), (await world.ips('server')).v4, 20, 'm'),
      ];
      const made = () => streams.reduce((sum, s) => sum + s.lines.length, 0);
      await until('20 calls', () => made() >= 20);
      await setPodMode('server', 'none');
      // Capture is gone when even those pass whom the policy refuses: plain text first goes direct, then HBONE.
      await until('the policy is gone', async () => (await world.burst(await world.ref('stranger'), v4, 1)).ok === 1);
      const next = made() + 150;
      await until('more calls', () => made() >= next, 30_000);
      assertNoneLost(await finish(streams));
      await world.lab.delete(allow);
      await setPodMode('server', null);
      assert.deepEqual(await world.burst(await world.ref('client'), v4, 5), { ok: 5, failed: {} });
    });

    async function setPodMode(deployment: string, mode: 'none' | null): Promise<void> {
      const { name } = (await world.pod(deployment)).metadata;
      const patch = { metadata: { labels: { 'istio.io/dataplane-mode': mode } } };
      await world.lab.kube.patch(podKind, { namespace: meshNamespace, name }, patch);
      await world.lab.waitEnrolled();
    }
  });
}

async function finish(streams: readonly Stream<LoopCall>[]): Promise<readonly LoopCall[]> {
  return (await Promise.all(streams.map((s) => s.finish()))).flat();
}

function assertNoneLost(calls: readonly LoopCall[]): void {
  assert.deepEqual(
    calls.filter((c) => c.error !== ''),
    [],
  );
}
