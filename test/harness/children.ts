/** Processes that a process started, from /proc. */
import { readdirSync, readFileSync } from 'node:fs';

/** Direct children; empty when the process is gone. */
export function childProcesses(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}
