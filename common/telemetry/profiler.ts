/** V8's profiles of this process, by Node's inspector; no port is opened for them. */
import { Session } from 'node:inspector/promises';
import { millis } from '../core/brand.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { MeshError } from '../core/errors.ts';

/** Bytes of allocation between two samples, on average: that of Istio's (2^19). */
const heapInterval = 524_288;

export class Profiler {
  readonly #clock: Clock;
  readonly #session = new Session();
  #connected = false;
  #profiling = false;
  #sampling = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** V8's `Profiler.Profile`. MeshError CONFLICT while another one is being taken. */
  async cpu(seconds: number, frequency: number): Promise<unknown> {
    if (this.#profiling) throw new MeshError('CONFLICT', 'another CPU profile is being taken');
    this.#profiling = true;
    try {
      const session = this.#open();
      await session.post('Profiler.enable');
      await session.post('Profiler.setSamplingInterval', { interval: Math.round(1_000_000 / frequency) });
      await session.post('Profiler.start');
      await sleep(this.#clock, millis(seconds * 1000), new AbortController().signal);
      const { profile } = await session.post('Profiler.stop');
      await session.post('Profiler.disable');
      return profile;
    } finally {
      this.#profiling = false;
    }
  }

  /** V8's `HeapProfiler.SamplingHeapProfile` since sampling began; null while it is off. */
  async heap(): Promise<unknown> {
    if (!this.#sampling) return null;
    const { profile } = await this.#open().post('HeapProfiler.getSamplingProfile');
    return profile;
  }

  /** Whether allocations are sampled from now on. */
  async sampleHeap(active: boolean | undefined): Promise<boolean> {
    if (active !== undefined && active !== this.#sampling) {
      const session = this.#open();
      if (active) await session.post('HeapProfiler.startSampling', { samplingInterval: heapInterval });
      else await session.post('HeapProfiler.stopSampling');
      this.#sampling = active;
    }
    return this.#sampling;
  }

  #open(): Session {
    if (!this.#connected) this.#session.connect();
    this.#connected = true;
    return this.#session;
  }
}
