/** What flows between workloads, from two readings of the proxies' counters. Pure. */
import type { Sample } from './exposition.ts';

/** Names of ambient-wire 7.1. */
export const counters: ReadonlySet<string> = new Set([
  'istio_tcp_connections_opened_total',
  'istio_tcp_connections_failed_total',
  'istio_tcp_received_bytes_total',
  'istio_tcp_sent_bytes_total',
]);

export interface End {
  readonly namespace: string;
  /** The controller's name, as the metrics have it. */
  readonly workload: string;
}

/** Since the proxies started. */
export interface Totals {
  readonly opened: number;
  readonly failed: number;
  readonly bytes: number;
}

export interface Counted extends Totals {
  readonly from: End;
  readonly to: End;
  /** `namespace/hostname` of what was addressed. */
  readonly service: string | undefined;
  /** By mutual TLS. */
  readonly secured: boolean;
}

/** By the two ends and how they are connected. */
export type Reading = ReadonlyMap<string, Counted>;

/** Both sides count what passes between two proxies: the source's word is taken, and the destination's where the source has none. */
export function readingOf(proxies: Iterable<Iterable<Sample>>): Reading {
  const sides = { source: new Map<string, Counted>(), destination: new Map<string, Counted>() };
  for (const samples of proxies) {
    for (const { name, labels, value } of samples) {
      const side = labels.get('reporter') === 'destination' ? sides.destination : sides.source;
      const counted = describe(labels);
      if (counted === undefined) continue;
      const key = keyOf(counted);
      const before = side.get(key) ?? { ...counted, opened: 0, failed: 0, bytes: 0 };
      side.set(key, {
        ...before,
        opened: before.opened + (name === 'istio_tcp_connections_opened_total' ? value : 0),
        failed: before.failed + (name === 'istio_tcp_connections_failed_total' ? value : 0),
        bytes: before.bytes + (name.endsWith('_bytes_total') ? value : 0),
      });
    }
  }
  // A refusal is only seen by who refuses, under whatever security it had: so the ends alone say what the source knows of.
  const known = new Set([...sides.source.values()].map(endsOf));
  const merged = new Map(sides.source);
  for (const [key, counted] of sides.destination) {
    const ours = merged.get(key);
    if (ours !== undefined) merged.set(key, { ...ours, failed: Math.max(ours.failed, counted.failed) });
    else if (!known.has(endsOf(counted))) merged.set(key, counted);
    else if (counted.failed > 0) merged.set(key, { ...counted, opened: 0, bytes: 0 });
  }
  return merged;
}

export interface Flow extends Counted {
  /** A second, between the two readings; undefined until there are two. */
  readonly rates: Totals | undefined;
}

/** `seconds` between the two. A counter that fell was started anew: what it has now has come since. */
export function flowsOf(now: Reading, before: Reading | undefined, seconds: number): readonly Flow[] {
  return [...now].map(([key, counted]) => {
    if (before === undefined || seconds <= 0) return { ...counted, rates: undefined };
    const old = before.get(key) ?? { opened: 0, failed: 0, bytes: 0 };
    const rate = (of: keyof Totals) => (counted[of] - (counted[of] < old[of] ? 0 : old[of])) / seconds;
    return { ...counted, rates: { opened: rate('opened'), failed: rate('failed'), bytes: rate('bytes') } };
  });
}

function describe(labels: ReadonlyMap<string, string>): Omit<Counted, keyof Totals> | undefined {
  const from = endOf(labels, 'source');
  const to = endOf(labels, 'destination');
  if (from === undefined || to === undefined) return undefined;
  const hostname = said(labels.get('destination_service'));
  const namespace = said(labels.get('destination_service_namespace'));
  return {
    from,
    to,
    service: hostname === undefined || namespace === undefined ? undefined : `${namespace}/${hostname}`,
    secured: labels.get('connection_security_policy') === 'mutual_tls',
  };
}

function endOf(labels: ReadonlyMap<string, string>, side: 'source' | 'destination'): End | undefined {
  const workload = said(labels.get(`${side}_workload`));
  const namespace = said(labels.get(`${side}_workload_namespace`));
  return workload === undefined || namespace === undefined ? undefined : { namespace, workload };
}

/** Metrics say `unknown` where nothing is known. */
function said(value: string | undefined): string | undefined {
  return value === undefined || value === 'unknown' || value === '' ? undefined : value;
}

function endsOf({ from, to }: Counted): string {
  return [from.namespace, from.workload, to.namespace, to.workload].join('\0');
}

function keyOf(counted: Omit<Counted, keyof Totals>): string {
  const { from, to, service = '', secured } = counted;
  return [from.namespace, from.workload, to.namespace, to.workload, service, secured].join('\0');
}
