/** A pod's network namespace, found as on any node: through a process in the pod's cgroup. */
import { closeSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Fd, fd } from '../../common/core/brand.ts';
import { cgroupSubtree, findPodCgroup } from './pod-cgroup.ts';

export interface PodNetns {
  /** Open; the holder closes it. */
  readonly fd: Fd;
  /** Device and inode; equal exactly for the same namespace while somebody holds it. */
  readonly key: string;
  /** The folder whose `cgroup.events` (cgroup2) tells when the pod's last process ends. */
  readonly cgroup: string;
}

export type Discovery =
  | { readonly kind: 'found'; readonly netns: PodNetns }
  /** Not there yet; worth another try. */
  | { readonly kind: 'absent'; readonly reason: string };

export interface DiscoveryOptions {
  /** Cgroup folders below which this node's pods lie. */
  readonly roots: readonly string[];
  /** Default /proc. */
  readonly proc?: string;
}

export function discoverPodNetns(uid: string, { roots, proc = '/proc' }: DiscoveryOptions): Discovery {
  const cgroup = findPodCgroup(roots, uid);
  if (cgroup === undefined) return { kind: 'absent', reason: 'no cgroup carries its UID' };
  const own = netnsKey(statSync(join(proc, 'self/ns/net'), { bigint: true }));
  let reason = 'its cgroup has no process';
  for (const pid of processes(cgroup)) {
    const opened = openNetns(proc, pid);
    if (opened === undefined) continue;
    // The process may have ended and its number been given to another before the open: only a pid that is still
    // in the pod's cgroup afterwards was the pod's all along, for a number is not reused while its process lives.
    if (opened.key !== own && [...processes(cgroup)].includes(pid)) {
      return { kind: 'found', netns: { ...opened, cgroup } };
    }
    // A runtime puts the process into the cgroup before it enters the pod's namespaces; taking this one would capture the node.
    if (opened.key === own) reason = "its processes are in the node's own network namespace";
    closeSync(opened.fd);
  }
  return { kind: 'absent', reason };
}

/** Whether a process of the pod still lives in this namespace. */
export function isInhabited(netns: PodNetns, proc = '/proc'): boolean {
  for (const pid of processes(netns.cgroup)) {
    const opened = openNetns(proc, pid);
    if (opened === undefined) continue;
    closeSync(opened.fd);
    if (opened.key === netns.key) return true;
  }
  return false;
}

/** Parents first: with cgroup v1 a pod's own folder may hold processes, with cgroup2 only the leaves do. */
function* processes(cgroup: string): Iterable<string> {
  for (const folder of cgroupSubtree(cgroup)) {
    const text = readOrGone(join(folder, 'cgroup.procs'));
    // 0 is a process of a pid namespace that this agent does not see.
    yield* (text ?? '').split('\n').filter((pid) => pid !== '' && pid !== '0');
  }
}

function openNetns(proc: string, pid: string): { readonly fd: Fd; readonly key: string } | undefined {
  try {
    const opened = openSync(join(proc, pid, 'ns/net'), 'r');
    return { fd: fd(opened), key: netnsKey(fstatSync(opened, { bigint: true })) };
  } catch (e) {
    if (isGone(e)) return undefined;
    throw e;
  }
}

/** What `ls -i /proc/PID/ns/net` shows, with its device. */
function netnsKey(stat: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${stat.dev}:${stat.ino}`;
}

function readOrGone(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (e) {
    if (isGone(e)) return undefined;
    throw e;
  }
}

/** ENODEV: the cgroup was removed while its file was open. ESRCH, EINVAL: the process ended. EOPNOTSUPP: a threaded cgroup. */
function isGone(e: unknown): boolean {
  return ['ENOENT', 'ENODEV', 'ESRCH', 'EINVAL', 'EOPNOTSUPP'].includes((e as NodeJS.ErrnoException).code ?? '');
}
