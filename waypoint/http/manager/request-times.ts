/** When the points of a request's life were: each is worked out only when somebody asks for it. */
import type { StreamTimes } from '../../format/durations.ts';
import type { ForwardFacts } from '../router/forward.ts';

/** Monotonic ms; undefined: not yet. */
interface OwnTimes {
  readonly started: number;
  readonly requestEnded: number | undefined;
  readonly responded: number | undefined;
  readonly over: number | undefined;
}

export class RequestTimes implements Readonly<Record<keyof StreamTimes, number | undefined>> {
  readonly #told: Pick<ForwardFacts, 'times' | 'about'>;
  readonly #own: OwnTimes;

  constructor(told: Pick<ForwardFacts, 'times' | 'about'>, own: OwnTimes) {
    this.#told = told;
    this.#own = own;
  }

  get requestEnd(): number | undefined {
    return this.#after(this.#own.requestEnded);
  }

  get connectStart(): number | undefined {
    return this.#after(this.#told.about?.started);
  }

  get connectEnd(): number | undefined {
    return this.#after(this.#told.about?.connected);
  }

  get handshakeEnd(): number | undefined {
    return this.#after(this.#told.about?.tls?.done);
  }

  get upstreamRequestStart(): number | undefined {
    return this.#after(this.#told.times.ready);
  }

  get upstreamRequestEnd(): number | undefined {
    return this.#after(this.#told.times.requestEnd);
  }

  get upstreamResponseStart(): number | undefined {
    return this.#after(this.#told.times.responseStart);
  }

  get upstreamBodyStart(): number | undefined {
    return this.#after(this.#told.times.bodyStart);
  }

  get upstreamResponseEnd(): number | undefined {
    return this.#after(this.#told.times.responseEnd);
  }

  get responseStart(): number | undefined {
    return this.#after(this.#own.responded);
  }

  get responseEnd(): number | undefined {
    return this.#after(this.#own.over);
  }

  get poolReady(): number | undefined {
    const { ready, asked } = this.#told.times;
    return ready === undefined || asked === undefined ? undefined : ready - asked;
  }

  #after(at: number | undefined): number | undefined {
    return at === undefined ? undefined : at - this.#own.started;
  }
}
