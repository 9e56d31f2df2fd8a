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

const digits: Readonly<Record<Exclude<TraceReason, 'none'>, string>> = { sampled: '9', forced: 'a', client: 'b' };
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
  const first = id.slice(0, 8);
  return /^[0-9a-f]{8}$/i.test(first) ? Number.parseInt(first, 16) : undefined;
}

function reasonOf(id: string): TraceReason {
  if (id.length !== length) return 'none';
  const digit = id[at];
  return (['sampled', 'forced', 'client'] as const).find((reason) => digits[reason] === digit) ?? 'none';
}
