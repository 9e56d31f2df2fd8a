/** A pod that leaves the mesh, and a node from which the mesh is uninstalled, are as they were before; what was altered is healed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { nodeTable } from '../../cni/capture/nft/node-table.ts';
import { withoutPlugin } from '../../cni/install/conflist.ts';
import { namespaceKind, type Pod, podKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { cniFolders, labConfig, labConfigFile } from '../../lab/cni/network.ts';
import type { LabApi } from '../../lab/index.ts';
import { cgroupName, netnsName, netnsPath, podHash } from '../../lab/names.ts';
import { cgroupRoot } from '../../lab/system/cgroup.ts';
import { skipUnless } from '../harness/require.ts';
import { HandPod, handAddress } from './tools/hand-pod.ts';
import { plainNamespace, World } from './world.ts';

const checkout = join(import.meta.dirname, '../..');
/** ztunnel lets connections of a pod that leaves drain for 5 s, and their routes stay for 6. */
const drained = 20_000;

const requirements = ['ebpf', 'plugin', 'program:ip', 'program:nft', 'program:ss', 'program:bpftool'] as const;

for (const capture of ['ebpf', 'nft'] as const) {
  describe(`leaving the mesh, captured by ${capture}`, { skip: skipUnless(...requirements) }, () => suite(capture));
}

function suite(capture: 'ebpf' | 'nft'): void {
  let world: World;
  before(async () => {
    world = await World.up(`left${capture}`, capture);
  });
  after(() => world?.down());

  test('a pod that has been in the mesh is left as it was', async () => {
    const pod = await world.pod('outsider', plainNamespace);
    const beforehand = contents(netnsOf(world, pod));
    assert.equal(beforehand.nftables, '');
    await label('ambient');
    await world.lab.waitEnrolled();
    const { v4 } = await world.ips('server');
    assert.deepEqual(await world.burst(await world.ref('outsider', plainNamespace), v4, 3), { ok: 3, failed: {} });
    const inside = contents(netnsOf(world, pod));
    const altered = capture === 'ebpf' ? 'rules of IPv4' : 'nftables';
    assert.notEqual(inside[altered], beforehand[altered], 'the comparison sees what capture does');
    assert.notEqual(inside['listening sockets'], beforehand['listening sockets']);
    await label(null);
    await world.lab.waitEnrolled();
    await until('all is as it was', () => isDeepStrictEqual(contents(netnsOf(world, pod)), beforehand), drained);
    // What a difference would be, by name.
    assert.deepEqual(contents(netnsOf(world, pod)), beforehand);
  });

  test('an agent that comes back heals what was altered, and forgets the pods that have gone', async () => {
    const { lab } = world;
    const netns = netnsOf(world, await world.pod('client'));
    const folders = cniFolders(join(lab.dir, 'node-1'));
    const capturing = () => kernelState(capture, netns);
    const whole = capturing();
    const kept = () => keptForPods(capture, lab);
    const before = kept();
    const gone = await HandPod.start({ lab, name: 'gone', account: 'client', address: handAddress(0) });
    await gone.publish();
    assert.notEqual(kept(), before);
    await lab.kill('cni-agent', 'node-1', 'SIGSTOP');
    await gone.stop();
    const alter = capture === 'ebpf' ? ['ip', 'rule', 'del', 'pref', '32764'] : ['nft', 'flush', 'ruleset'];
    execFileSync('nsenter', [`--net=${netns}`, ...alter]);
    assert.notEqual(capturing(), whole);
    const config = join(folders.netDir, labConfigFile);
    const without = withoutPlugin(readFileSync(config, 'utf8'), 'aquifer-cni');
    assert.ok(without.kind === 'changed');
    writeFileSync(config, without.text);
    rmSync(join(folders.binDir, 'aquifer-cni'));
    const old = await lab.pid('cni-agent', 'node-1');
    await lab.kill('cni-agent', 'node-1', 'SIGKILL');
    await until('another agent runs', async () => (await lab.pid('cni-agent', 'node-1')) !== old, 20_000);
    await until('what was altered is back', () => capturing() === whole, 20_000);
    await until('what was kept for the pod is gone', () => kept() === before, 20_000);
    await until('the plugin is back', () => /aquifer-cni/.test(readFileSync(config, 'utf8')), 20_000);
    assert.ok(readdirSync(folders.binDir).includes('aquifer-cni'));
    const { v4 } = await world.ips('server');
    await until('it is served', async () => (await world.burst(await world.ref('client'), v4, 1)).ok === 1, 10_000);
  });

  test('after uninstall neither kernel nor files of the node tell of the mesh', async () => {
    const { lab } = world;
    const pods = [await world.pod('client'), await world.pod('stranger')];
    const folders = cniFolders(join(lab.dir, 'node-1'));
    const outside = contents(netnsOf(world, await world.pod('outsider', plainNamespace)));
    const bpf = join(lab.dir, 'node-1/bpf');
    assert.notEqual(keptForPods(capture, lab), '');
    assert.deepEqual(readdirSync(folders.binDir), ['aquifer-cni']);
    // The lab would start it again.
    await lab.kill('cni-agent', 'node-1', 'SIGSTOP');
    const env = environmentOf(await lab.pid('cni-agent', 'node-1'));
    const said = execFileSync(
      'nsenter',
      [`--net=${netnsPath(netnsName(lab.name, 'node-1'))}`, join(checkout, 'bin/cni-agent'), 'uninstall'],
      { env: { ...env, PATH: process.env['PATH'] }, encoding: 'utf8' },
    );
    assert.match(said, /capture was removed from this node/);
    for (const pod of pods) {
      const { namespace = '', name } = pod.metadata;
      await until('it is announced no more', async () => {
        const now = await lab.kube.get(podKind, { namespace, name });
        return now?.metadata.annotations?.['ambient.istio.io/redirection'] === undefined;
      });
      const found = contents(netnsOf(world, pod));
      for (const part of ['nftables', 'rules of IPv4', 'rules of IPv6', 'sysctls'] as const) {
        assert.equal(found[part], outside[part], `${part} of ${pod.metadata.name}`);
      }
    }
    assert.equal(keptForPods(capture, lab), '');
    assert.deepEqual(
      readdirSync(bpf).filter((name) => !name.endsWith('.debug')),
      [],
      'pins',
    );
    assert.deepEqual(readdirSync(folders.binDir), []);
    assert.deepEqual(readdirSync(folders.netDir), [labConfigFile]);
    assert.equal(readFileSync(join(folders.netDir, labConfigFile), 'utf8'), labConfig);
    assert.deepEqual(readdirSync(join(lab.dir, 'node-1/cni')).sort(), ['bin', 'net.d'], 'the run directory is gone');
    assert.deepEqual(attached(join(cgroupRoot(), cgroupName(lab.name), 'node-1')), []);
  });

  function label(mode: 'ambient' | null): Promise<unknown> {
    const patch = { metadata: { labels: { 'istio.io/dataplane-mode': mode } } };
    return world.lab.kube.patch(namespaceKind, { name: plainNamespace }, patch);
  }
}

/** What captures a pod in its own namespace. */
function kernelState(capture: 'ebpf' | 'nft', netns: string): string {
  const { nftables, 'rules of IPv4': rules } = contents(netns);
  // Counters go on.
  return capture === 'ebpf' ? rules : nftables.replace(/ packets \d+ bytes \d+/g, '');
}

/** What the agent of node-1 keeps on the node for its pods: pins, or its table. Empty: nothing. */
function keptForPods(capture: 'ebpf' | 'nft', lab: LabApi): string {
  if (capture === 'ebpf') {
    const pins = join(lab.dir, 'node-1/bpf/aquifer');
    return existsSync(pins) ? readdirSync(pins).sort().join('\n') : '';
  }
  const onNode = (...argv: string[]) =>
    execFileSync('nsenter', [`--net=${netnsPath(netnsName(lab.name, 'node-1'))}`, 'nft', ...argv], {
      encoding: 'utf8',
    });
  const there = onNode('list', 'tables', 'inet').split('\n').includes(`table inet ${nodeTable}`);
  return there ? onNode('list', 'table', 'inet', nodeTable) : '';
}

interface Contents {
  readonly nftables: string;
  readonly 'rules of IPv4': string;
  readonly 'rules of IPv6': string;
  readonly routes: string;
  readonly links: string;
  readonly 'listening sockets': string;
  readonly sysctls: string;
}

/** What of a network namespace others could have changed. */
function contents(netns: string): Contents {
  const inside = (...argv: string[]) =>
    execFileSync('nsenter', [`--net=${netns}`, ...argv], {
      encoding: 'utf8',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
  const lines = (text: string) => text.split('\n').sort().join('\n');
  return {
    nftables: inside('nft', 'list', 'ruleset'),
    'rules of IPv4': inside('ip', '-4', 'rule'),
    'rules of IPv6': inside('ip', '-6', 'rule'),
    routes: lines(
      inside('ip', '-4', 'route', 'show', 'table', 'all') + inside('ip', '-6', 'route', 'show', 'table', 'all'),
    ),
    links: inside('ip', '-o', 'link'),
    'listening sockets': lines(inside('ss', '-Htuln')),
    // Counts and ages of the kernel's own are no settings.
    sysctls: inside(
      'sh',
      '-c',
      'cd /proc/sys/net && grep -rs . --include="*" ipv4 ipv6 core | grep -v "nf_conntrack_count" | sort',
    ),
  };
}

function netnsOf(world: World, pod: Pod): string {
  return netnsPath(netnsName(world.lab.name, podHash(pod.metadata.uid)));
}

function environmentOf(pid: number): Record<string, string> {
  const entries = readFileSync(`/proc/${pid}/environ`, 'utf8')
    .split('\0')
    .filter((e) => e.includes('='));
  return Object.fromEntries(entries.map((e) => [e.slice(0, e.indexOf('=')), e.slice(e.indexOf('=') + 1)]));
}

/** Ids of the BPF programs on a cgroup and on all below it. */
function attached(cgroup: string): unknown[] {
  const tree = JSON.parse(execFileSync('bpftool', ['-j', 'cgroup', 'tree', cgroup], { encoding: 'utf8' })) as {
    programs: unknown[];
  }[];
  return tree.flatMap((entry) => entry.programs);
}
