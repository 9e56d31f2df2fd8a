/** What a process has in memory, from /proc. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const megabyte = 1_024;

export class Resident {
  readonly #pid: number;
  /** MB. */
  #before: number;

  /** Its peak counts from now on. */
  constructor(pid: number) {
    this.#pid = pid;
    // proc_pid_clear_refs(5): sets the peak to what there is now.
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    this.#before = this.#read('VmRSS');
  }

  /** MB that there were at most beyond those of the beginning. */
  get grown(): number {
    return this.#read('VmHWM') - this.#before;
  }

  /** Resolves once the peak has stayed where it is for half a second. */
  async still(): Promise<void> {
    for (let before = -1; before < this.grown; ) {
      before = this.grown;
      await delay(500);
    }
  }

  /** What was the peak so far is the beginning from now on. */
  rebase(): void {
    this.#before = this.#read('VmHWM');
  }

  #read(key: string): number {
    const status = readFileSync(`/proc/${this.#pid}/status`, 'utf8');
    return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / megabyte;
  }
}
