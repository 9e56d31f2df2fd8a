/** What `exec` needs to know of a pod: written by the daemon, read by any process. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../../common/core/files.ts';
import type { Privileges } from '../manifest/security.ts';

export interface ContainerProcess {
  readonly pid: number;
  readonly cgroup: string;
  /** With those of its limits. */
  readonly cgroups: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly privileges: Privileges;
}

/** By container. */
export type PodProcesses = Readonly<Record<string, ContainerProcess>>;

export async function writeProcesses(podDir: string, processes: PodProcesses): Promise<void> {
  await replaceFile(join(podDir, 'processes.json'), JSON.stringify(processes), { mode: 0o600 });
}

/** Empty when the pod does not run. */
export async function readProcesses(podDir: string): Promise<PodProcesses> {
  try {
    return JSON.parse(await readFile(join(podDir, 'processes.json'), 'utf8')) as PodProcesses;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw e;
  }
}
