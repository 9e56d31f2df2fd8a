/** What proxies ask (envoy.service.ratelimit.v3) and what they are told. The limit comes with the question, so there is nothing to configure. */
import { createHash } from 'node:crypto';
import { decodeEnvoy, encodeEnvoy, type Typed, typeUrl } from '../../common/envoy/codec.ts';
import type { Unit } from './window.ts';

/** The entry that says the limit, as `100/DAY`, and is no part of what is counted together: whoever changes a limit keeps the count. */
export const quotaKey = 'quota';

/** What counts together, how much it may, and how much this request is of it. */
export interface Demand {
  readonly key: string;
  /** What is counted together with others of its limit where there are too many keys. */
  readonly rest: string;
  /** Of the limit, for proxies' headers. */
  readonly name: string;
  readonly requests: number;
  readonly unit: Unit;
  readonly hits: number;
}

export type Question =
  | { readonly kind: 'question'; readonly demands: readonly Demand[] }
  | { readonly kind: 'invalid'; readonly reason: string };

export interface Status {
  readonly demand: Demand;
  readonly fits: boolean;
  /** After this request. */
  readonly left: number;
  /** Seconds until the window ends. */
  readonly reset: number;
}

/** As many of one request. */
const mostDescriptors = 64;
const units: readonly string[] = ['SECOND', 'MINUTE', 'HOUR', 'DAY', 'MONTH', 'YEAR'] satisfies readonly Unit[];
/** Characters; what is longer is known by its hash. */
const longestKey = 200;

interface Asked {
  readonly domain?: string;
  readonly hits_addend?: number;
  readonly descriptors?: readonly Descriptor[];
}
interface Descriptor {
  readonly entries?: readonly { readonly key?: string; readonly value?: string }[];
  readonly limit?: { readonly requests_per_unit?: number; readonly unit?: string };
}

/** Never throws. */
export function readQuestion(bytes: Uint8Array): Question {
  const decoded = decodeEnvoy(typeUrl('envoy.service.ratelimit.v3.RateLimitRequest'), bytes);
  if (decoded.kind === 'rejected') return { kind: 'invalid', reason: decoded.reason };
  const { domain = '', hits_addend = 0, descriptors = [] } = decoded.value as Asked;
  if (descriptors.length === 0)
    return { kind: 'invalid', reason: 'descriptors: is empty, so there is nothing to count' };
  if (descriptors.length > mostDescriptors) {
    return { kind: 'invalid', reason: `descriptors: ${descriptors.length} are more than ${mostDescriptors}` };
  }
  const demands: Demand[] = [];
  for (const [i, descriptor] of descriptors.entries()) {
    const demand = demandOf(domain, descriptor, hits_addend || 1);
    if (typeof demand === 'string') return { kind: 'invalid', reason: `descriptors[${i}]: ${demand}` };
    demands.push(demand);
  }
  return { kind: 'question', demands };
}

function demandOf(domain: string, { entries = [], limit }: Descriptor, hits: number): Demand | string {
  const said = entries.find((e) => e.key === quotaKey)?.value;
  const [, number = '', unit = ''] = /^(\d{1,10})\/([A-Z]+)$/.exec(said ?? '') ?? [];
  const [requests, of] = limit ? [limit.requests_per_unit ?? 0, limit.unit ?? ''] : [Number(number), unit];
  if (!units.includes(of)) {
    return `names no limit: give it the entry ${quotaKey} with REQUESTS/UNIT (such as 100/DAY), or a limit of its own`;
  }
  const counted = entries.filter((e) => e.key !== quotaKey).map(({ key = '', value = '' }) => [key, value]);
  return {
    key: short(JSON.stringify([of, domain, ...counted])),
    rest: short(JSON.stringify([of, domain, ...counted.slice(0, 1), 'rest'])),
    name: counted[0]?.[1] ?? '',
    requests,
    unit: of as Unit,
    hits,
  };
}

function short(key: string): string {
  return key.length <= longestKey ? key : createHash('sha256').update(key).digest('base64');
}

/** RateLimitResponse: over the limit where one of them does not fit. */
export function writeAnswer(statuses: readonly Status[]): Buffer {
  const message = {
    '@type': typeUrl('envoy.service.ratelimit.v3.RateLimitResponse'),
    overall_code: statuses.every((s) => s.fits) ? 'OK' : 'OVER_LIMIT',
    statuses: statuses.map(({ demand: { requests, unit, name }, fits, left, reset }) => ({
      code: fits ? 'OK' : 'OVER_LIMIT',
      current_limit: { requests_per_unit: requests, unit, ...(name !== '' && { name }) },
      limit_remaining: left,
      duration_until_reset: { seconds: reset },
    })),
  };
  return encodeEnvoy(message as Typed);
}
