/** When a process started (proc(5), field 22 of /proc/PID/stat). */
import { readFileSync } from 'node:fs';

/** Clock ticks since the machine's start; 0 where there is no such process. */
export function processStart(pid: number): number {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // Gone meanwhile, or of a pid namespace that this one does not see.
    return 0;
  }
  // The name of the program, in parentheses, may hold anything.
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[19]);
}
