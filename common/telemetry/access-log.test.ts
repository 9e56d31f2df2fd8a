import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, LogLevels } from '../core/log.ts';
import { parseSocketAddr } from '../core/net.ts';
import { identity, service, workload } from '../testing/builders.ts';
import { type AccessEntry, accessLog } from './access-log.ts';
import { baggageHeader } from './baggage.ts';

function capture(levels = 'info') {
  const lines: string[] = [];
  const sink = {
    levels: new LogLevels(levels),
    format: 'plain' as const,
    write: (line: string) => void lines.push(line),
  };
  return { lines, log: accessLog(createLogger(sink, 'access')) };
}

const entry: AccessEntry = {
  direction: 'outbound',
  source: {
    address: parseSocketAddr('10.0.0.1:4000')!,
    workload: workload({ name: 'curl' }),
    identity: identity('default', 'curl'),
  },
  destination: {
    address: parseSocketAddr('10.0.0.2:15008')!,
    workload: workload({ name: 'web', namespace: 'shop' }),
    identity: identity('shop', 'web'),
  },
  hboneAddress: '10.0.0.2:8080',
  service: service({ name: 'web', namespace: 'shop' }),
  traceId: '0af7651916cd43dd8448eb211c80319c',
};

test("a complete line has ztunnel's keys in their order", () => {
  const { lines, log } = capture();
  log.opened(entry);
  log.complete(entry, { received: 7, sent: 900, durationMs: 12.4 });
  assert.equal(lines.length, 1);
  const [, level, target, rest] = lines[0]!.split('\t');
  assert.deepEqual([level, target], ['info', 'access']);
  assert.equal(
    rest,
    'connection complete src.addr="10.0.0.1:4000" src.workload="curl" src.namespace="default" ' +
      'src.identity="spiffe://cluster.local/ns/default/sa/curl" src.cluster="Kubernetes" dst.addr="10.0.0.2:15008" ' +
      'dst.hbone_addr="10.0.0.2:8080" dst.service="web.shop.svc.cluster.local" dst.workload="web" dst.namespace="shop" ' +
      'dst.identity="spiffe://cluster.local/ns/shop/sa/web" dst.cluster="Kubernetes" direction="outbound" ' +
      'id="0af7651916cd43dd8448eb211c80319c" bytes_sent=7 bytes_recv=900 duration="12ms"',
  );
});

test('sent is what the app beside the proxy sent, in both directions', () => {
  const { lines, log } = capture();
  log.complete({ ...entry, direction: 'inbound' }, { received: 7, sent: 900, durationMs: 1 });
  assert.match(lines[0]!, /bytes_sent=900 bytes_recv=7 /);
});

test('levels: error when there is one, debug for opened, warn for dropped', () => {
  const { lines, log } = capture('debug');
  log.opened(entry);
  log.complete(entry, { received: 0, sent: 0, durationMs: 0, error: 'denied by policy a/b\nforged line' });
  log.dropped('inbound', entry.source.address, entry.destination.address, 'unknown source');
  assert.deepEqual(
    lines.map((l) => l.split('\t')[1]),
    ['debug', 'error', 'warn'],
  );
  assert.match(lines[1]!, /error="denied by policy a\/b\\nforged line"$/);
  assert.match(
    lines[2]!,
    /\tconnection failed src.addr="10.0.0.1:4000" dst.addr="10.0.0.2:15008" direction="inbound" error="unknown source"$/,
  );
});

test('a workload without a name goes by its canonical service', () => {
  const { lines, log } = capture();
  const source = { ...entry.source, workload: workload({ name: '', canonicalName: 'canon' }), identity: undefined };
  log.complete({ ...entry, source }, { received: 0, sent: 0, durationMs: 0 });
  assert.match(lines[0]!, / src.workload="canon" /);
  assert.doesNotMatch(lines[0]!, /src.identity/);
});

test('baggage names the workload by its type', () => {
  const w = workload({
    workloadType: 'deployment',
    workloadName: 'web',
    canonicalName: 'web',
    canonicalRevision: 'v1',
    locality: { region: 'r', zone: 'z', subzone: 's' },
  });
  const expected =
    'k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.deployment.name=web,service.name=web,' +
    'service.version=v1,cloud.region=r,cloud.availability_zone=z';
  assert.equal(baggageHeader(w), expected);
  assert.equal(baggageHeader(w), expected);
});

test('an end that only its own word describes goes by that', () => {
  const { lines, log } = capture();
  const destination = { ...entry.destination, workload: { workloadName: 'far', namespace: 'there', clusterId: 'c-2' } };
  log.complete({ ...entry, destination }, { received: 0, sent: 0, durationMs: 0 });
  assert.match(lines[0]!, / dst.workload="far" dst.namespace="there" .*dst.cluster="c-2" /);
});
