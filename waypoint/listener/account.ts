/** What a listener's access log says of a connection, once. */
import type { FormatContext } from '../format/format.ts';
import { bareRequest, type ConnectionEnd, type Downstream } from '../network/downstream.ts';
import type { Environment } from '../runtime/environment.ts';
import { type AccessLog, tellLogs } from '../telemetry/access-log.ts';
import { type ConnectionFacts, viewOf } from './facts.ts';

export class ConnectionAccount {
  /** Monotonic ms. */
  readonly started: number;
  readonly #env: Environment;
  readonly #logs: readonly AccessLog[];
  readonly #startTime: number;
  #of: Pick<Downstream, 'view' | 'facts'> & { readonly id?: number; readonly chain?: string };
  #told = false;

  constructor(env: Environment, logs: readonly AccessLog[], facts: ConnectionFacts) {
    this.#env = env;
    this.#logs = logs;
    this.started = env.clock.now();
    this.#startTime = env.clock.wall();
    this.#of = { facts, view: viewOf(facts, undefined) };
  }

  /** From now on with what TLS told. */
  secured(downstream: Downstream): void {
    this.#of = downstream;
  }

  tell(end: ConnectionEnd = {}): void {
    if (this.#told) return;
    this.#told = true;
    if (this.#logs.length === 0) return;
    const { id, chain } = this.#of;
    // What the last filter says of its own log is not of this one.
    const { logType: _, ...known } = end;
    const context: FormatContext = {
      request: bareRequest(this.#of),
      facts: {
        startTime: this.#startTime,
        duration: Math.round(this.#env.clock.now() - this.started),
        ...(id !== undefined && { connectionId: id }),
        ...(chain !== undefined && { chain }),
        variable: this.#env.variable,
        ...known,
      },
    };
    tellLogs(this.#logs, context);
  }
}
