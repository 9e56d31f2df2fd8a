/** What the enrolment of a pod asks of the machine, as one injected part. */
import { watch } from 'node:fs';
import { join } from 'node:path';
import type { Fd, NetnsCookie } from '../../common/core/brand.ts';
import { closeFd, netnsCookie } from '../../native/index.ts';
import type { PacketSizes } from '../capture/big-tcp.ts';
import {
  type Discovery,
  discoverPodNetns,
  isInhabited,
  openRuntimeNetns,
  type PodNetns,
} from '../discovery/pod-netns.ts';
import { processCgroup } from '../discovery/process-cgroup.ts';
import { processStart } from '../discovery/process-start.ts';

export interface PodKernel {
  discover(uid: string): Discovery;
  /** The namespace at a path that the container runtime gave. */
  open(path: string): Discovery;
  /** The namespace is still the pod's. */
  isInhabited(netns: PodNetns): boolean;
  /** Calls back when the answer of isInhabited may have changed. With cgroup v1 and a runtime's path it never does: ask now and then too. */
  watch(netns: PodNetns, onChange: () => void): { close(): void };
  cookie(netns: Fd): NetnsCookie;
  /** Of the pod that the process belongs to, or its own. MeshError when it is none to tell a program by. */
  cgroupOf(pid: number): string;
  /** Clock ticks from the machine's start to the process'; 0 where it is gone, or not to be seen from here. */
  startedAt(pid: number): number;
  /** Large packets inside the node for this pod (cni/capture/big-tcp.ts); never throws, and may be repeated. */
  enlargePackets(netns: Fd): void;
  /** As they were before enlargePackets. */
  restorePackets(netns: Fd): void;
  close(netns: Fd): void;
}

/** `roots`: cgroup folders below which pods lie, the first one in cgroup2, which is mounted at `mount`. */
export function podKernel(
  roots: readonly [string, ...string[]],
  mount: string,
  sizes: Pick<PacketSizes, 'enlarge' | 'makeUsual'>,
): PodKernel {
  return {
    enlargePackets: (netns) => sizes.enlarge(netns),
    restorePackets: (netns) => sizes.makeUsual(netns),
    cgroupOf: (pid) => processCgroup(pid, { mount, root: roots[0] }),
    startedAt: processStart,
    discover: (uid) => discoverPodNetns(uid, { roots }),
    open: (path) => openRuntimeNetns(path),
    isInhabited: (netns) => isInhabited(netns),
    watch: watchCgroup,
    cookie: netnsCookie,
    close: closeFd,
  };
}

/** cgroup2's `cgroup.events` reports a change when the last process below the folder ends (kernel: cgroup-v2, "populated"). */
function watchCgroup({ life }: PodNetns, onChange: () => void): { close(): void } {
  if (life.kind === 'path') return { close: () => undefined };
  try {
    const watcher = watch(join(life.cgroup, 'cgroup.events'), { persistent: false }, onChange);
    watcher.on('error', onChange);
    return watcher;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw e;
    // The cgroup is gone again, or it is v1 and has no such file.
    setImmediate(onChange);
    return { close: () => undefined };
  }
}
