/** The cgroup whose connections to pods are health probes, when no setting names it: the kubelet's (ebpf-datapath 4). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Folder below the mount point of cgroup2; undefined when no kubelet runs, or it has no cgroup2 folder of its own. */
export function findKubeletCgroup(cgroupMount: string, proc = '/proc'): string | undefined {
  for (const pid of readdirSync(proc).filter((name) => /^\d+$/.test(name))) {
    if (readOrGone(join(proc, pid, 'comm'))?.trim() !== 'kubelet') continue;
    // `0::/system.slice/kubelet.service` (cgroups(7)); the root is every process's that nobody has moved.
    const path = /^0::(\/.+)$/m.exec(readOrGone(join(proc, pid, 'cgroup')) ?? '')?.[1];
    if (path !== undefined) return join(cgroupMount, path);
  }
  return undefined;
}

function readOrGone(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (e) {
    if (['ENOENT', 'ESRCH'].includes((e as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw e;
  }
}
