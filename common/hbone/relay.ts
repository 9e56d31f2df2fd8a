import type { Duplex } from 'node:stream';

/** Updated while the relay runs, so that a metric can be sampled from an open connection. */
export interface RelayCounters {
  /** Bytes taken from downstream and given to upstream. */
  received: number;
  /** Bytes taken from upstream and given to downstream. */
  sent: number;
}

export interface RelayResult {
  readonly received: number;
  readonly sent: number;
  /** What broke the connection; absent when both directions ended, also by a peer that just went away (ambient-wire 1.7). */
  readonly error?: Error;
}

export interface RelayOptions {
  /** Resets both sides. */
  readonly signal: AbortSignal;
  readonly counters?: RelayCounters;
}

/** Copies both directions until both ended; resolves once, never rejects. Both streams are closed then. */
export function relay(_downstream: Duplex, _upstream: Duplex, _options: RelayOptions): Promise<RelayResult> {
  throw new Error('being written');
}
