import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSamples } from './exposition.ts';
import { counters, type Flow, flowsOf, readingOf } from './flows.ts';

type Line = readonly [reporter: 'source' | 'destination', metric: string, value: number, labels?: string];

/** One proxy's metrics about calls from shop/client to shop/web. */
function proxy(...lines: readonly Line[]) {
  const ends =
    'source_workload="client",source_workload_namespace="shop",destination_workload="web",destination_workload_namespace="shop"';
  const text = lines
    .map(([reporter, metric, value, labels = 'connection_security_policy="mutual_tls"']) => {
      return `istio_tcp_${metric}_total{reporter="${reporter}",${ends},${labels}} ${value}`;
    })
    .join('\n');
  return [...readSamples(text, counters)];
}

const numbers = (flows: readonly Flow[]) =>
  flows.map(({ opened, failed, bytes, secured }) => ({ opened, failed, bytes, secured }));

test('what both ends count is counted once', () => {
  const source = proxy(
    ['source', 'connections_opened', 3],
    ['source', 'received_bytes', 10],
    ['source', 'sent_bytes', 5],
  );
  const destination = proxy(['destination', 'connections_opened', 3], ['destination', 'received_bytes', 10]);
  for (const proxies of [
    [source, destination],
    [destination, source],
  ]) {
    assert.deepEqual(numbers(flowsOf(readingOf(proxies), undefined, 0)), [
      { opened: 3, failed: 0, bytes: 15, secured: true },
    ]);
  }
});

test('what only the destination sees is not lost: calls from outside, and what it refuses', () => {
  const outside = proxy(['destination', 'connections_opened', 2, 'connection_security_policy="unknown"']);
  assert.deepEqual(numbers(flowsOf(readingOf([outside]), undefined, 0)), [
    { opened: 2, failed: 0, bytes: 0, secured: false },
  ]);
  const source = proxy(['source', 'connections_opened', 3]);
  const refuses = proxy(['destination', 'connections_failed', 4]);
  assert.deepEqual(numbers(flowsOf(readingOf([source, refuses]), undefined, 0)), [
    { opened: 3, failed: 4, bytes: 0, secured: true },
  ]);
});

test('rates are of the time between two readings, also over a restart', () => {
  const at = (opened: number, failed: number) =>
    readingOf([proxy(['source', 'connections_opened', opened], ['source', 'connections_failed', failed])]);
  const rates = (flows: readonly Flow[]) => flows.map((f) => f.rates);
  assert.deepEqual(rates(flowsOf(at(10, 1), undefined, 5)), [undefined]);
  assert.deepEqual(rates(flowsOf(at(20, 1), at(10, 1), 5)), [{ opened: 2, failed: 0, bytes: 0 }]);
  assert.deepEqual(rates(flowsOf(at(5, 0), at(10, 1), 5)), [{ opened: 1, failed: 0, bytes: 0 }]);
});

test('ends that nobody knows are no flow', () => {
  const text = 'istio_tcp_connections_opened_total{reporter="source",source_workload="unknown"} 1';
  assert.deepEqual([...readingOf([readSamples(text, counters)])], []);
});
