/** The cgroup2 folder by which the kernel knows a program that talks to the agent: its pod's, or, outside of Kubernetes, its own. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';
import { isCode } from '../../common/core/files.ts';
import { findPodCgroup, podUidOfFolder } from './pod-cgroup.ts';

export interface ProcessCgroupOptions {
  /** Mount point of cgroup2. */
  readonly mount: string;
  /** The mount point, or the node's part of what is below it. */
  readonly root: string;
  /** Default /proc. */
  readonly proc?: string;
}

/**
 * MeshError NOT_FOUND when the process is not seen from here, CONFIG when its cgroup is everybody's. The path in /proc/PID/cgroup is
 * seen from this agent's cgroup namespace and may lead out of it ("/../..", cgroup_namespaces(7)); a pod's folder is found by its name.
 */
export function processCgroup(pid: number, { mount, root, proc = '/proc' }: ProcessCgroupOptions): string {
  const path = unifiedPath(pid, proc);
  const uid = path.split('/').reduce<string | undefined>((found, name) => podUidOfFolder(name) ?? found, undefined);
  const own = join(mount, path).replace(/\/$/, '');
  const folder = uid === undefined ? own : findPodCgroup([root], uid);
  if (folder?.startsWith(`${root}/`)) return folder;
  throw new MeshError(
    'CONFIG',
    `process ${pid} is in cgroup ${path}, which is no folder of its own below ${root}: run it as a pod or as a service, or set AQUIFER_ZTUNNEL_CGROUP`,
  );
}

function unifiedPath(pid: number, proc: string): string {
  const file = join(proc, String(pid), 'cgroup');
  try {
    const path = /^0::(\/.*)$/m.exec(readFileSync(file, 'utf8'))?.[1];
    if (path !== undefined) return path;
  } catch (e) {
    if (!isCode(e, 'ENOENT') && !isCode(e, 'ESRCH')) throw e;
  }
  throw new MeshError(
    'NOT_FOUND',
    `process ${pid} has no cgroup2 that is seen from here (does the agent's pod have hostPID?)`,
  );
}
