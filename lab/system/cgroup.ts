/** cgroup2 folders of a lab: made, emptied and removed. Only folders, no controllers. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';
import { pause } from './pause.ts';

/** Where cgroup2 is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid machine. MeshError CONFIG when nowhere. */
export function cgroupRoot(mounts = readFileSync('/proc/mounts', 'utf8')): string {
  const found = /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1];
  if (found === undefined) {
    throw new MeshError('CONFIG', 'no cgroup2 is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup');
  }
  return found;
}

export function makeCgroup(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}

/** Processes directly in this cgroup; empty when it does not exist. */
export function cgroupProcesses(path: string): readonly number[] {
  return readLines(join(path, 'cgroup.procs')).map(Number);
}

/** Kills every process below with SIGKILL (cgroup.kill, Linux 5.14) and waits until the kernel has let go of them. */
export async function killCgroup(path: string, signal = AbortSignal.timeout(10_000)): Promise<void> {
  while (!signal.aborted) {
    if (!existsSync(path) || !isPopulated(path)) return;
    kill(path);
    await pause(5);
  }
  throw new MeshError('KERNEL', `processes in ${path} do not end after SIGKILL`);
}

/** Sends a signal to every process below. */
export function signalCgroup(path: string, signal: NodeJS.Signals): void {
  for (const folder of tree(path)) for (const pid of cgroupProcesses(folder)) trySignal(pid, signal);
}

/** Removes a cgroup whose processes are gone, with all below it; passes over what does not exist. */
export async function removeCgroup(path: string): Promise<void> {
  const deadline = AbortSignal.timeout(5_000);
  for (const folder of tree(path).reverse()) {
    while (!tryRemove(folder)) {
      // The last process may be gone from cgroup.events and still be counted for a moment.
      if (deadline.aborted) throw new MeshError('KERNEL', `cgroup ${folder} cannot be removed: it is in use`);
      await pause(5);
    }
  }
}

function isPopulated(path: string): boolean {
  return readLines(join(path, 'cgroup.events')).includes('populated 1');
}

function kill(path: string): void {
  try {
    writeFileSync(join(path, 'cgroup.kill'), '1');
  } catch {
    // Before Linux 5.14: one by one; the caller comes back until none is left.
    signalCgroup(path, 'SIGKILL');
  }
}

export function trySignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    // Gone already.
    return false;
  }
}

/** The folder and all below it, parents first. */
function tree(path: string): string[] {
  if (!existsSync(path)) return [];
  const below = readdirSync(path, { withFileTypes: true }).filter((e) => e.isDirectory());
  return [path, ...below.flatMap((e) => tree(join(path, e.name)))];
}

function tryRemove(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return true;
    if ((e as NodeJS.ErrnoException).code === 'EBUSY') return false;
    throw e;
  }
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter((l) => l !== '');
  } catch {
    // A cgroup can vanish between two looks.
    return [];
  }
}
