/** `/debug/pprof/profile` and `/debug/pprof/heap`: V8's profiles of istiod in the form of pprof, under Go's names. Nothing is sampled before. */
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { type CpuProfile, cpuPprof, type HeapProfile, heapPprof } from '../../common/telemetry/pprof.ts';
import { Profiler } from '../../common/telemetry/profiler.ts';

export type ProfileAnswer =
  | { readonly kind: 'profile'; readonly body: Buffer }
  | { readonly kind: 'refused'; readonly code: 400 | 404 | 409; readonly reason: string };

const kinds = ['profile', 'heap'] as const;
const longest = 300;
/** Samples a second of CPU. */
const frequency = 1_000;

export class Profiles {
  readonly #clock: Clock;
  readonly #profiler: Profiler;
  #samples = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#profiler = new Profiler(clock);
  }

  /** `seconds` (1 to 300, default 10) of CPU, or of allocations that are in use at their end. */
  async take(name: string, query: URLSearchParams): Promise<ProfileAnswer> {
    const kind = kinds.find((k) => k === name);
    if (kind === undefined) return { kind: 'refused', code: 404, reason: `there is ${kinds.join(', ')}` };
    const given = query.get('seconds') ?? '10';
    const seconds = /^\d{1,3}$/.test(given) ? Number(given) : 0;
    if (seconds < 1 || seconds > longest)
      return { kind: 'refused', code: 400, reason: `seconds=${given}: expected 1 to ${longest}` };
    try {
      return { kind: 'profile', body: kind === 'profile' ? await this.#cpu(seconds) : await this.#heap(seconds) };
    } catch (e) {
      if (e instanceof MeshError && e.code === 'CONFLICT') return { kind: 'refused', code: 409, reason: e.message };
      throw e;
    }
  }

  async #cpu(seconds: number): Promise<Buffer> {
    const began = this.#clock.wall();
    return cpuPprof([(await this.#profiler.cpu(seconds, frequency)) as CpuProfile], began);
  }

  async #heap(seconds: number): Promise<Buffer> {
    if (this.#samples) throw new MeshError('CONFLICT', 'another heap profile is being taken');
    this.#samples = true;
    try {
      await this.#profiler.sampleHeap(true);
      await sleep(this.#clock, millis(seconds * 1000), new AbortController().signal);
      return heapPprof([(await this.#profiler.heap()) as HeapProfile], this.#clock.wall());
    } finally {
      await this.#profiler.sampleHeap(false);
      this.#samples = false;
    }
  }
}
