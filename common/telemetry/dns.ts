/** istio_dns_* (ambient-wire 7.1). */
import { Counter, Histogram, type Registry } from 'prom-client';
import type { Workload } from '../mesh/types.ts';

export interface DnsQuery {
  /** `A`, `AAAA` or what else was asked for. */
  readonly type: string;
  readonly protocol: 'udp' | 'tcp';
  readonly source: Workload | undefined;
}

export interface DnsMetrics {
  request(q: DnsQuery): void;
  /** A query that was forwarded and answered. */
  upstream(q: DnsQuery, seconds: number): void;
  upstreamFailed(q: DnsQuery): void;
  /** What was no query, and got FORMERR, NOTIMP or no answer. */
  malformed(protocol: DnsQuery['protocol']): void;
}

const labelNames = [
  'request_query_type',
  'request_protocol',
  'source_canonical_service',
  'source_canonical_revision',
] as const;

export function dnsMetrics(registry: Registry): DnsMetrics {
  const registers = [registry];
  const requests = new Counter({ name: 'istio_dns_requests_total', help: 'DNS queries', labelNames, registers });
  const upstream = new Counter({
    name: 'istio_dns_upstream_requests_total',
    help: 'DNS queries forwarded',
    labelNames,
    registers,
  });
  const failures = new Counter({
    name: 'istio_dns_upstream_failures_total',
    help: 'DNS queries forwarded in vain',
    labelNames,
    registers,
  });
  const duration = new Histogram({
    name: 'istio_dns_upstream_request_duration_seconds',
    help: 'Time of forwarded DNS queries',
    labelNames,
    buckets: [0.0005, 0.001, 0.01, 0.1, 1, 5],
    registers,
  });
  const malformed = new Counter({
    name: 'aquifer_dns_malformed_total',
    help: 'Messages to the DNS proxy that are no query',
    labelNames: ['protocol'],
    registers,
  });
  return {
    request: (q) => requests.inc(labelsOf(q)),
    upstream(q, seconds) {
      upstream.inc(labelsOf(q));
      duration.observe(labelsOf(q), seconds);
    },
    upstreamFailed(q) {
      upstream.inc(labelsOf(q));
      failures.inc(labelsOf(q));
    },
    malformed: (protocol) => malformed.inc({ protocol }),
  };
}

function labelsOf(q: DnsQuery): Record<(typeof labelNames)[number], string> {
  return {
    request_query_type: q.type,
    request_protocol: q.protocol,
    source_canonical_service: q.source?.canonicalName || 'unknown',
    source_canonical_revision: q.source?.canonicalRevision || 'unknown',
  };
}
