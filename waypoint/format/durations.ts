/** `%REQUEST_DURATION%`, `%COMMON_DURATION(DS_RX_BEG:US_TX_END:us)%` and its like: what lies between two points of a stream's life. */
import type { Operator, StreamFacts } from './format.ts';

/** Points of a request or connection, in ms after its start; absent: it did not come so far. */
export interface StreamTimes {
  readonly requestEnd?: number;
  /** Of the connection to the host; negative where an earlier stream had it made. */
  readonly connectStart?: number;
  readonly connectEnd?: number;
  readonly handshakeEnd?: number;
  readonly upstreamRequestStart?: number;
  readonly upstreamRequestEnd?: number;
  readonly upstreamResponseStart?: number;
  readonly upstreamBodyStart?: number;
  readonly upstreamResponseEnd?: number;
  readonly responseStart?: number;
  readonly responseEnd?: number;
  /** How long the last try waited for a connection, in ms. */
  readonly poolReady?: number;
}

const points: Readonly<Record<string, (facts: StreamFacts) => number | undefined>> = {
  DS_RX_BEG: ({ times }) => times && 0,
  DS_RX_END: ({ times }) => times?.requestEnd,
  US_CX_BEG: ({ times }) => times?.connectStart,
  US_CX_END: ({ times }) => times?.connectEnd,
  US_HS_END: ({ times }) => times?.handshakeEnd,
  US_TX_BEG: ({ times }) => times?.upstreamRequestStart,
  US_TX_END: ({ times }) => times?.upstreamRequestEnd,
  US_RX_BEG: ({ times }) => times?.upstreamResponseStart,
  US_RX_BODY_BEG: ({ times }) => times?.upstreamBodyStart,
  US_RX_END: ({ times }) => times?.upstreamResponseEnd,
  DS_TX_BEG: ({ times }) => times?.responseStart,
  DS_TX_END: ({ times }) => times?.responseEnd,
};

const precisions: Readonly<Record<string, number>> = { ms: 1, us: 1_000, ns: 1_000_000 };

/** Throws Error for what is none. Points of other names are ones that nobody sets here. */
export function commonDuration(args: string): Operator {
  const [start = '', end = '', precision = '', ...rest] = args.split(':');
  const factor = Object.hasOwn(precisions, precision) ? precisions[precision] : undefined;
  if (start === '' || end === '' || factor === undefined || rest.length > 0)
    throw new Error(`%COMMON_DURATION(${args})%: START:END:PRECISION is expected, of ms, us or ns`);
  const [from, to] = [start, end].map((name) => (Object.hasOwn(points, name) ? points[name]! : () => undefined));
  return ({ facts }) => {
    const [a, b] = [from!(facts), to!(facts)];
    return a === undefined || b === undefined ? undefined : String(Math.trunc((b - a) * factor));
  };
}

const whole = (ms: number | undefined) => (ms === undefined ? undefined : String(Math.trunc(ms)));

export const durationOperators: Readonly<Record<string, Operator>> = {
  REQUEST_DURATION: ({ facts }) => whole(facts.times?.requestEnd),
  REQUEST_TX_DURATION: ({ facts }) => whole(facts.times?.upstreamRequestEnd),
  RESPONSE_DURATION: ({ facts }) => whole(facts.times?.upstreamResponseStart),
  RESPONSE_TX_DURATION: ({ facts: { times } }) => {
    if (times?.upstreamResponseStart === undefined || times.responseEnd === undefined) return undefined;
    return whole(times.responseEnd - times.upstreamResponseStart);
  },
  UPSTREAM_CONNECTION_POOL_READY_DURATION: ({ facts }) => whole(facts.times?.poolReady),
};
