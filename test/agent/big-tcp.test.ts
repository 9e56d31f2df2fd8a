/** Large packets on real interfaces, and back. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync } from 'node:fs';
import { describe, test } from 'node:test';
import { bigSize, PacketSizes, usualSize } from '../../cni/capture/big-tcp.ts';
import { silentLogger } from '../../common/core/log.ts';
import { linkSizes, openNetns, setLinkSize } from '../../native/index.ts';
import { skipUnless } from '../harness/require.ts';

const ip = (line: string) => execFileSync('ip', line.split(' '));

describe('BIG TCP of a pod', { skip: skipUnless('root', 'addon', 'program:ip') }, () => {
  test('both ends of its interface and its loopback grow, and are as before when it leaves', () => {
    const [podName, nodeName] = [`aqbig${process.pid}-p`, `aqbig${process.pid}-n`];
    try {
      for (const name of [podName, nodeName]) ip(`netns add ${name}`);
      ip(`-n ${podName} link add eth0 type veth peer name pod1 netns ${nodeName}`);
      ip(`-n ${podName} link add other type veth peer name pod2 netns ${nodeName}`);
      const [pod, node] = [openNetns(`/run/netns/${podName}`), openNetns(`/run/netns/${nodeName}`)];
      const other = linkSizes(pod).find(({ name }) => name === 'other')!;
      setLinkSize(pod, other.index, 100_000);
      const sizes = () => Object.fromEntries(linkSizes(node).map(({ name, least }) => [name, least]));
      const podSizes = () => Object.fromEntries(linkSizes(pod).map(({ name, least }) => [name, least]));
      const before = { ...sizes(), pod: podSizes() };
      assert.deepEqual(before.pod, { lo: usualSize, eth0: usualSize, other: 100_000 });

      const auto = new PacketSizes('auto', silentLogger, node);
      auto.enlarge(pod);
      assert.deepEqual(podSizes(), { lo: bigSize, eth0: usualSize, other: 100_000 });
      auto.makeUsual(pod);
      assert.deepEqual({ ...sizes(), pod: podSizes() }, before);

      const all = new PacketSizes('all', silentLogger, node);
      all.enlarge(pod);
      all.enlarge(pod);
      assert.deepEqual(podSizes(), { lo: bigSize, eth0: bigSize, other: 100_000 });
      assert.deepEqual([sizes()['pod1'], sizes()['pod2']], [bigSize, usualSize]);
      auto.makeUsual(pod);
      assert.deepEqual({ ...sizes(), pod: podSizes() }, before);

      new PacketSizes('off', silentLogger, node).enlarge(pod);
      assert.deepEqual({ ...sizes(), pod: podSizes() }, before);
      assert.throws(() => setLinkSize(pod, other.index, 1 << 30), { code: 'EINVAL' });
      for (const fd of [pod, node]) closeSync(fd);
    } finally {
      for (const name of [podName, nodeName]) {
        try {
          ip(`netns del ${name}`);
        } catch {
          // It was never made.
        }
      }
    }
  });
});
