/** What Aquifer's programs and tests may leave on the machine, by name: compared before and after a run. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** Names of network namespaces, cgroups, mounts and processes that are ours, each with its kind in front. */
export function leftovers(): ReadonlySet<string> {
  if (process.platform !== 'linux') return new Set();
  return new Set([...namespaces(), ...cgroups(), ...mounts(), ...processes()]);
}

export function newLeftovers(before: ReadonlySet<string>, after: ReadonlySet<string>): readonly string[] {
  return [...after].filter((thing) => !before.has(thing)).sort();
}

/**
 * What is left once things had 5 s to go: the kernel takes a moment to end processes and namespaces after the last program let
 * go of them.
 */
export async function settledLeftovers(before: ReadonlySet<string>): Promise<readonly string[]> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const left = newLeftovers(before, leftovers());
    if (left.length === 0 || performance.now() > deadline) return left;
    await setTimeout(100);
  }
}

function namespaces(): string[] {
  return entries('/run/netns').map((name) => `netns ${name}`);
}

function cgroups(): string[] {
  const roots = [...readFileSync('/proc/mounts', 'utf8').matchAll(/^\S+ (\S+) cgroup2? /gm)].map((m) => m[1]!);
  return roots.flatMap((root) =>
    entries(root)
      .filter((name) => /^(aq|aquifer)-/.test(name))
      .map((name) => `cgroup ${join(root, name)}`),
  );
}

function mounts(): string[] {
  const lines = readFileSync('/proc/self/mounts', 'utf8').trim().split('\n');
  return lines
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => /\/(aq|aquifer)[-/]/.test(path))
    .map((path) => `mount ${path}`);
}

/** Processes that inherited this test run's mark and outlived it. */
function processes(): string[] {
  const mark = process.env['NODE_TEST_RUN'];
  if (mark === undefined) return [];
  return entries('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .filter((pid) => read(`/proc/${pid}/environ`).split('\0').includes(`NODE_TEST_RUN=${mark}`))
    .map((pid) => `process ${pid} ${read(`/proc/${pid}/cmdline`).split('\0').join(' ').slice(0, 120) || link(pid)}`);
}

function link(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return '';
  }
}

/** Processes and cgroups come and go while we look: what cannot be read is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
