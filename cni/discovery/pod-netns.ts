/**
 * A pod's network namespace: given by the container runtime before the pod has a process, or found as on any node, through a process
 * in the pod's cgroup.
 */
import { closeSync, fstatSync, openSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Fd, fd } from '../../common/core/brand.ts';
import { assertNever, describeError, MeshError } from '../../common/core/errors.ts';
import { cgroupSubtree, findPodCgroup } from './pod-cgroup.ts';

export interface PodNetns {
  /** Open; the holder closes it. */
  readonly fd: Fd;
  /** Device and inode; equal exactly for the same namespace while somebody holds it. */
  readonly key: string;
  readonly life: NetnsLife;
}

/** What tells that a namespace is still the pod's. */
export type NetnsLife =
  /** It has a process in this cgroup, whose `cgroup.events` (cgroup2) tells when the last one ends. */
  | { readonly kind: 'processes'; readonly cgroup: string }
  /** The runtime still has it at this path, where it was before the pod's first process and is until after the last. */
  | { readonly kind: 'path'; readonly path: string };

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
    const opened = openAt(join(proc, pid, 'ns/net'));
    if (opened === undefined) continue;
    // The process may have ended and its number been given to another before the open: only a pid that is still
    // in the pod's cgroup afterwards was the pod's all along, for a number is not reused while its process lives.
    if (opened.key !== own && [...processes(cgroup)].includes(pid)) {
      return { kind: 'found', netns: { ...opened, life: { kind: 'processes', cgroup } } };
    }
    // A runtime puts the process into the cgroup before it enters the pod's namespaces; taking this one would capture the node.
    if (opened.key === own) reason = "its processes are in the node's own network namespace";
    closeSync(opened.fd);
  }
  return { kind: 'absent', reason };
}

/** f_type of statfs(2) for namespaces. */
const nsfs = 0x6e736673;

/** What a runtime says is the namespace of a pod that it is about to start. */
export function openRuntimeNetns(path: string, proc = '/proc'): Discovery {
  const opened = openAt(path);
  if (opened === undefined) return { kind: 'absent', reason: `${path} does not exist` };
  const own = netnsKey(statSync(join(proc, 'self/ns/net'), { bigint: true }));
  if (opened.key !== own && statfsSync(join(proc, `self/fd/${opened.fd}`)).type === nsfs) {
    return { kind: 'found', netns: { ...opened, life: { kind: 'path', path } } };
  }
  closeSync(opened.fd);
  const what = opened.key === own ? "the node's own network namespace" : 'no namespace';
  return { kind: 'absent', reason: `${path} is ${what}` };
}

/** Whether the namespace is still the pod's, as far as its {@link NetnsLife} tells. */
export function isInhabited(netns: PodNetns, proc = '/proc'): boolean {
  switch (netns.life.kind) {
    case 'path':
      return keyAt(netns.life.path) === netns.key;
    case 'processes':
      for (const pid of processes(netns.life.cgroup)) if (keyAt(join(proc, pid, 'ns/net')) === netns.key) return true;
      return false;
    default:
      return assertNever(netns.life);
  }
}

/** Parents first: with cgroup v1 a pod's own folder may hold processes, with cgroup2 only the leaves do. */
function* processes(cgroup: string): Iterable<string> {
  for (const folder of cgroupSubtree(cgroup)) {
    const text = readOrGone(join(folder, 'cgroup.procs'));
    // 0 is a process of a pid namespace that this agent does not see.
    yield* (text ?? '').split('\n').filter((pid) => pid !== '' && pid !== '0');
  }
}

function openAt(path: string): { readonly fd: Fd; readonly key: string } | undefined {
  try {
    const opened = openSync(path, 'r');
    return { fd: fd(opened), key: netnsKey(fstatSync(opened, { bigint: true })) };
  } catch (e) {
    if (isGone(e)) return undefined;
    throw refusal(e);
  }
}

function keyAt(path: string): string | undefined {
  try {
    return netnsKey(statSync(path, { bigint: true }));
  } catch (e) {
    if (isGone(e)) return undefined;
    throw refusal(e);
  }
}

/** /proc shows namespaces of processes that have another user or more capabilities only to who may trace them (namespaces(7)). */
function refusal(e: unknown): unknown {
  if ((e as NodeJS.ErrnoException).code !== 'EACCES') return e;
  return new MeshError('CONFIG', `${describeError(e)}; grant CAP_SYS_PTRACE, which processes of other users need`);
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
