/** Holds a program of a lab to a limit of memory, by whichever cgroups the machine has (lab/system/limits.ts). */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';
import { hierarchies, type LimitedGroup, limitGroup } from '../../lab/system/limits.ts';

/** By version of cgroups: with a folder of its own, or in place. */
const files = {
  own: { used: 'memory.usage_in_bytes', peak: 'memory.max_usage_in_bytes' },
  inPlace: { used: 'memory.current', peak: 'memory.peak' },
} as const;

export class MemoryLimit {
  readonly #group: LimitedGroup;
  readonly #folder: string;
  readonly #files: (typeof files)[keyof typeof files];

  private constructor(group: LimitedGroup, folder: string, names: (typeof files)[keyof typeof files]) {
    this.#group = group;
    this.#folder = folder;
    this.#files = names;
  }

  /**
   * `bytes` for the process and its children from now on. With version 1 what they had before is not counted; with version 2 all
   * processes of the same cgroup are held to it.
   */
  static hold(pid: number, bytes: number): MemoryLimit {
    const h = hierarchies();
    const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1] ?? '';
    const cgroup = join(h.v2, path);
    const group = limitGroup(cgroup, { memory: bytes, cpu: undefined }, h);
    const [unmet] = group.unmet;
    if (unmet !== undefined) throw new MeshError('KERNEL', unmet.reason);
    for (const folder of group.cgroups) writeFileSync(join(folder, 'cgroup.procs'), String(pid));
    const [own] = group.cgroups;
    return new MemoryLimit(group, own ?? cgroup, own === undefined ? files.inPlace : files.own);
  }

  /** Bytes, what the kernel caches for its processes included. */
  get used(): number {
    return this.#read(this.#files.used);
  }

  /** Bytes that were used at most. */
  get peak(): number {
    return this.#read(this.#files.peak);
  }

  get oomKills(): number {
    return this.#group.oomKills();
  }

  /** Its processes must have ended. */
  async remove(): Promise<void> {
    await this.#group.remove();
  }

  #read(file: string): number {
    return Number(readFileSync(join(this.#folder, file), 'utf8'));
  }
}
