/** Which process runs a program now: written by the daemon, read by `kill`, `pid` and `status`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { labPaths } from '../names.ts';
import { cgroupProcesses } from '../system/cgroup.ts';

export function programFile(lab: string, program: string, host: string): string {
  return join(labPaths(lab).programs, `${program}@${host}.json`);
}

/** undefined while there is none; the file of a process that has ended says nothing. */
export async function programPid(lab: string, program: string, host: string): Promise<number | undefined> {
  try {
    const text = await readFile(programFile(lab, program, host), 'utf8');
    const { pid, cgroup } = JSON.parse(text) as { pid: number; cgroup: string };
    return cgroupProcesses(cgroup).includes(pid) ? pid : undefined;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw e;
  }
}
