/**
 * Limits of memory and CPU for the processes of one cgroup, by whichever cgroups the machine has: those of version 2, in place, or a
 * folder beside them in each hierarchy of version 1.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describeError } from '../../common/core/errors.ts';
import { removeCgroup } from './cgroup.ts';

export interface Limits {
  /** Bytes. */
  readonly memory: number | undefined;
  /** CPUs, 0.5 is half of one. */
  readonly cpu: number | undefined;
}

type Controller = keyof Limits;

export interface LimitedGroup {
  /** Folders whose processes are limited, beside the cgroup itself: whoever joins it joins them too. */
  readonly cgroups: readonly string[];
  /** Which limits the machine cannot keep, and why. */
  readonly unmet: readonly { readonly limit: Controller; readonly reason: string }[];
  /** Processes that the kernel killed because the memory was used up. */
  oomKills(): number;
  /** Its processes must have ended. */
  remove(): Promise<void>;
}

/** Where the hierarchies of a machine are mounted. */
export interface Hierarchies {
  readonly v2: string;
  v1(controller: string): string | undefined;
}

export function hierarchies(mounts = readFileSync('/proc/mounts', 'utf8')): Hierarchies {
  const lines = mounts.split('\n').map((line) => line.split(' '));
  return {
    v2: lines.find(([, , type]) => type === 'cgroup2')?.[1] ?? '/sys/fs/cgroup',
    v1: (controller) =>
      lines.find(([, , type, options]) => type === 'cgroup' && options?.split(',').includes(controller))?.[1],
  };
}

/** Folders of version 1 that belong to one lab. */
export function limitFolders(labCgroup: string, h: Hierarchies = hierarchies()): string[] {
  const name = relative(h.v2, labCgroup).split('/')[0]!;
  return (['memory', 'cpu'] as const).flatMap((c) => {
    const root = h.v1(c);
    return root === undefined ? [] : [join(root, name)];
  });
}

const period = 100_000;

/** `cgroup` is of version 2 and a leaf. */
export function limitGroup(cgroup: string, limits: Limits, h: Hierarchies = hierarchies()): LimitedGroup {
  const unmet: { limit: Controller; reason: string }[] = [];
  const cgroups: string[] = [];
  let kills = () => 0;
  for (const limit of ['memory', 'cpu'] as const) {
    const amount = limits[limit];
    if (amount === undefined) continue;
    const v1 = h.v1(limit);
    if (v1 !== undefined) {
      const folder = join(v1, relative(h.v2, cgroup));
      mkdirSync(folder, { recursive: true });
      cgroups.push(folder);
      if (limit === 'memory') {
        write(folder, 'memory.limit_in_bytes', Math.ceil(amount));
        writeIfThere(folder, 'memory.memsw.limit_in_bytes', Math.ceil(amount));
        kills = () => count(folder, 'memory.oom_control', 'oom_kill');
      } else {
        write(folder, 'cpu.cfs_period_us', period);
        write(folder, 'cpu.cfs_quota_us', Math.ceil(amount * period));
      }
      continue;
    }
    const reason = enable(h.v2, dirname(cgroup), limit);
    if (reason !== undefined) unmet.push({ limit, reason });
    else if (limit === 'cpu') write(cgroup, 'cpu.max', `${Math.ceil(amount * period)} ${period}`);
    else {
      write(cgroup, 'memory.max', Math.ceil(amount));
      writeIfThere(cgroup, 'memory.swap.max', 0);
      kills = () => count(cgroup, 'memory.events', 'oom_kill');
    }
  }
  return {
    cgroups: [...new Set(cgroups)],
    unmet,
    oomKills: () => kills(),
    remove: async () => {
      for (const folder of cgroups) {
        await removeCgroup(folder);
        removeIfEmpty(dirname(folder));
      }
    },
  };
}

/** Of the containers of one pod the last one takes the pod's folder away. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Another container is in it, or has removed it.
  }
}

/** Gives a controller to what is below each folder from the root's children to `folder`. The machine's root is not ours to change. */
function enable(root: string, folder: string, controller: Controller): string | undefined {
  if (!words(join(root, 'cgroup.controllers')).includes(controller))
    return `neither cgroup version of this machine has a ${controller} controller`;
  if (!words(join(root, 'cgroup.subtree_control')).includes(controller))
    return `the machine does not pass its ${controller} controller on; write +${controller} to ${root}/cgroup.subtree_control`;
  const parts = relative(root, folder).split('/');
  for (let i = 1; i <= parts.length; i++) {
    const at = join(root, ...parts.slice(0, i));
    if (words(join(at, 'cgroup.subtree_control')).includes(controller)) continue;
    try {
      write(at, 'cgroup.subtree_control', `+${controller}`);
    } catch (e) {
      return `${at} cannot pass its ${controller} controller on: ${describeError(e)}`;
    }
  }
  return undefined;
}

function words(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split(/\s+/) : [];
}

function count(folder: string, file: string, key: string): number {
  const path = join(folder, file);
  if (!existsSync(path)) return 0;
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(readFileSync(path, 'utf8'))?.[1] ?? 0);
}

function write(folder: string, file: string, value: number | string): void {
  writeFileSync(join(folder, file), `${value}`);
}

/** Where the kernel swaps: as with kubelet, who has a limit does not. */
function writeIfThere(folder: string, file: string, value: number): void {
  if (existsSync(join(folder, file))) write(folder, file, value);
}
