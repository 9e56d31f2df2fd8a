/**
 * The mesh by its charts, as on any cluster: `helm install` into a lab that has none, one label, calls with identities, and
 * what uninstalls leave behind. Upgrades and rollbacks: upgrade.test.ts.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { labConfigFile } from '../../lab/cni/network.ts';
import { cgroupName, labPaths, netnsName, netnsPath } from '../../lab/names.ts';
import { readProcesses } from '../../lab/pods/state-file.ts';
import { cgroupRoot } from '../../lab/system/cgroup.ts';
import { type Helm, skipWithoutHelm } from '../harness/helm.ts';
import { type Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';
import { skipUnless } from '../harness/require.ts';
import { charts, HelmedLab, releases, space, waiting } from './helmed.ts';
import type { World } from './world.ts';

const skip =
  skipUnless('ebpf', 'plugin', 'program:ip', 'program:nft', 'program:bpftool') ||
  skipWithoutHelm() ||
  skipWithoutKubectl();

describe('the mesh by helm', { skip }, () => {
  let lab: HelmedLab;
  let world: World;
  let helm: Helm;
  let kubectl: Kubectl;
  let asBefore: string;
  before(async () => {
    lab = await HelmedLab.up('helm');
    ({ world, helm, kubectl } = lab);
    asBefore = nodesOf(world);
  });
  after(() => world?.down());

  const uninstall = (name: string) => helm.ok(['uninstall', name, ...space, ...waiting]);

  test('four installs and a label, and calls have identities', async (t) => {
    const began = performance.now();
    const lap = (what: string) => t.diagnostic(`${what} after ${((performance.now() - began) / 1000).toFixed(1)} s`);
    for (const chart of ['base', 'istiod', 'cni'] as const) await lab.install(chart).then(() => lap(chart));
    await lab.install('ztunnel', ...waiting);
    lap('every ztunnel is ready');
    await lab.enter();
    lap('first call with identities (goal 20)');
    assert.equal((await lab.podsOf('ztunnel')).length, world.lab.nodes.length);
  });

  test('what its objects say holds: rights, users, file systems', async () => {
    for (const [app, caps] of [
      ['ztunnel', ['kill', 'net_admin', 'setgid', 'setpcap', 'setuid', 'sys_admin']],
      ['istio-cni', ['dac_override', 'net_admin', 'sys_admin', 'sys_ptrace']],
      ['istiod', []],
    ] as const) {
      const [pod] = await lab.podsOf(app);
      const ref = { namespace: 'istio-system', name: pod!.metadata.name };
      for (const filter of await filtersOf(world, pod!.metadata.uid)) assert.equal(filter, '2', `seccomp of ${app}`);
      const { stdout } = await world.lab.exec(ref, [
        'sh',
        '-c',
        'grep -E "^(CapBnd|NoNewPrivs|Uid)" /proc/self/status; touch /usr/x 2>&1',
      ]);
      assert.equal(capabilitiesIn(stdout).join(), caps.join(), `${app}: ${stdout}`);
      assert.match(stdout, /Read-only file system/);
      assert.match(stdout, app === 'istiod' ? /^Uid:\t1337\t/m : /^Uid:\t0\t/m);
      assert.match(stdout, app === 'istiod' ? /^NoNewPrivs:\t1$/m : /^NoNewPrivs:\t0$/m);
    }
  });

  test('uninstalled from the top down, and once more, nodes are as before and calls are plain', async () => {
    for (const chart of ['base', 'istiod', 'ztunnel', 'cni'] as const) await uninstall(releases[chart]);
    await calledPlainly(world);
    assert.equal(nodesOf(world), asBefore);
    assert.equal(await helm.ok(['list', '-aq', ...space]), '');
    assert.match((await helm.run(['uninstall', 'istio-cni', ...space])).stderr, /release: not found/);
    await helm.ok(['uninstall', 'istio-cni', ...space, '--ignore-not-found']);
    const kept = await kubectl.ok(['get', 'crd', '-o', 'name']);
    assert.match(kept, /virtualservices\.networking\.istio\.io/);
  });

  test('by one chart, beside definitions that are there, and gone with it', async () => {
    await kubectl.ok(['label', 'namespace', 'e2e', 'istio.io/dataplane-mode-']);
    const all = ['install', 'ambient', join(charts, 'ambient'), ...space, ...lab.values, '--take-ownership'];
    await helm.ok([...all, ...waiting]);
    await lab.enter();
    await uninstall('ambient');
    await calledPlainly(world);
    assert.equal(nodesOf(world), asBefore);
  });
});

async function calledPlainly(world: World): Promise<void> {
  const { v4 } = await world.ips('server');
  assert.deepEqual(await world.burst(await world.ref('client'), v4, 3), { ok: 3, failed: {} });
}

/** What nodes and their pods have of a mesh: files, pins, attached programs, rules, routes. */
function nodesOf({ lab }: World): string {
  const inside = (netns: string, ...argv: readonly string[]) =>
    execFileSync('nsenter', [`--net=${netns}`, ...argv], { encoding: 'utf8' });
  return lab.nodes
    .map((node) => {
      const files = (folder: string) => {
        try {
          return readdirSync(join(lab.dir, node, folder))
            .filter((name) => !name.endsWith('.debug'))
            .sort();
        } catch {
          return [];
        }
      };
      const netns = netnsPath(netnsName(lab.name, node));
      const cgroup = join(cgroupRoot(), cgroupName(lab.name), node);
      return JSON.stringify(
        {
          node,
          bpf: files('bpf'),
          plugins: files('cni/bin'),
          sockets: [...files('cni/run'), ...files('ztunnel')],
          network: readFileSync(join(lab.dir, node, 'cni/net.d', labConfigFile), 'utf8'),
          programs: execFileSync('bpftool', ['cgroup', 'tree', cgroup], { encoding: 'utf8' }).split('\n').slice(1),
          tables: inside(netns, 'nft', 'list', 'tables'),
          rules: [inside(netns, 'ip', 'rule'), inside(netns, 'ip', '-6', 'rule')],
        },
        undefined,
        1,
      );
    })
    .join('\n');
}

const names = [
  ...['chown', 'dac_override', 'dac_read_search', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap'],
  ...['linux_immutable', 'net_bind_service', 'net_broadcast', 'net_admin', 'net_raw', 'ipc_lock', 'ipc_owner'],
  ...['sys_module', 'sys_rawio', 'sys_chroot', 'sys_ptrace', 'sys_pacct', 'sys_admin'],
];

/** Of each process of the pod's containers, children and all: how the kernel filters its system calls (proc(5)). */
async function filtersOf({ lab }: World, uid: string): Promise<readonly string[]> {
  const containers = Object.values(await readProcesses(labPaths(lab.name).pod(uid)));
  const pids = containers.flatMap(({ cgroup }) =>
    readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').trim().split('\n'),
  );
  assert.notEqual(pids.length, 0);
  return pids.map((pid) => /^Seccomp:\t(\d)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '');
}

/** Of /proc/PID/status: what the process and all that it starts can ever have. */
function capabilitiesIn(status: string): readonly string[] {
  const bits = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return Array.from({ length: 41 }, (_, i) => i)
    .filter((i) => ((bits >> BigInt(i)) & 1n) === 1n)
    .map((i) => names[i] ?? `capability ${i}`)
    .sort();
}
