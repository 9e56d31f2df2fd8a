import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { workload } from '../testing/builders.ts';
import { type DnsQuery, dnsMetrics } from './dns.ts';

test('DNS queries by type, protocol and who asked', async () => {
  const registry = new Registry();
  const metrics = dnsMetrics(registry);
  const known: DnsQuery = { type: 'A', protocol: 'udp', source: workload({ canonicalName: 'web' }) };
  const unknown: DnsQuery = { type: 'AAAA', protocol: 'tcp', source: undefined };
  metrics.request(known);
  metrics.request(unknown);
  metrics.upstream(known, 0.05);
  metrics.upstreamFailed(unknown);
  const text = await registry.metrics();
  const web =
    'request_query_type="A",request_protocol="udp",source_canonical_service="web",source_canonical_revision="latest"';
  const nobody =
    'request_query_type="AAAA",request_protocol="tcp",source_canonical_service="unknown",source_canonical_revision="unknown"';
  for (const line of [
    `istio_dns_requests_total{${web}} 1`,
    `istio_dns_requests_total{${nobody}} 1`,
    `istio_dns_upstream_requests_total{${web}} 1`,
    `istio_dns_upstream_requests_total{${nobody}} 1`,
    `istio_dns_upstream_failures_total{${nobody}} 1`,
    `istio_dns_upstream_request_duration_seconds_bucket{le="0.01",${web}} 0`,
    `istio_dns_upstream_request_duration_seconds_bucket{le="0.1",${web}} 1`,
  ]) {
    assert.ok(text.includes(`${line}\n`), line);
  }
});
