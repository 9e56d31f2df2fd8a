/** Discovery with real cgroups, processes and network namespaces. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, readFileSync, readlinkSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { cgroupMounts } from '../../cni/config.ts';
import { type Discovery, discoverPodNetns, type PodNetns } from '../../cni/discovery/pod-netns.ts';
import { podKernel } from '../../cni/pods/kernel.ts';
import { until } from '../../common/testing/until.ts';
import { skipUnless } from '../harness/require.ts';

const uid = '3b9c1f0e-7a52-4d8e-9d6f-0c1a2b3c4d5e';

describe('discovery on the real kernel', { skip: skipUnless('ebpf', 'program:unshare') }, () => {
  const root = join(
    cgroupMounts(readFileSync('/proc/mounts', 'utf8')).unified ?? '/',
    `aquifer-discovery-${process.pid}`,
  );
  const folders: string[] = [];
  const children: ChildProcess[] = [];

  afterEach(async () => {
    for (const child of children.splice(0)) await end(child);
    for (const folder of folders.splice(0).reverse()) rmdirSync(folder);
  });

  function cgroup(path: string): string {
    let folder = root;
    for (const name of ['', ...path.split('/')]) {
      folder = join(folder, name);
      if (folders.includes(folder)) continue;
      mkdirSync(folder);
      folders.push(folder);
    }
    return folder;
  }

  /** A process in this cgroup; with `unshare` in a network namespace of its own. */
  async function start(folder: string, unshare = true): Promise<ChildProcess> {
    const child = spawn('sh', ['-c', `exec ${unshare ? 'unshare --net ' : ''}sh -c 'echo ready; exec cat'`]);
    writeFileSync(join(folder, 'cgroup.procs'), String(child.pid));
    children.push(child);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    return child;
  }

  const discover = () => discoverPodNetns(uid, { roots: [root] });

  for (const path of [
    `kubepods/burstable/pod${uid}/app`,
    `kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${uid.replaceAll('-', '_')}.slice/cri-app.scope`,
  ]) {
    test(`finds the namespace of a process in ${path}`, async () => {
      const child = await start(cgroup(path));
      const netns = found(discover());
      assert.equal(readlinkSync(`/proc/${child.pid}/ns/net`), readlinkSync(`/proc/self/fd/${netns.fd}`));
      assert.deepEqual(netns.life, { kind: 'processes', cgroup: join(root, path, '..') });
      closeSync(netns.fd);
    });
  }

  test('waits while the pod has no process, and while its process is still outside of its namespace', async () => {
    assert.match(reason(discover()), /no cgroup/);
    const folder = cgroup(`kubepods/pod${uid}/app`);
    assert.match(reason(discover()), /no process/);
    await start(folder, false);
    assert.match(reason(discover()), /node's own/);
  });

  test('tells when the last process has ended', async () => {
    const folder = cgroup(`kubepods/pod${uid}/app`);
    const kernel = podKernel([root], root, { enlarge: () => undefined, makeUsual: () => undefined });
    const first = await start(folder);
    const netns = found(kernel.discover(uid));
    let changes = 0;
    const watch = kernel.watch(netns, () => changes++);
    assert.equal(kernel.isInhabited(netns), true);
    await end(first);
    await until('the kernel tells', () => changes > 0);
    assert.equal(kernel.isInhabited(netns), false);
    // A new process of the same pod in another namespace does not bring the old one back.
    await start(folder);
    assert.equal(kernel.isInhabited(netns), false);
    const next = found(kernel.discover(uid));
    assert.notEqual(next.key, netns.key);
    watch.close();
    kernel.close(netns.fd);
    kernel.close(next.fd);
  });
});

function found(discovery: Discovery): PodNetns {
  assert.ok(discovery.kind === 'found', reason(discovery));
  return discovery.netns;
}

function reason(discovery: Discovery): string {
  return discovery.kind === 'absent' ? discovery.reason : 'it was found';
}

function end(child: ChildProcess): Promise<unknown> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  return ended;
}
