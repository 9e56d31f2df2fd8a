import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSamples } from './exposition.ts';
import { requestCounters, requestFlowsOf, requestsOf } from './requests.ts';

const web = 'web.shop.svc.cluster.local';

/** A waypoint's counters: name of the connection manager, class of the answers, how many. */
function proxy(...lines: readonly (readonly [manager: string, status: number, value: number])[]) {
  const text = lines.map(
    ([manager, status, value]) =>
      `envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="${manager}",envoy_response_code_class="${status}"} ${value}`,
  );
  return [...readSamples(text.join('\n'), requestCounters)];
}

test('answers of all ports and waypoints of a service, without those to the tunnel itself', () => {
  const one = proxy(
    ['connect_terminate', 2, 9],
    [`inbound-vip|80|http|${web}`, 1, 1],
    [`inbound-vip|80|http|${web}`, 2, 5],
    [`inbound-vip|81|http|${web}`, 4, 2],
  );
  const other = proxy([`inbound-vip|80|http|${web}`, 5, 1], ['admin', 2, 3]);
  assert.deepEqual([...requestsOf([one, other])], [[web, { answered: 8, refused: 2, failed: 1 }]]);
});

test('rates between two readings, also of a waypoint that was started anew', () => {
  const read = (value: number) => requestsOf([proxy([`inbound-vip|80|http|${web}`, 5, value])]);
  assert.deepEqual(requestFlowsOf(read(4), undefined, 0).get(web), { answered: 4, refused: 0, failed: 4 });
  const rates = (before: number, now: number) => requestFlowsOf(read(now), read(before), 2).get(web)?.rates;
  assert.deepEqual(rates(4, 10), { answered: 3, refused: 0, failed: 3 });
  assert.deepEqual(rates(10, 4), { answered: 2, refused: 0, failed: 2 });
});
