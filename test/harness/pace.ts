/** Load at a fixed rate over keep-alive connections, run in a pod, that tells which route answers (test/tools/pace.c). */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LabProcess } from '../../lab/index.ts';

export const paceProgram = join(import.meta.dirname, '../tools/build/pace');

export interface PaceLoad {
  readonly ip: string;
  readonly port: number;
  readonly connections: number;
  /** Requests a second, whether they are answered or not. */
  readonly rate: number;
  /** 0: until `stop`. */
  readonly seconds: number;
}

/** Behind the program's path. */
export function paceArguments({ ip, port, connections, rate, seconds }: PaceLoad): readonly string[] {
  return [ip, String(port), String(connections), rate.toFixed(1), String(seconds)];
}

export interface PaceResult {
  readonly sent: number;
  /** Not answered, or not with status 200. */
  readonly lost: number;
  /** Microseconds since a request was due. */
  readonly p50: number;
  readonly p99: number;
}

export class Pace {
  readonly #process: LabProcess;
  readonly #seen = new Map<string, PromiseWithResolvers<bigint>>();
  readonly #answering = Promise.withResolvers<void>();
  readonly #result = Promise.withResolvers<PaceResult>();

  constructor(process_: LabProcess) {
    this.#process = process_;
    process_.stderr.pipe(process.stderr);
    this.#result.promise.catch(() => undefined);
    this.#answering.promise.catch(() => undefined);
    void this.#read();
  }

  /** Resolves with the first answer. */
  get answering(): Promise<void> {
    return this.#answering.promise;
  }

  /** When the first answer came with this x-route, in nanoseconds of CLOCK_MONOTONIC. */
  answeredBy(route: string): Promise<bigint> {
    return this.#answer(route).promise;
  }

  /** Once its time is over. */
  get result(): Promise<PaceResult> {
    return this.#result.promise;
  }

  stop(): Promise<PaceResult> {
    this.#process.stdin.end();
    return this.#result.promise;
  }

  #answer(route: string): PromiseWithResolvers<bigint> {
    let found = this.#seen.get(route);
    if (found === undefined) {
      found = Promise.withResolvers<bigint>();
      found.promise.catch(() => undefined);
      this.#seen.set(route, found);
    }
    return found;
  }

  async #read(): Promise<void> {
    for await (const line of createInterface({ input: this.#process.stdout })) {
      const told = JSON.parse(line) as PaceResult | { readonly route: string; readonly at: number };
      // Nanoseconds since the start of the machine stay exact in a double for 104 days.
      if ('route' in told) {
        this.#answering.resolve();
        this.#answer(told.route).resolve(BigInt(told.at));
      } else this.#result.resolve(told);
    }
    const ended = new Error('pace has ended');
    this.#result.reject(ended);
    this.#answering.reject(ended);
    for (const answer of this.#seen.values()) answer.reject(ended);
  }
}
