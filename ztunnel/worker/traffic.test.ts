import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import { TrafficMetrics } from '../../common/telemetry/traffic.ts';
import { identity, ip, port, service, workload } from '../../common/testing/builders.ts';
import type { ConnectionRecord } from '../proxy/account.ts';
import { Traffic } from './traffic.ts';

const client = workload({ name: 'client', workloadName: 'client', addresses: [ip('10.1.0.1')] });
const echo = service({ name: 'echo' });
const outbound: ConnectionRecord = {
  direction: 'outbound',
  sourceAddress: { ip: ip('10.1.0.1'), port: port(50_000) },
  destinationAddress: { ip: ip('192.0.2.9'), port: port(15_008) },
  source: client,
  sourceIdentity: identity('default', 'client'),
  service: echo,
  mtls: true,
};

async function told(record: ConnectionRecord): Promise<{ line: string; metric: string }> {
  const registry = new Registry();
  const lines: string[] = [];
  const log = createLogger({ levels: new LogLevels('info'), format: 'plain', write: (l) => lines.push(l) }, 'access');
  const traffic = new Traffic(new TrafficMetrics(registry), log);
  const open = traffic.opened(record, { received: 5, sent: 7 });
  open.closed({ flag: '-', durationMs: 1, received: 5, sent: 7 });
  const metrics = await registry.metrics();
  return {
    line: lines[0]!,
    metric: metrics.split('\n').find((l) => l.startsWith('istio_tcp_connections_closed_total{'))!,
  };
}

test('through a waypoint: the waypoint is the destination, the service what was addressed', async () => {
  const waypoint = workload({ name: 'wp-0', namespace: 'infra', workloadName: 'wp' });
  const { line, metric } = await told({
    ...outbound,
    hboneAddress: '10.96.0.7:80',
    destination: waypoint,
    destinationIdentity: identity('infra', 'wp'),
  });
  assert.match(
    line,
    / dst.addr="192.0.2.9:15008" dst.hbone_addr="10.96.0.7:80" dst.service="echo.default.svc.cluster.local" /,
  );
  assert.match(
    line,
    / dst.workload="wp-0" dst.namespace="infra" dst.identity="spiffe:\/\/cluster.local\/ns\/infra\/sa\/wp" /,
  );
  assert.match(line, / direction="outbound" .*bytes_sent=5 bytes_recv=7 /);
  for (const label of [
    'destination_workload="wp"',
    'destination_service_name="echo"',
    'connection_security_policy="mutual_tls"',
  ]) {
    assert.ok(metric.includes(label), `${label} in ${metric}`);
  }
});

test('to another network: the far end as it says itself, its identity as it proved it', async () => {
  const { line, metric } = await told({
    ...outbound,
    hboneAddress: 'echo.default.svc.cluster.local:80',
    destination: workload({ name: 'gw-0', namespace: 'infra', workloadName: 'gw' }),
    destinationIdentity: identity('far', 'server'),
    destinationBaggage: { workloadName: 'server', namespace: 'far', clusterId: 'c-2', region: 'r-2' },
  });
  assert.match(line, / dst.hbone_addr="echo.default.svc.cluster.local:80" /);
  assert.match(
    line,
    / dst.workload="server" dst.namespace="far" dst.identity="spiffe:\/\/cluster.local\/ns\/far\/sa\/server" dst.cluster="c-2" /,
  );
  for (const label of [
    'destination_workload="server"',
    'destination_cluster="c-2"',
    'destination_region="r-2"',
    'destination_principal="spiffe://cluster.local/ns/far/sa/server"',
  ]) {
    assert.ok(metric.includes(label), `${label} in ${metric}`);
  }
});

test('a connection that is handed over is opened by one, closed and logged by the other, and its bytes are counted once', async () => {
  const process = () => {
    const registry = new Registry();
    const lines: string[] = [];
    const log = createLogger({ levels: new LogLevels('info'), format: 'plain', write: (l) => lines.push(l) }, 'access');
    return { registry, lines, traffic: new Traffic(new TrafficMetrics(registry), log) };
  };
  const [older, newer] = [process(), process()];
  const counters = { received: 0, sent: 0 };
  const there = older.traffic.opened(outbound, counters);
  Object.assign(counters, { received: 10, sent: 20 });
  older.traffic.sample();
  Object.assign(counters, { received: 11, sent: 22 });
  const resumed = { ...counters };
  there.left();
  const here = newer.traffic.resumed(outbound, resumed);
  assert.deepEqual([older.traffic.size, newer.traffic.size], [0, 1]);
  Object.assign(resumed, { received: 100, sent: 200 });
  newer.traffic.sample();
  here.closed({ flag: '-', durationMs: 9_000, received: 100, sent: 200 });
  const value = async ({ registry }: typeof older, name: string) => {
    const line = (await registry.metrics()).split('\n').find((l) => l.startsWith(`istio_tcp_${name}{`));
    return Number(line?.split(' ').at(-1) ?? 0);
  };
  const both = async (name: string) => [await value(older, name), await value(newer, name)];
  assert.deepEqual(await both('connections_opened_total'), [1, 0]);
  assert.deepEqual(await both('connections_closed_total'), [0, 1]);
  assert.deepEqual(await both('received_bytes_total'), [11, 89]);
  assert.deepEqual(await both('sent_bytes_total'), [22, 178]);
  assert.deepEqual(await both('sockets_open'), [0, 0]);
  assert.deepEqual(older.lines, []);
  assert.match(newer.lines.join(), /bytes_sent=100 bytes_recv=200|bytes_sent=200 bytes_recv=100/);
});
