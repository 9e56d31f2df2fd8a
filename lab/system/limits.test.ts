import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Hierarchies, hierarchies, limitFolders, limitGroup } from './limits.ts';

let dir: string;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aquifer-limits-'));
});
after(() => rm(dir, { recursive: true }));

const read = (...path: string[]) => readFile(join(dir, ...path), 'utf8');
const both = { memory: 1000.5, cpu: 0.5 };

/** A machine of version 2 whose root has and passes on these controllers. */
async function version2(name: string, has: string, passes: string): Promise<{ h: Hierarchies; cgroup: string }> {
  const v2 = join(dir, name);
  const cgroup = join(v2, 'aquifer-x/node/pod/main');
  await mkdir(cgroup, { recursive: true });
  await writeFile(join(v2, 'cgroup.controllers'), has);
  await writeFile(join(v2, 'cgroup.subtree_control'), passes);
  return { h: { v2, v1: () => undefined }, cgroup };
}

test('version 2: controllers are passed on to the pod, and the limits stand in the cgroup itself', async () => {
  const { h, cgroup } = await version2('two', 'cpu memory pids\n', 'cpu memory\n');
  await writeFile(join(cgroup, 'memory.swap.max'), 'max');
  const group = limitGroup(cgroup, both, h);
  assert.deepEqual([group.cgroups, group.unmet], [[], []]);
  assert.equal(await readFile(join(cgroup, 'memory.swap.max'), 'utf8'), '0');
  assert.equal(await readFile(join(cgroup, 'memory.max'), 'utf8'), '1001');
  assert.equal(await readFile(join(cgroup, 'cpu.max'), 'utf8'), '50000 100000');
  for (const at of ['aquifer-x', 'aquifer-x/node', 'aquifer-x/node/pod'])
    assert.match(await read('two', at, 'cgroup.subtree_control'), /^\+(memory|cpu)$/);
  // Whose processes are in it passes nothing on.
  assert.equal(existsSync(join(cgroup, 'cgroup.subtree_control')), false);
  assert.equal(group.oomKills(), 0);
  await writeFile(join(cgroup, 'memory.events'), 'low 0\noom 3\noom_kill 2\n');
  assert.equal(group.oomKills(), 2);
});

test('what a machine cannot keep is named, with the remedy where there is one', async () => {
  const { h, cgroup } = await version2('none', 'memory\n', '\n');
  const { unmet } = limitGroup(cgroup, both, h);
  assert.deepEqual(
    unmet.map((u) => u.limit),
    ['memory', 'cpu'],
  );
  assert.match(unmet[0]!.reason, /write \+memory to .*\/none\/cgroup\.subtree_control$/);
  assert.match(unmet[1]!.reason, /neither cgroup version of this machine has a cpu controller/);
});

test('version 1: a folder in each hierarchy, which goes with its pod', async () => {
  const h: Hierarchies = { v2: join(dir, 'unified'), v1: (controller) => join(dir, 'v1', controller) };
  const lab = join(h.v2, 'aquifer-x');
  const group = limitGroup(join(lab, 'node/pod/main'), both, h);
  const folders = ['memory', 'cpu'].map((c) => join(dir, 'v1', c, 'aquifer-x/node/pod/main'));
  assert.deepEqual(group.cgroups, folders);
  assert.equal(await readFile(join(folders[0]!, 'memory.limit_in_bytes'), 'utf8'), '1001');
  assert.equal(await readFile(join(folders[1]!, 'cpu.cfs_quota_us'), 'utf8'), '50000');
  await writeFile(join(folders[0]!, 'memory.oom_control'), 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n');
  assert.equal(group.oomKills(), 1);
  assert.deepEqual(limitFolders(lab, h), [join(dir, 'v1/memory/aquifer-x'), join(dir, 'v1/cpu/aquifer-x')]);
  assert.deepEqual(limitGroup(join(lab, 'node/pod/free'), { memory: undefined, cpu: undefined }, h).cgroups, []);
});

test('hierarchies are where they are mounted', () => {
  const h = hierarchies(`tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
`);
  assert.equal(h.v2, '/sys/fs/cgroup/unified');
  assert.equal(h.v1('cpu'), '/sys/fs/cgroup/cpu,cpuacct');
  assert.equal(h.v1('memory'), undefined);
});
