/** What waypoints answered, by the service that was asked: from the counters that ours and Envoy's connection managers have. Pure. */
import { hostOfInbound } from '../../envoy/names.ts';
import type { Sample } from './exposition.ts';

/** Answers by their class, `2` to `5`; `1` comes before another. */
const answers = 'envoy_http_downstream_rq_xx';

export const requestCounters: ReadonlySet<string> = new Set([answers]);

/** Since the proxies started. */
export interface Requests {
  readonly answered: number;
  /** Of those with 4xx. */
  readonly refused: number;
  /** Of those with 5xx. */
  readonly failed: number;
}

const none: Requests = { answered: 0, refused: 0, failed: 0 };

/** By the host name of the service. Its connection manager is named as the cluster of each of its ports. */
export function requestsOf(proxies: Iterable<Iterable<Sample>>): ReadonlyMap<string, Requests> {
  const found = new Map<string, Requests>();
  for (const samples of proxies) {
    for (const { labels, value } of samples) {
      const host = hostOfInbound(labels.get('envoy_http_conn_manager_prefix') ?? '');
      const status = labels.get('envoy_response_code_class') ?? '';
      if (host === undefined || !/^[2-5]$/.test(status)) continue;
      const { answered, refused, failed } = found.get(host) ?? none;
      found.set(host, {
        answered: answered + value,
        refused: refused + (status === '4' ? value : 0),
        failed: failed + (status === '5' ? value : 0),
      });
    }
  }
  return found;
}

export interface RequestFlow extends Requests {
  /** A second, between two readings; absent until there are two. */
  readonly rates?: Requests;
}

/** `seconds` between the two. A counter that fell was started anew. */
export function requestFlowsOf(
  now: ReadonlyMap<string, Requests>,
  before: ReadonlyMap<string, Requests> | undefined,
  seconds: number,
): ReadonlyMap<string, RequestFlow> {
  if (before === undefined || seconds <= 0) return now;
  return new Map(
    [...now].map(([host, counted]) => {
      const old = before.get(host) ?? none;
      const rate = (of: keyof Requests) => (counted[of] - (counted[of] < old[of] ? 0 : old[of])) / seconds;
      return [
        host,
        { ...counted, rates: { answered: rate('answered'), refused: rate('refused'), failed: rate('failed') } },
      ];
    }),
  );
}
