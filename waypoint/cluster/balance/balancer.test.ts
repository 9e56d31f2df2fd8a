import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LiveHost } from '../hosts/host.ts';
import { viewOf } from '../hosts/priorities.ts';
import { assignmentOf, edsCluster, type LocalityWords, rig, seededDice } from '../testing/rig.ts';
import type { PickContext, Struct } from '../types.ts';
import { EdfScheduler } from './edf.ts';
import { choosePriority, priorityLoad } from './priority-load.ts';
import { PreviousPriorities } from './retry-priorities.ts';

function upstreamOf(localities: readonly LocalityWords[], cluster: object = {}, policy?: object) {
  const all = rig({ ...edsCluster, ...cluster });
  all.upstream.assign(assignmentOf(localities, policy));
  return all;
}

/** How often each host is picked, by the last part of its address. */
function count(
  { upstream }: ReturnType<typeof upstreamOf>,
  picks: number,
  context: (i: number) => Partial<PickContext> = () => ({}),
): Record<string, number> {
  const dice = seededDice(7);
  const counts: Record<string, number> = {};
  for (let i = 0; i < picks; i++) {
    const pick = upstream.pick({ dice, ...context(i) });
    const name = pick.kind === 'host' ? pick.host.key : pick.reason;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

const many = (prefix: string, n: number, health = 'HEALTHY') =>
  Array.from({ length: n }, (_, i) => ({ address: `${prefix}.${i}:80`, health }));

describe('round robin', () => {
  test('gives each host the same', () => {
    assert.deepEqual(Object.values(count(upstreamOf([{ endpoints: many('10.0.0', 3) }]), 300)), [100, 100, 100]);
  });

  test('follows weights exactly', () => {
    const endpoints = [1, 2, 5].map((weight) => ({ address: `10.0.0.${weight}:80`, weight }));
    assert.deepEqual(count(upstreamOf([{ endpoints }]), 800), {
      '10.0.0.1:80': 100,
      '10.0.0.2:80': 200,
      '10.0.0.5:80': 500,
    });
  });

  test('of any weights, a run is never further off a fair share than there are items', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }), (weights) => {
        const scheduler = new EdfScheduler<number>();
        weights.forEach((weight, i) => void scheduler.add(i, weight));
        const sum = weights.reduce((a, b) => a + b, 0);
        const counts = weights.map(() => 0);
        for (let i = 1; i <= sum * 3; i++) {
          counts[scheduler.next((at) => weights[at]!)!]!++;
          for (const [at, n] of counts.entries()) {
            assert.ok(Math.abs(n - (i * weights[at]!) / sum) <= weights.length, `${counts} after ${i}`);
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});

test('least request prefers the host with less to do, and by weight where weights differ', () => {
  const even = upstreamOf([{ endpoints: many('10.0.0', 2) }], { lb_policy: 'LEAST_REQUEST' });
  even.upstream.hosts()[0]!.load.requests = 5;
  const counts = count(even, 1_000);
  // Both of the two choices fall on the busy one in a quarter of cases.
  assert.ok(counts['10.0.0.0:80']! > 180 && counts['10.0.0.0:80']! < 320, JSON.stringify(counts));
  const all = upstreamOf([{ endpoints: many('10.0.0', 3) }], {
    load_balancing_policy: {
      policies: [
        {
          typed_extension_config: {
            name: 'x',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest',
              selection_method: 'FULL_SCAN',
            },
          },
        },
      ],
    },
  });
  all.upstream.hosts()[0]!.load.requests = 1;
  all.upstream.hosts()[1]!.load.requests = 1;
  assert.deepEqual(count(all, 50), { '10.0.0.2:80': 50 });
  const weighted = upstreamOf(
    [
      {
        endpoints: [
          { address: '10.0.0.1:80', weight: 1 },
          { address: '10.0.0.2:80', weight: 3 },
        ],
      },
    ],
    { lb_policy: 'LEAST_REQUEST' },
  );
  assert.deepEqual(count(weighted, 400), { '10.0.0.1:80': 100, '10.0.0.2:80': 300 });
});

describe('priorities', () => {
  const load = (healthy: readonly (readonly [number, number])[], threshold = 50, degraded: readonly number[] = []) => {
    const hosts = healthy.flatMap(([well, all], priority) =>
      Array.from({ length: all }, (_, i) => {
        const health = i < well ? 'HEALTHY' : i < well + (degraded[priority] ?? 0) ? 'DEGRADED' : 'UNHEALTHY';
        const { endpoints, localities } = assignmentOf([
          { priority, endpoints: [{ address: `10.0.${priority}.${i}:80`, health }] },
        ]);
        return new LiveHost(endpoints[0]!, localities[0]!);
      }),
    );
    const view = viewOf(hosts, [], { overprovisioning: 140, weightedPriorityHealth: false });
    const { available: _, ...shares } = priorityLoad(view, threshold);
    return shares;
  };

  test("divide as in Envoy's documentation", () => {
    assert.deepEqual(
      load([
        [100, 100],
        [100, 100],
      ]).healthy,
      [100, 0],
    );
    assert.deepEqual(
      load([
        [72, 100],
        [100, 100],
      ]).healthy,
      [100, 0],
    );
    assert.deepEqual(
      load([
        [71, 100],
        [71, 100],
      ]).healthy,
      [99, 1],
    );
    assert.deepEqual(
      load([
        [50, 100],
        [50, 100],
      ]).healthy,
      [70, 30],
    );
    assert.deepEqual(
      load([
        [25, 100],
        [100, 100],
      ]).healthy,
      [35, 65],
    );
    assert.deepEqual(
      load(
        [
          [25, 100],
          [25, 100],
        ],
        0,
      ).healthy,
      [50, 50],
    );
    assert.deepEqual(
      load(
        [
          [0, 100],
          [0, 100],
        ],
        0,
      ),
      { healthy: [100, 0], degraded: [0, 0], panic: [false, false] },
    );
    // Degraded hosts get what healthy ones leave.
    const mixed = load(
      [
        [5, 100],
        [0, 100],
      ],
      0,
      [20, 0],
    );
    assert.deepEqual(
      [mixed.healthy, mixed.degraded],
      [
        [20, 0],
        [80, 0],
      ],
    );
  });

  test('panic together: by numbers of hosts', () => {
    assert.deepEqual(
      load([
        [5, 20],
        [0, 60],
      ]),
      { healthy: [25, 75], degraded: [0, 0], panic: [true, true] },
    );
    assert.deepEqual(
      load([
        [70, 100],
        [70, 100],
      ]).panic,
      [false, false],
    );
  });

  test('always make 100 percent, and every chance falls on one', () => {
    const priority = fc
      .integer({ min: 0, max: 30 })
      .chain((all) =>
        fc
          .tuple(fc.nat(all), fc.constant(all))
          .chain(([well, n]) => fc.tuple(fc.constant(well), fc.constant(n), fc.nat(n - well))),
      );
    fc.assert(
      fc.property(
        fc.array(priority, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 0, max: 100 }),
        (rows, threshold) => {
          const result = load(
            rows.map(([well, all]) => [well, all] as const),
            threshold,
            rows.map(([, , d]) => d),
          );
          assert.equal(
            [...result.healthy, ...result.degraded].reduce((a, b) => a + b, 0),
            100,
          );
          const counts = { healthy: result.healthy.map(() => 0), degraded: result.healthy.map(() => 0) };
          for (let i = 0; i < 100; i++) {
            const { priority: at, availability } = choosePriority({ ...result, available: [] }, i);
            counts[availability][at]!++;
          }
          assert.deepEqual(counts, { healthy: result.healthy, degraded: result.degraded });
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a pick says where and why', () => {
    const { upstream } = upstreamOf([
      { priority: 0, endpoints: many('10.0.0', 2, 'UNHEALTHY') },
      { priority: 1, endpoints: many('10.0.1', 2) },
    ]);
    const pick = upstream.pick({ dice: seededDice(1) });
    assert.ok(pick.kind === 'host');
    assert.deepEqual(pick.why, { policy: 'round robin', priority: 1, among: 'healthy' });
    const none = upstreamOf([{ endpoints: many('10.0.0', 2, 'UNHEALTHY') }], {
      common_lb_config: { healthy_panic_threshold: {} },
    }).upstream.pick({ dice: seededDice(1) });
    assert.deepEqual(none, { kind: 'none', reason: 'no healthy host at priority 0' });
  });
});

test('priorities that were tried take no more of a request, until none is left', () => {
  const { upstream } = upstreamOf([
    { priority: 0, endpoints: many('10.0.0', 2) },
    { priority: 1, endpoints: many('10.0.1', 2) },
    { priority: 2, endpoints: many('10.0.2', 2) },
  ]);
  const tries = (frequency: number, n: number) => {
    const priorities = new PreviousPriorities(frequency);
    return Array.from({ length: n }, () => {
      const pick = upstream.pick({ dice: seededDice(1), adjust: (load) => priorities.adjust(load) });
      assert.ok(pick.kind === 'host');
      priorities.tried(pick.host.priority);
      return pick.host.priority;
    });
  };
  assert.deepEqual(tries(1, 5), [0, 1, 2, 0, 1]);
  assert.deepEqual(tries(2, 6), [0, 0, 1, 1, 2, 2]);
});

test('locality weights divide, and shrink with the hosts that are well', () => {
  const weighted = { common_lb_config: { locality_weighted_lb_config: {} } };
  const both = upstreamOf(
    [
      { zone: 'a', weight: 1, endpoints: many('10.0.0', 1) },
      { zone: 'b', weight: 3, endpoints: many('10.0.1', 2) },
    ],
    weighted,
  );
  assert.deepEqual(count(both, 400), { '10.0.0.0:80': 100, '10.0.1.0:80': 150, '10.0.1.1:80': 150 });
  // 1 of 2 with 1.4: weight 0.7.
  const half = upstreamOf(
    [
      { zone: 'a', weight: 10, endpoints: [...many('10.0.0', 1), ...many('10.0.2', 1, 'UNHEALTHY')] },
      { zone: 'b', weight: 7, endpoints: many('10.0.1', 1) },
    ],
    weighted,
  );
  assert.deepEqual(count(half, 1_000), { '10.0.0.0:80': 500, '10.0.1.0:80': 500 });
});

test('zone aware routing keeps what it can at home', () => {
  const zone = (name: string) => ({ region: '', zone: name, subZone: '' });
  const local = (a: number, b: number) => () => ({
    locality: zone('a'),
    healthy: new Map([
      ['/a/', a],
      ['/b/', b],
    ]),
    panics: false,
  });
  const run = (ours: number, theirs: number, mine: number, others: number) => {
    const all = rig(edsCluster, { local: local(ours, theirs) });
    all.upstream.assign(
      assignmentOf([
        { zone: 'a', endpoints: many('10.0.0', mine) },
        { zone: 'b', endpoints: many('10.0.1', others) },
      ]),
    );
    const counts = count(all, 3_000);
    return Object.entries(counts).reduce((sum, [key, n]) => sum + (key.startsWith('10.0.0.') ? n : 0), 0) / 3_000;
  };
  assert.equal(run(1, 1, 3, 3), 1);
  assert.equal(run(1, 3, 3, 3), 1);
  // Half of the hosts, two thirds of the proxies: three quarters stay.
  assert.ok(Math.abs(run(2, 1, 3, 3) - 0.75) < 0.03);
  // Fewer than min_cluster_size hosts: no zones.
  assert.ok(Math.abs(run(1, 1, 1, 3) - 0.25) < 0.03);
});

describe('subsets', () => {
  const endpoints = [
    { address: '10.0.0.1:80', lb: { version: 'v1', stage: 'prod' } },
    { address: '10.0.0.2:80', lb: { version: 'v2', stage: 'prod' } },
    { address: '10.0.0.3:80', lb: { version: 'v2', stage: 'dev' } },
  ];
  const subsets = (config: object) => upstreamOf([{ endpoints }], { lb_subset_config: config });
  const hosts = (all: ReturnType<typeof upstreamOf>, metadataMatch?: Struct) =>
    Object.keys(count(all, 30, () => ({ metadataMatch }))).toSorted();

  test('hold those whose metadata match all keys of a selector', () => {
    const all = subsets({ subset_selectors: [{ keys: ['version'] }, { keys: ['version', 'stage'] }] });
    assert.deepEqual(hosts(all, { version: 'v2' }), ['10.0.0.2:80', '10.0.0.3:80']);
    assert.deepEqual(hosts(all, { version: 'v2', stage: 'dev' }), ['10.0.0.3:80']);
    assert.deepEqual(hosts(all, { stage: 'dev' }), ['no host in subset stage=dev, and no fallback']);
    assert.deepEqual(hosts(all, { version: 'v3' }), ['no host in subset version=v3, and no fallback']);
    assert.deepEqual(hosts(all), ['no host in subset (none), and no fallback']);
  });

  test('fall back to any host, to the default subset, or to fewer keys', () => {
    const selectors = [{ keys: ['version'] }];
    const all = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'];
    assert.deepEqual(
      hosts(subsets({ fallback_policy: 'ANY_ENDPOINT', subset_selectors: selectors }), { version: 'v9' }),
      all,
    );
    const byDefault = {
      fallback_policy: 'DEFAULT_SUBSET',
      default_subset: { fields: { stage: { stringValue: 'dev' } } },
      subset_selectors: selectors,
    };
    assert.deepEqual(hosts(subsets(byDefault)), ['10.0.0.3:80']);
    const keys = {
      subset_selectors: [
        { keys: ['stage'], fallback_policy: 'NO_FALLBACK' },
        { keys: ['stage', 'version'], fallback_policy: 'KEYS_SUBSET', fallback_keys_subset: ['stage'] },
      ],
      fallback_policy: 'ANY_ENDPOINT',
    };
    assert.deepEqual(hosts(subsets(keys), { version: 'v9', stage: 'dev' }), ['10.0.0.3:80']);
    assert.deepEqual(hosts(subsets(keys), { stage: 'none' }), ['no host in subset stage=none, and no fallback']);
  });

  test('a list of fallbacks is tried in order', () => {
    const all = subsets({ subset_selectors: [{ keys: ['version'] }], metadata_fallback_policy: 'FALLBACK_LIST' });
    const list = { fallback_list: [{ version: 'v9' }, { version: 'v1' }] };
    assert.deepEqual(hosts(all, list), ['10.0.0.1:80']);
  });
});

describe('consistent hashing', () => {
  for (const [name, cluster] of [
    ['ring', { lb_policy: 'RING_HASH' }],
    ['maglev', { lb_policy: 'MAGLEV' }],
  ] as const) {
    test(`${name}: the same hash goes to the same host, and few move when a host leaves`, () => {
      const five = upstreamOf([{ endpoints: many('10.0.0', 5) }], cluster);
      const four = upstreamOf([{ endpoints: many('10.0.0', 4) }], cluster);
      const dice = seededDice(3);
      let moved = 0;
      const rounds = 2_000;
      for (let i = 0; i < rounds; i++) {
        const hash = (BigInt(Math.floor(dice.random() * 2 ** 32)) << 32n) | BigInt(Math.floor(dice.random() * 2 ** 32));
        const [a, b, c] = [five, five, four].map(({ upstream }) => {
          const pick = upstream.pick({ dice, hash });
          assert.ok(pick.kind === 'host');
          return pick.host.key;
        });
        assert.equal(a, b);
        if (a !== '10.0.0.4:80' && a !== c) moved++;
      }
      assert.ok(moved < rounds * (name === 'ring' ? 0.1 : 0.05), `${moved} moved`);
    });

    test(`${name}: hosts get shares by weight, and a host that was tried is avoided`, () => {
      const weights = [1, 2, 5].map((weight) => ({ address: `10.0.0.${weight}:80`, weight }));
      const all = upstreamOf([{ endpoints: weights }], cluster);
      const dice = seededDice(9);
      const counts = count(all, 8_000, () => ({ dice }));
      for (const weight of [1, 2, 5]) {
        assert.ok(Math.abs(counts[`10.0.0.${weight}:80`]! / 8_000 - weight / 8) < 0.06, JSON.stringify(counts));
      }
      const first = all.upstream.pick({ dice, hash: 42n });
      assert.ok(first.kind === 'host');
      const second = all.upstream.pick({ dice, hash: 42n, tried: new Set([first.host]), retries: 20 });
      assert.ok(second.kind === 'host' && second.host !== first.host);
    });

    test(`${name}: a bounded host passes on what is above its share`, () => {
      const all = upstreamOf([{ endpoints: many('10.0.0', 4) }], {
        ...cluster,
        common_lb_config: { consistent_hashing_lb_config: { hash_balance_factor: { value: 120 } } },
      });
      const dice = seededDice(4);
      const first = all.upstream.pick({ dice, hash: 99n });
      assert.ok(first.kind === 'host');
      first.host.load.requests = 100;
      const other = all.upstream.pick({ dice, hash: 99n });
      assert.ok(other.kind === 'host' && other.host !== first.host);
      assert.deepEqual(all.upstream.pick({ dice, hash: 99n }), other);
    });
  }
});

test('slow start: a new host gets little at first and its share in the end', () => {
  const slow = {
    round_robin_lb_config: {
      slow_start_config: { slow_start_window: { seconds: 60 }, min_weight_percent: { value: 10 } },
    },
  };
  const all = rig({ ...edsCluster, ...slow });
  all.upstream.assign(assignmentOf([{ endpoints: many('10.0.0', 1) }]));
  all.clock.advance(120_000);
  all.upstream.assign(assignmentOf([{ endpoints: many('10.0.0', 2) }]));
  assert.ok(count(all, 1_100)['10.0.0.1:80']! <= 105);
  all.clock.advance(30_000);
  const half = count(all, 1_500)['10.0.0.1:80']!;
  assert.ok(half > 480 && half < 520, `${half}`);
  all.clock.advance(40_000);
  const full = count(all, 1_000)['10.0.0.1:80']!;
  assert.ok(full > 490 && full < 510, `${full}`);
});

test('drop_overloads drop their share', () => {
  const all = upstreamOf(
    [{ endpoints: many('10.0.0', 1) }],
    {},
    {
      drop_overloads: [{ category: 'lb', drop_percentage: { numerator: 25 } }],
    },
  );
  const dropped = count(all, 4_000)['dropped by drop_overload lb']!;
  assert.ok(Math.abs(dropped / 4_000 - 0.25) < 0.03, `${dropped}`);
});

describe('original destination', () => {
  const config = {
    type: 'ORIGINAL_DST',
    lb_policy: 'CLUSTER_PROVIDED',
    original_dst_lb_config: {
      use_http_header: true,
      metadata_key: { key: 'envoy.filters.listener.original_dst', path: [{ key: 'waypoint' }] },
      upstream_port_override: { value: 15_008 },
    },
  };
  const original = (more: object = {}) => ({
    restored: { ip: '10.1.1.1', port: 80 },
    filterState: () => undefined,
    header: () => undefined,
    metadata: () => undefined,
    ...more,
  });

  test('is the restored address, or what overrides it, with the port of the configuration', () => {
    const { upstream } = rig(config);
    const dice = seededDice(1);
    const key = (more?: object) => {
      const pick = upstream.pick({ dice, original: original(more) });
      return pick.kind === 'host' ? pick.host.key : pick.reason;
    };
    assert.equal(key(), '10.1.1.1:15008');
    assert.equal(
      key({ header: (name: string) => (name === 'x-envoy-original-dst-host' ? '10.2.2.2:1' : undefined) }),
      '10.2.2.2:15008',
    );
    const metadata = () => ({ waypoint: ['[fd00::1]:15008'] });
    assert.equal(key({ metadata, header: () => '10.2.2.2:1' }), '[fd00::1]:15008');
    assert.equal(key({ metadata, filterState: () => '10.9.9.9:9' }), '10.9.9.9:15008');
    assert.equal(key({ header: () => 'not an address' }), '10.1.1.1:15008');
    assert.match(key({ restored: undefined }), /no original destination/);
    assert.equal(upstream.pick({ dice }).kind, 'none');
  });

  test('keeps a host while it is used, and forgets it then', () => {
    const { upstream, clock } = rig(config);
    const dice = seededDice(1);
    const pick = () => upstream.pick({ dice, original: original() });
    const first = pick();
    assert.ok(first.kind === 'host');
    clock.advance(5_000);
    const second = pick();
    assert.ok(second.kind === 'host' && second.host === first.host);
    clock.advance(10_000);
    assert.equal(upstream.hosts().length, 0);
    upstream.close();
    assert.equal(clock.timers, 0);
  });
});
