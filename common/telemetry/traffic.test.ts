import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import type { Baggage } from '../hbone/headers.ts';
import { identity, service, workload } from '../testing/builders.ts';
import { type Flow, flowKey, flowLabelNames, flowLabels } from './labels.ts';
import { registerBuild, xdsMetrics } from './program.ts';
import { TrafficMetrics } from './traffic.ts';

const client = workload({ name: 'curl-1', workloadName: 'curl', canonicalName: 'curl', serviceAccount: 'curl' });
const server = workload({
  name: 'web-1',
  namespace: 'shop',
  workloadName: 'web',
  canonicalName: 'web',
  canonicalRevision: 'v2',
  locality: { region: 'r1', zone: 'z1', subzone: '' },
});
const web = service({ name: 'web', namespace: 'shop' });
const flow: Flow = {
  reporter: 'source',
  source: client,
  destination: server,
  service: web,
  mutualTls: { source: identity('default', 'curl'), destination: identity('shop', 'web') },
};
const nobody: Flow = {
  reporter: 'destination',
  source: undefined,
  destination: undefined,
  service: undefined,
  mutualTls: undefined,
};

interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
}

async function samples(registry: Registry, name: string): Promise<readonly Sample[]> {
  const metric = registry.getSingleMetric(name);
  assert.ok(metric, name);
  return (await metric.get()).values.map(({ value, labels }) => ({ value, labels: labels as Sample['labels'] }));
}

test('labels of a known, mutually authenticated flow', () => {
  assert.deepEqual(flowLabels(flow), {
    reporter: 'source',
    source_workload: 'curl',
    source_canonical_service: 'curl',
    source_canonical_revision: 'latest',
    source_workload_namespace: 'default',
    source_principal: 'spiffe://cluster.local/ns/default/sa/curl',
    source_app: 'curl',
    source_version: 'latest',
    source_cluster: 'Kubernetes',
    destination_service: 'web.shop.svc.cluster.local',
    destination_service_namespace: 'shop',
    destination_service_name: 'web',
    destination_workload: 'web',
    destination_canonical_service: 'web',
    destination_canonical_revision: 'v2',
    destination_workload_namespace: 'shop',
    destination_principal: 'spiffe://cluster.local/ns/shop/sa/web',
    destination_app: 'web',
    destination_version: 'v2',
    destination_cluster: 'Kubernetes',
    request_protocol: 'tcp',
    connection_security_policy: 'mutual_tls',
    source_region: 'unknown',
    source_zone: 'unknown',
    destination_region: 'r1',
    destination_zone: 'z1',
  });
});

test('what is not known is unknown; localities only where a side is known', () => {
  const labels = flowLabels(nobody);
  assert.equal('source_region' in labels, false);
  const { reporter, request_protocol, ...rest } = labels;
  assert.deepEqual([reporter, request_protocol], ['destination', 'tcp']);
  assert.deepEqual(new Set(Object.values(rest)), new Set(['unknown']));
});

test('baggage stands in for a workload that the mesh does not know', () => {
  const baggage: Baggage = { clusterId: 'c2', namespace: 'n', workloadType: 'pod', workloadName: 'w', region: 'r' };
  const labels = flowLabels({ ...nobody, source: baggage });
  assert.deepEqual(
    [labels['source_workload'], labels['source_cluster'], labels['source_app'], labels['source_region']],
    ['w', 'c2', 'unknown', 'r'],
  );
});

test('keys are equal for the same objects and differ where a label may', () => {
  assert.equal(flowKey(flow), flowKey({ ...flow }));
  const others: Flow[] = [
    nobody,
    { ...flow, reporter: 'destination' },
    { ...flow, mutualTls: undefined },
    { ...flow, service: undefined },
    { ...flow, source: undefined },
    { ...flow, source: { namespace: 'n' } },
    { ...flow, source: { namespace: 'm' } },
    { ...flow, destination: client },
    { ...flow, mutualTls: { source: identity('x', 'y'), destination: identity('shop', 'web') } },
  ];
  assert.equal(new Set([flow, ...others].map(flowKey)).size, others.length + 1);
});

test('a connection counts once in each of its metrics', async () => {
  const registry = new Registry();
  const metrics = new TrafficMetrics(registry);
  const meter = metrics.open(flow);
  meter.received(10);
  meter.received(5);
  meter.sent(100);
  assert.deepEqual(await samples(registry, 'istio_tcp_sockets_open'), [
    { value: 1, labels: { reporter: 'source' } },
    { value: 0, labels: { reporter: 'destination' } },
  ]);
  assert.deepEqual(await samples(registry, 'istio_tcp_connections_closed_total'), []);
  meter.close('DENY');
  meter.close('-');
  const one = async (name: string) => {
    const [sample, ...more] = await samples(registry, name);
    assert.deepEqual(more, []);
    return [sample?.value, sample?.labels['response_flags']];
  };
  assert.deepEqual(await one('istio_tcp_connections_opened_total'), [1, '-']);
  assert.deepEqual(await one('istio_tcp_connections_closed_total'), [1, 'DENY']);
  assert.deepEqual(await one('istio_tcp_received_bytes_total'), [15, '-']);
  assert.deepEqual(await one('istio_tcp_sent_bytes_total'), [100, '-']);
  assert.deepEqual((await samples(registry, 'istio_tcp_sockets_open'))[0]?.value, 0);
});

test('flows with equal labels add up, also when an object was replaced; flags keep apart', async () => {
  const registry = new Registry();
  const metrics = new TrafficMetrics(registry);
  metrics.open(flow).close('-');
  metrics.open({ ...flow, source: { ...client } }).close('CONNECT');
  metrics.failed(flow, 'DENY');
  metrics.failed(flow, 'DENY');
  assert.deepEqual(
    (await samples(registry, 'istio_tcp_connections_opened_total')).map((s) => s.value),
    [2],
  );
  const closed = await samples(registry, 'istio_tcp_connections_closed_total');
  assert.deepEqual(
    closed.map((s) => [s.labels['response_flags'], s.value]),
    [
      ['-', 1],
      ['CONNECT', 1],
    ],
  );
  assert.deepEqual(
    (await samples(registry, 'istio_tcp_connections_failed_total')).map((s) => s.value),
    [2],
  );
  assert.deepEqual(
    (await samples(registry, 'istio_tcp_connections_failed_total')).map((s) => s.value),
    [2],
    'scraping adds nothing',
  );
});

test('peers cannot make label sets without end', async () => {
  const registry = new Registry();
  const metrics = new TrafficMetrics(registry);
  for (let i = 0; i < 20_050; i++) metrics.failed({ ...nobody, source: { workloadName: `w${i}` } }, 'DENY');
  const failed = await samples(registry, 'istio_tcp_connections_failed_total');
  assert.ok(failed.length <= 20_001);
  assert.equal(
    failed.reduce((sum, s) => sum + s.value, 0),
    20_050,
  );
});

test('the text has the labels that dashboards use', async () => {
  const registry = new Registry();
  new TrafficMetrics(registry).open(flow);
  registerBuild(registry, 'ztunnel', '1.2.3');
  const xds = xdsMetrics(registry);
  xds.message('type.googleapis.com/istio.workload.Address', 7);
  xds.message('type.googleapis.com/istio.workload.Address', 5);
  xds.terminated('Reconnect');
  const text = await registry.metrics();
  const line = text.split('\n').find((l) => l.startsWith('istio_tcp_connections_opened_total{'));
  for (const name of flowLabelNames) assert.match(line ?? '', new RegExp(`[{,]${name}="`));
  assert.match(text, /^istio_build\{component="ztunnel",tag="1.2.3"\} 1$/m);
  assert.match(text, /^istio_xds_message_total\{url="type.googleapis.com\/istio.workload.Address"\} 2$/m);
  assert.match(text, /^istio_xds_message_bytes_total\{url="type.googleapis.com\/istio.workload.Address"\} 12$/m);
  assert.match(text, /^istio_xds_connection_terminations_total\{reason="Reconnect"\} 1$/m);
});

test('connections that wait for DNS count by source and name', async () => {
  const registry = new Registry();
  const metrics = new TrafficMetrics(registry);
  metrics.resolving(client, 'db.example');
  metrics.resolving(client, 'db.example');
  const [sample] = await samples(registry, 'istio_on_demand_dns_total');
  assert.equal(sample!.value, 2);
  const { hostname, source_workload: workloadLabel, source_principal: principal } = sample!.labels;
  assert.deepEqual([hostname, workloadLabel, principal], ['db.example', 'curl', 'unknown']);
});
