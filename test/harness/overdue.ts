/** Since when each of a changing set of processes has been there. */
export class Overdue {
  readonly #limitMs: number;
  #since = new Map<number, number>();

  /** `limitMs`: how long a process may be there. */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /**
   * Which of `pids`, all that are there at `nowMs`, are there for too long. One that was away in between is forgotten: the kernel
   * gives numbers out again (pid_max may be 32,768), and a new process is not late for an old one.
   */
  of(pids: readonly number[], nowMs: number): readonly number[] {
    this.#since = new Map(pids.map((pid) => [pid, this.#since.get(pid) ?? nowMs]));
    return pids.filter((pid) => nowMs - this.#since.get(pid)! > this.#limitMs);
  }
}
