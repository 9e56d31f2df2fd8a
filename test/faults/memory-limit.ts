/** A memory cgroup (version 1, a hierarchy of its own beside the labs' cgroups) that holds processes of a test to a limit. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const hierarchy = '/sys/fs/cgroup/memory';

export class MemoryLimit {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `limit` in bytes, of all its processes together. What they had before they came is not counted. */
  static make(name: string, limit: number): MemoryLimit {
    const made = new MemoryLimit(join(hierarchy, `aquifer-${name}`));
    mkdirSync(made.#folder);
    made.#write('memory.limit_in_bytes', limit);
    return made;
  }

  /** Its children, from now on, are in it too. */
  add(pid: number): void {
    this.#write('cgroup.procs', pid);
  }

  /** Bytes, what the kernel caches for its processes included. */
  get used(): number {
    return Number(this.#read('memory.usage_in_bytes'));
  }

  /** Bytes that were used at most. */
  get peak(): number {
    return Number(this.#read('memory.max_usage_in_bytes'));
  }

  get oomKills(): number {
    return Number(/^oom_kill (\d+)$/m.exec(this.#read('memory.oom_control'))?.[1]);
  }

  /** Its processes must have ended. */
  remove(): void {
    rmdirSync(this.#folder);
  }

  #read(file: string): string {
    return readFileSync(join(this.#folder, file), 'utf8');
  }

  #write(file: string, value: number): void {
    writeFileSync(join(this.#folder, file), `${value}`);
  }
}
