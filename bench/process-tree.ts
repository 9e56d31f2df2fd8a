/** Memory and CPU time of a process and everything it started, from /proc. */
import { readFileSync } from 'node:fs';
import { childProcesses } from '../test/harness/children.ts';

/** USER_HZ: ticks a second in /proc/PID/stat, 100 on every Linux that Node supports. */
const ticksPerSecond = 100;

export interface Usage {
  /** Resident memory, summed; pages that processes share are counted once a process. */
  readonly rssMb: number;
  /** User and system time since their start. */
  readonly cpuSeconds: number;
}

export function usageOf(pids: readonly number[]): Usage {
  let rssKb = 0;
  let ticks = 0;
  for (const pid of pids.flatMap(tree)) {
    try {
      rssKb += Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
      ticks += cpuTicks(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
      // Ended while we looked.
    }
  }
  return { rssMb: rssKb / 1_024, cpuSeconds: ticks / ticksPerSecond };
}

/** Fields 14 and 15 (proc_pid_stat(5)); the command before them may contain spaces and brackets. */
export function cpuTicks(stat: string): number {
  const afterCommand = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(afterCommand[11]) + Number(afterCommand[12]);
}

/** Memory with pages that processes share divided among them (proc_pid_smaps(5)), MB; a process that has ended counts 0. */
export function pssMb(pids: readonly number[]): number {
  let kb = 0;
  for (const pid of pids) {
    try {
      kb += Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      // Ended while we looked.
    }
  }
  return kb / 1_024;
}

/** The process and all that descend from it. */
export function tree(pid: number): number[] {
  return [pid, ...childProcesses(pid).flatMap(tree)];
}
