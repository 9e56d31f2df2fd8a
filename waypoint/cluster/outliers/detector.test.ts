import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { assignmentOf, edsCluster, rig } from '../testing/rig.ts';
import type { Host } from '../types.ts';
import { judge } from './judge.ts';

function start(outlier_detection: object, count = 4) {
  const all = rig({ ...edsCluster, outlier_detection: { max_ejection_percent: { value: 100 }, ...outlier_detection } });
  const endpoints = Array.from({ length: count }, (_, i) => ({ address: `10.0.0.${i}:80` }));
  all.upstream.assign(assignmentOf([{ endpoints }]));
  const { hosts } = { hosts: all.upstream.hosts() as readonly (Host & { ejected: boolean })[] };
  const repeat = (times: number, act: () => void) => {
    for (let i = 0; i < times; i++) act();
  };
  const answers = (host: Host, status: number, times = 1) =>
    repeat(times, () => all.upstream.events.responded(host, status));
  return { ...all, hosts, answers, first: hosts[0]!, ejected: () => hosts.filter((host) => host.ejected).length };
}

describe('consecutive failures', () => {
  test('eject at their number; a good answer starts over', () => {
    const { answers, first } = start({ consecutive_5xx: { value: 3 } });
    answers(first, 500, 2);
    answers(first, 200);
    answers(first, 500, 2);
    assert.equal(first.ejected, false);
    answers(first, 503);
    assert.equal(first.ejected, true);
  });

  test('of a gateway count 502, 503 and 504 only', () => {
    const { answers, first } = start({
      consecutive_5xx: { value: 100 },
      consecutive_gateway_failure: { value: 2 },
      enforcing_consecutive_gateway_failure: { value: 100 },
    });
    answers(first, 503);
    answers(first, 500);
    answers(first, 502);
    assert.equal(first.ejected, false);
    answers(first, 504);
    assert.equal(first.ejected, true);
  });

  test('of ours count as gateway errors, or apart where they are split', () => {
    const joined = start({ consecutive_5xx: { value: 2 } });
    joined.upstream.events.failed(joined.first, 'connect-failed');
    joined.upstream.events.failed(joined.first, 'timeout');
    assert.equal(joined.first.ejected, true);
    const split = start({
      consecutive_5xx: { value: 2 },
      consecutive_local_origin_failure: { value: 3 },
      split_external_local_origin_errors: true,
    });
    split.upstream.events.failed(split.first, 'connect-failed');
    split.upstream.events.failed(split.first, 'reset');
    split.upstream.events.connected(split.first);
    split.upstream.events.failed(split.first, 'reset');
    split.upstream.events.failed(split.first, 'reset');
    assert.equal(split.first.ejected, false);
    split.upstream.events.failed(split.first, 'timeout');
    assert.equal(split.first.ejected, true);
  });
});

describe('an ejection', () => {
  const quick = {
    consecutive_5xx: { value: 1 },
    interval: { seconds: 1 },
    base_ejection_time: { seconds: 10 },
    max_ejection_time: { seconds: 25 },
  };

  test('ends after its time, which grows each time up to its maximum, and shrinks with calm', () => {
    const { answers, first, clock } = start(quick);
    const lasts = () => {
      answers(first, 500);
      assert.equal(first.ejected, true);
      for (let s = 1; ; s++) {
        clock.advance(1_000);
        if (!first.ejected) return s;
      }
    };
    assert.deepEqual([lasts(), lasts(), lasts(), lasts()], [10, 20, 25, 25]);
    clock.advance(5_000);
    assert.ok(lasts() < 25);
  });

  test('is passed over by balancers, and told', () => {
    const { answers, first, upstream, reports } = start(quick, 2);
    answers(first, 500);
    for (let i = 0; i < 10; i++) {
      const pick = upstream.pick({ dice: Math });
      assert.ok(pick.kind === 'host' && pick.host !== first);
    }
    assert.deepEqual(
      reports.map((r) => r.kind === 'outlier' && [r.detection, r.outcome]),
      [['consecutive_5xx', 'ejected']],
    );
  });

  test('never takes more than its percentage of hosts, whatever fails', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 0, max: 100 }),
        fc.boolean(),
        fc.array(fc.nat(9), { maxLength: 40 }),
        (count, percent, always, failures) => {
          const { answers, hosts, ejected, upstream, clock } = start(
            { ...quick, max_ejection_percent: { value: percent }, always_eject_one_host: { value: always } },
            count,
          );
          for (const at of failures) {
            answers(hosts[at % count]!, 500);
            if (at % 3 === 0) clock.advance(4_000);
            assert.ok(ejected() <= Math.max(Math.floor((percent * count) / 100), always ? 1 : 0));
          }
          upstream.close();
        },
      ),
      { numRuns: 200 },
    );
  });

  test('is forgotten with its host', () => {
    const { answers, first, upstream } = start({ ...quick, max_ejection_percent: { value: 50 } }, 2);
    answers(first, 500);
    upstream.assign(assignmentOf([{ endpoints: [{ address: '10.0.0.1:80' }, { address: '10.0.0.2:80' }] }]));
    const other = upstream.hosts()[1]!;
    upstream.events.responded(other, 500);
    assert.equal((other as Host & { ejected: boolean }).ejected, true);
  });
});

describe('rates of an interval', () => {
  const config = {
    successRate: { enforcing: 100, enforcingLocal: 100, minimumHosts: 5, requestVolume: 100, stdevFactor: 1_900 },
    failurePercentage: { threshold: 85, enforcing: 100, enforcingLocal: 100, minimumHosts: 2, requestVolume: 50 },
  };
  const rate = (good: number, total = 100) => ({ good, total });

  test("single out who is far below the others: Envoy's example, 50 among 100s is below 52", () => {
    const rates = new Map(['a', 'b', 'c', 'd', 'e'].map((name, i) => [name, rate(i === 0 ? 50 : 100)]));
    assert.deepEqual(judge(rates, 5, config).successRate, ['a']);
    assert.deepEqual(
      judge(rates, 5, { ...config, successRate: { ...config.successRate, stdevFactor: 2_000 } }).successRate,
      [],
    );
    assert.deepEqual(
      judge(rates, 5, { ...config, successRate: { ...config.successRate, minimumHosts: 6 } }).successRate,
      [],
    );
  });

  test('single out who fails too often, of those with enough requests', () => {
    const rates = new Map([
      ['a', rate(10)],
      ['b', rate(100)],
      ['c', rate(0, 49)],
      ['d', rate(16)],
    ]);
    assert.deepEqual(judge(rates, 4, config).failurePercentage, ['a']);
    assert.deepEqual(judge(rates, 1, config).failurePercentage, []);
  });

  test('are judged when the interval ends', () => {
    const { answers, hosts, clock, ejected } = start(
      { consecutive_5xx: { value: 0 }, interval: { seconds: 10 }, base_ejection_time: { seconds: 30 } },
      5,
    );
    for (const host of hosts) answers(host, 200, 99);
    answers(hosts[0]!, 500, 40);
    for (const host of hosts.slice(1)) answers(host, 200, 41);
    assert.equal(ejected(), 0);
    clock.advance(10_000);
    assert.deepEqual([ejected(), hosts[0]!.ejected], [1, true]);
  });
});
