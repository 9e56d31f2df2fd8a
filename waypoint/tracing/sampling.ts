/**
 * Whether a request is traced, as HttpConnectionManager decides it: the request's id carries the decision from proxy to proxy, in the
 * digit that says the version of a UUID.
 */
import type { Dice } from '../cluster/types.ts';
import type { Headers } from '../request/headers.ts';

export interface Sampling {
  /** Percent, 0 to 100: of what clients ask for by `x-client-trace-id`, of all others, and of those chosen. */
  readonly client: number;
  readonly random: number;
  readonly overall: number;
  /** Where not, all are chosen here, and the headers of the trace or the tracer decide. */
  readonly byRequestId: boolean;
  /** The decision is written to the request's id. */
  readonly packs: boolean;
}

export type TraceReason = 'sampled' | 'forced' | 'client' | 'none';

const digits = { sampled: '9', forced: 'a', client: 'b' } as const;
const notTraced = '4';
const at = 14;
/** Of a UUID. */
const length = 36;

export interface SamplingInput {
  readonly headers: Headers;
  readonly sampling: Sampling;
  readonly dice: Dice;
}

export function decideTrace({ headers, sampling, dice }: SamplingInput): TraceReason {
  if (!sampling.byRequestId) return 'sampled';
  const id = headers.first('x-request-id');
  const number = id === undefined || id.length < 8 ? undefined : numberOf(id);
  if (id === undefined || number === undefined) return 'none';
  const share = number % 10_000;
  const told = reasonOf(id);
  const reason = told === 'none' ? freshReason(headers, sampling, share, dice) : told;
  const decided = reason === 'none' || share < sampling.overall * 100 ? reason : 'none';
  if (sampling.packs && decided !== told && id.length === length) {
    const digit = decided === 'none' ? notTraced : digits[decided];
    headers.set('x-request-id', id.slice(0, at) + digit + id.slice(at + 1));
  }
  return decided;
}

function freshReason(headers: Headers, { client, random }: Sampling, share: number, dice: Dice): TraceReason {
  if (headers.has('x-client-trace-id') && dice.random() * 100 < client) return 'client';
  if (headers.has('x-envoy-force-trace')) return 'forced';
  return share < random * 100 ? 'sampled' : 'none';
}

function numberOf(id: string): number | undefined {
  let number = 0;
  for (let i = 0; i < 8; i++) {
    const digit = digitOf(id.charCodeAt(i));
    if (digit === undefined) return undefined;
    number = number * 16 + digit;
  }
  return number;
}

/** Of a hex digit's code. */
function digitOf(code: number): number | undefined {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : undefined;
}

function reasonOf(id: string): TraceReason {
  if (id.length !== length) return 'none';
  switch (id[at]) {
    case digits.sampled:
      return 'sampled';
    case digits.forced:
      return 'forced';
    case digits.client:
      return 'client';
    default:
      return 'none';
  }
}
