/** What a module may use before it is stopped. */
export interface ScriptLimits {
  /** Ms of CPU without finishing a call. */
  readonly cpu: number;
  /** Ms that a call may run, on a machine that gives it no CPU, too. */
  readonly time: number;
  /** Ms that a request waits for its call, also while the module is started anew. */
  readonly wait: number;
  /** Cores, over all calls; a second's worth may be used at once. */
  readonly share: number;
  /** MiB of V8's heap; outside of it there may be as much again, and what Node needs. */
  readonly heap: number;
  /** Requests that wait at once. */
  readonly waiting: number;
}

export const defaultLimits: ScriptLimits = { cpu: 100, time: 2_000, wait: 5_000, share: 0.5, heap: 32, waiting: 1_024 };

/** Of one call: changes of headers, names of metrics, lines of log; and characters of what it returns. */
export const mostChanges = 64;
export const mostMetrics = 32;
export const mostLines = 8;
export const longestReply = 131_072;
/** Names of shared counters. */
export const mostCounters = 10_000;
/** Bytes of a module. */
export const largestModule = 262_144;
