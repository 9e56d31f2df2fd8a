/**
 * Our clusters choose hosts as Envoy's do: the same configuration, the same requests. Hashing to the host, all else by shares. One
 * Envoy has all clusters; behind them are servers that tell who they are.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeEnvoy, encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import { Fields } from '../../common/envoy/fields.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { compileCluster } from '../../waypoint/cluster/compile/cluster.ts';
import { connectionCookie } from '../../waypoint/cluster/hash/cookie.ts';
import { xxHash64 } from '../../waypoint/cluster/hash/xxhash64.ts';
import { FakeConnector, type LocalityWords, loadAssignment, seededDice } from '../../waypoint/cluster/testing/rig.ts';
import type { PickContext, Struct } from '../../waypoint/cluster/types.ts';
import { startUpstream } from '../../waypoint/cluster/upstream.ts';
import type { Upstream } from '../../waypoint/cluster/upstream-types.ts';
import { Headers } from '../../waypoint/request/headers.ts';
import { hashRequest, readHashPolicy } from '../../waypoint/route/hash.ts';
import { view } from '../../waypoint/testing/view.ts';
import { Envoy, skipWithoutEnvoy } from '../harness/envoy.ts';
import { protoJson } from './proto-json.ts';

const skip = skipWithoutEnvoy();
const hosts = 8;
const clusterType = 'envoy.config.cluster.v3.Cluster';

/** A cluster by name, with words about its endpoints: `%0` is the address of the first server. */
interface Case {
  readonly cluster: object;
  readonly localities: readonly LocalityWords[];
  readonly policy?: object;
  /** The route's metadata_match. */
  readonly match?: Readonly<Record<string, string>>;
  /** The route's hash_policy; default: header x-key. */
  readonly hash?: readonly object[];
}

const even = (count: number, from = 0) => Array.from({ length: count }, (_, i) => ({ address: `%${from + i}` }));
const weighted = (...weights: readonly number[]) => weights.map((weight, i) => ({ address: `%${i}`, weight }));
const withHealth = (from: number, ...health: readonly string[]) =>
  health.map((state, i) => ({ address: `%${from + i}`, health: state }));
const byLocality = { common_lb_config: { locality_weighted_lb_config: {} } };
const keyed = even(3).map((e, i) => ({ ...e, lb: { hash_key: `key ${i}` } }));
const places: readonly LocalityWords[] = [
  { zone: 'b', weight: 1, endpoints: even(2) },
  { zone: 'a', weight: 3, endpoints: even(3, 2) },
];

/** Which host a hash has must be the same. */
const hashing: Readonly<Record<string, Case>> = {
  ring: { cluster: { lb_policy: 'RING_HASH' }, localities: [{ endpoints: even(5) }] },
  'ring-weights': { cluster: { lb_policy: 'RING_HASH' }, localities: [{ endpoints: weighted(1, 7, 3, 2) }] },
  'ring-small': {
    cluster: {
      lb_policy: 'RING_HASH',
      ring_hash_lb_config: { minimum_ring_size: { value: 3 }, maximum_ring_size: { value: 7 } },
    },
    localities: [{ endpoints: weighted(3, 1, 1, 5, 2) }],
  },
  'ring-murmur': {
    cluster: { lb_policy: 'RING_HASH', ring_hash_lb_config: { hash_function: 'MURMUR_HASH_2' } },
    localities: [{ endpoints: even(5) }],
  },
  'ring-keys': { cluster: { lb_policy: 'RING_HASH' }, localities: [{ endpoints: keyed }] },
  'ring-places': { cluster: { lb_policy: 'RING_HASH', ...byLocality }, localities: places },
  'ring-sick': {
    cluster: { lb_policy: 'RING_HASH' },
    localities: [{ endpoints: withHealth(0, 'HEALTHY', 'UNHEALTHY', 'HEALTHY', 'DEGRADED', 'HEALTHY') }],
  },
  'ring-panic': {
    cluster: { lb_policy: 'RING_HASH' },
    localities: [{ endpoints: withHealth(0, 'HEALTHY', 'UNHEALTHY', 'DRAINING', 'TIMEOUT') }],
  },
  'ring-priorities': {
    cluster: { lb_policy: 'RING_HASH' },
    localities: [
      { priority: 0, endpoints: withHealth(0, 'HEALTHY', 'UNHEALTHY', 'HEALTHY', 'UNHEALTHY') },
      { priority: 1, endpoints: even(4, 4) },
    ],
  },
  maglev: { cluster: { lb_policy: 'MAGLEV' }, localities: [{ endpoints: even(5) }] },
  'maglev-weights': { cluster: { lb_policy: 'MAGLEV' }, localities: [{ endpoints: weighted(1, 7, 3, 2, 2, 1) }] },
  'maglev-small': {
    cluster: { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: { value: 11 } } },
    localities: [{ endpoints: weighted(3, 1, 1, 5, 2) }],
  },
  'maglev-places': { cluster: { lb_policy: 'MAGLEV', ...byLocality }, localities: places },
  'maglev-sick': {
    cluster: { lb_policy: 'MAGLEV' },
    localities: [{ endpoints: withHealth(0, 'HEALTHY', 'UNHEALTHY', 'HEALTHY', 'DEGRADED', 'HEALTHY') }],
  },
};

const primes = [3, 11, 101, 1_009, 65_537];
const randomPolicy = fc.oneof(
  fc.record({
    lb_policy: fc.constant('RING_HASH'),
    ring_hash_lb_config: fc.record({
      minimum_ring_size: fc.record({ value: fc.integer({ min: 1, max: 2_000 }) }),
      maximum_ring_size: fc.record({ value: fc.integer({ min: 2_000, max: 4_000 }) }),
      hash_function: fc.constantFrom('XX_HASH', 'MURMUR_HASH_2'),
    }),
  }),
  fc.record({
    lb_policy: fc.constant('MAGLEV'),
    maglev_lb_config: fc.record({ table_size: fc.record({ value: fc.constantFrom(...primes) }) }),
  }),
);
const randomCommon = fc.record({
  healthy_panic_threshold: fc.record({ value: fc.constantFrom(0, 30, 50, 100) }),
  ...{ locality_weighted_lb_config: fc.option(fc.constant({}), { nil: undefined }) },
});
const randomEndpoint = fc.record({
  weight: fc.integer({ min: 1, max: 9 }),
  health: fc.constantFrom('HEALTHY', 'UNKNOWN', 'HEALTHY', 'UNHEALTHY', 'DEGRADED', 'DRAINING'),
});

/** The servers in localities of up to three priorities, of any health and weight. */
const randomPlaces = fc
  .array(
    fc.record({
      zone: fc.constantFrom('a', 'b', 'c'),
      priority: fc.nat(2),
      weight: fc.integer({ min: 1, max: 5 }),
      endpoints: fc.array(randomEndpoint, { minLength: 1, maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((places): readonly LocalityWords[] => {
    let server = 0;
    const levels = [...new Set(places.map(({ priority }) => priority))].toSorted();
    // One of each zone and priority, priorities without gaps, no more endpoints than servers.
    const seen = new Set<string>();
    return places.flatMap((at) => {
      const priority = levels.indexOf(at.priority);
      const endpoints = at.endpoints.flatMap((e) => (server < hosts ? [{ ...e, address: `%${server++}` }] : []));
      if (seen.has(`${at.zone}${priority}`) || endpoints.length === 0) return [];
      seen.add(`${at.zone}${priority}`);
      return [{ ...at, priority, endpoints }];
    });
  })
  .filter(
    (places) =>
      new Set(places.map(({ priority }) => priority)).size === Math.max(...places.map(({ priority }) => priority! + 1)),
  );

/** Hashing again, of random clusters; `test:long` makes other ones each time. */
const long = process.env['TEST_LONG'] === '1';
const random: Readonly<Record<string, Case>> = Object.fromEntries(
  fc
    .sample(fc.tuple(randomPolicy, randomCommon, randomPlaces, fc.constantFrom(100, 140, 200)), {
      numRuns: long ? 500 : 50,
      ...(!long && { seed: 7 }),
    })
    .map(([policy, common, localities, factor], i) => [
      `random-${i}`,
      {
        cluster: { ...policy, common_lb_config: common },
        localities,
        policy: { overprovisioning_factor: { value: factor } },
      },
    ]),
);

/** The share of each host must be about the same. */
const sharing: Readonly<Record<string, Case>> = {
  weights: { cluster: {}, localities: [{ endpoints: weighted(1, 2, 5) }] },
  'weights-least': { cluster: { lb_policy: 'LEAST_REQUEST' }, localities: [{ endpoints: weighted(1, 2, 5) }] },
  random: { cluster: { lb_policy: 'RANDOM' }, localities: [{ endpoints: weighted(1, 2, 5) }] },
  places: { cluster: byLocality, localities: places },
  'places-sick': {
    cluster: byLocality,
    localities: [
      { zone: 'a', weight: 10, endpoints: withHealth(0, 'HEALTHY', 'UNHEALTHY') },
      { zone: 'b', weight: 7, endpoints: even(1, 2) },
    ],
  },
  priorities: {
    cluster: {},
    localities: [
      { priority: 0, endpoints: withHealth(0, 'HEALTHY', 'UNHEALTHY', 'UNHEALTHY', 'UNHEALTHY') },
      { priority: 1, endpoints: even(2, 4) },
    ],
  },
  degraded: {
    cluster: {},
    localities: [{ endpoints: withHealth(0, 'HEALTHY', 'DEGRADED', 'DEGRADED', 'DEGRADED') }],
  },
  overprovisioning: {
    cluster: {},
    localities: [
      { priority: 0, endpoints: withHealth(0, 'HEALTHY', 'UNHEALTHY') },
      { priority: 1, endpoints: even(1, 2) },
    ],
    policy: { overprovisioning_factor: { value: 100 } },
  },
  'weighted-health': {
    cluster: {},
    localities: [
      {
        priority: 0,
        endpoints: [
          { address: '%0', weight: 1 },
          { address: '%1', weight: 3, health: 'UNHEALTHY' },
        ],
      },
      { priority: 1, endpoints: even(1, 2) },
    ],
    policy: { weighted_priority_health: true },
  },
  panic: { cluster: {}, localities: [{ endpoints: withHealth(0, 'HEALTHY', 'UNHEALTHY', 'UNHEALTHY', 'UNHEALTHY') }] },
  'panic-all': {
    cluster: {},
    localities: [
      { priority: 0, endpoints: withHealth(0, 'UNHEALTHY') },
      { priority: 1, endpoints: withHealth(1, 'UNHEALTHY', 'UNHEALTHY', 'UNHEALTHY') },
    ],
  },
  'no-panic': {
    cluster: { common_lb_config: { healthy_panic_threshold: { value: 0 } } },
    localities: [{ endpoints: withHealth(0, 'UNHEALTHY', 'UNHEALTHY') }],
  },
  ...subsetCases(),
};

function subsetCases(): Readonly<Record<string, Case>> {
  const localities = [
    {
      endpoints: [
        { address: '%0', lb: { version: 'v1', stage: 'prod' } },
        { address: '%1', lb: { version: 'v2', stage: 'prod' } },
        { address: '%2', lb: { version: 'v2', stage: 'dev' } },
        { address: '%3', lb: { stage: 'dev' } },
      ],
    },
  ];
  const selectors = { subset_selectors: [{ keys: ['version'] }, { keys: ['version', 'stage'] }] };
  const byKeys = {
    fallback_policy: 'ANY_ENDPOINT',
    subset_selectors: [
      { keys: ['version', 'stage'], fallback_policy: 'KEYS_SUBSET', fallback_keys_subset: ['stage'] },
      { keys: ['stage'], fallback_policy: 'NO_FALLBACK' },
    ],
  };
  const byDefault = {
    ...selectors,
    fallback_policy: 'DEFAULT_SUBSET',
    default_subset: { fields: { stage: { stringValue: 'dev' } } },
  };
  const of = (lb_subset_config: object, match?: Readonly<Record<string, string>>): Case => ({
    cluster: { lb_subset_config },
    localities,
    ...(match && { match }),
  });
  return {
    subset: of(selectors, { version: 'v2' }),
    'subset-two': of(selectors, { version: 'v2', stage: 'dev' }),
    'subset-none': of(selectors, { version: 'v9' }),
    'subset-partly': of(selectors, { stage: 'dev' }),
    'subset-unasked': of(selectors),
    'subset-any': of({ ...selectors, fallback_policy: 'ANY_ENDPOINT' }, { version: 'v9' }),
    'subset-default': of(byDefault, { version: 'v9' }),
    'subset-keys': of(byKeys, { version: 'v9', stage: 'dev' }),
    'subset-keys-none': of(byKeys, { version: 'v9', stage: 'none' }),
    'subset-single': of({ subset_selectors: [{ keys: ['stage'], single_host_per_subset: true }] }, { stage: 'prod' }),
  };
}

/** Outlier detection with so many failing hosts of four; the number that ends ejected must be the same. */
const ejecting: Readonly<Record<string, { readonly failing: number; readonly config: object }>> = {
  'eject-one': { failing: 1, config: { consecutive_5xx: { value: 3 }, max_ejection_percent: { value: 50 } } },
  'eject-half': { failing: 4, config: { consecutive_5xx: { value: 3 }, max_ejection_percent: { value: 50 } } },
  'eject-none': { failing: 4, config: { consecutive_5xx: { value: 3 }, max_ejection_percent: { value: 10 } } },
  'eject-first': {
    failing: 4,
    config: {
      consecutive_5xx: { value: 3 },
      max_ejection_percent: { value: 10 },
      always_eject_one_host: { value: true },
    },
  },
  'eject-unenforced': {
    failing: 4,
    config: {
      consecutive_5xx: { value: 3 },
      max_ejection_percent: { value: 100 },
      enforcing_consecutive_5xx: { value: 0 },
    },
  },
  'eject-gateway': {
    failing: 4,
    config: {
      consecutive_5xx: { value: 0 },
      consecutive_gateway_failure: { value: 2 },
      enforcing_consecutive_gateway_failure: { value: 100 },
      max_ejection_percent: { value: 100 },
    },
  },
};

/** The same host for whatever of a request is hashed. */
const sticky: Readonly<Record<string, Case>> = Object.fromEntries(
  Object.entries({
    'sticky-header': [{ header: { header_name: 'x-key' } }],
    'sticky-rewrite': [
      {
        header: {
          header_name: 'x-key',
          regex_rewrite: { pattern: { regex: '^k(.).*$' }, substitution: '\\1' },
        },
      },
    ],
    'sticky-cookie': [{ cookie: { name: 'sid' } }],
    'sticky-query': [{ query_parameter: { name: 'user' } }],
    'sticky-address': [{ connection_properties: { source_ip: true } }, { query_parameter: { name: 'user' } }],
    'sticky-all': [
      { header: { header_name: 'x-key' } },
      { cookie: { name: 'sid' } },
      { query_parameter: { name: 'user' } },
    ],
    'sticky-first': [
      { header: { header_name: 'x-absent' }, terminal: true },
      { cookie: { name: 'sid' }, terminal: true },
      { header: { header_name: 'x-key' } },
    ],
    'sticky-made': [
      { cookie: { name: 'made', ttl: { seconds: 60 }, path: '/p', attributes: [{ name: 'SameSite', value: 'Lax' }] } },
    ],
    'sticky-session': [{ cookie: { name: 'made', ttl: {} } }],
  }).map(([name, hash]) => [name, { cluster: { lb_policy: 'MAGLEV' }, localities: [{ endpoints: even(7) }], hash }]),
);

const all: Readonly<Record<string, Case>> = {
  ...hashing,
  ...random,
  ...sticky,
  ...sharing,
  ...Object.fromEntries(
    Object.entries(ejecting).map(([name, { config }]) => [
      name,
      {
        cluster: {
          outlier_detection: { base_ejection_time: { seconds: 600 }, max_ejection_time: { seconds: 600 }, ...config },
          common_lb_config: { healthy_panic_threshold: { value: 0 } },
        },
        localities: [{ endpoints: even(4) }],
      },
    ]),
  ),
};

describe('clusters, beside those of Envoy', { skip }, () => {
  const servers: Server[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let envoy: Envoy;
  let port: number;
  const clusters = new Map<string, object>();
  let addresses: readonly string[] = [];

  before(async () => {
    addresses = await Promise.all(Array.from({ length: hosts }, (_, i) => startServer(i, servers)));
    for (const [name, one] of Object.entries(all)) clusters.set(name, clusterOf(name, one, addresses));
    envoy = await Envoy.start({
      static_resources: {
        clusters: [...clusters.values()].map((cluster) => protoJson(clusterType, cluster)),
        listeners: [listener()],
      },
    });
    port = await envoy.port('all');
  });

  after(async () => {
    agent.destroy();
    await envoy?.stop();
    for (const server of servers) server.close();
  });

  /** Who answers, or the status without one. */
  const ask = async (name: string, key = '', status = '200') =>
    (await send(`/${name}/`, { 'x-key': key, 'x-status': status })).host;

  const send = (path: string, headers: Readonly<Record<string, string | string[]>>) =>
    new Promise<Answer>((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path, headers, agent }, (answer) => {
        const localPort = answer.socket.localPort!;
        const cookies = answer.headers['set-cookie'] ?? [];
        answer.resume();
        answer.on('end', () =>
          resolve({ host: String(answer.headers['x-host'] ?? answer.statusCode), localPort, cookies }),
        );
        answer.on('error', reject);
      });
      sent.on('error', reject);
      sent.end();
    });

  const ours = (name: string): Upstream<string> => {
    const decoded = decodeEnvoy(
      typeUrl(clusterType),
      encodeEnvoy(Object.assign({ '@type': typeUrl(clusterType) }, clusters.get(name))),
    );
    assert.ok(decoded.kind === 'ok');
    const compiled = compileCluster(decoded.value);
    if (compiled.kind === 'rejected') assert.fail(compiled.reason);
    return startUpstream(compiled.value, {
      connector: new FakeConnector(),
      clock: new FakeClock(),
      dice: seededDice(1),
      dial: () => Promise.reject(new Error('nothing dials')),
      resolver: { resolve: () => Promise.reject(new Error('nothing resolves')) },
    });
  };

  const pick = (upstream: Upstream<string>, context: PickContext) => {
    const picked = upstream.pick(context);
    return picked.kind === 'host' ? String(addresses.indexOf(picked.host.key)) : '503';
  };

  for (const name of Object.keys(hashing)) {
    test(`${name}: every key goes to the host that Envoy chooses`, async () => {
      const upstream = ours(name);
      const dice = seededDice(2);
      const keys = Array.from({ length: 250 }, (_, i) => `user-${i * 7_919}-${name}`);
      const theirs = await Promise.all(keys.map((key) => ask(name, key)));
      const mine = keys.map((key) => pick(upstream, { dice, hash: xxHash64(Buffer.from(key)) }));
      const different = keys.filter((_, i) => theirs[i] !== mine[i]);
      assert.deepEqual(different, []);
      assert.ok(new Set(theirs).size > 1);
      upstream.close();
    });
  }

  test(`${Object.keys(random).length} random clusters: every key goes to the host that Envoy chooses`, async () => {
    for (const [name, one] of Object.entries(random)) {
      const upstream = ours(name);
      const dice = seededDice(6);
      const keys = Array.from({ length: 20 }, (_, i) => `key ${i * 31}`);
      const theirs = await Promise.all(keys.map((key) => ask(name, key)));
      const mine = keys.map((key) => pick(upstream, { dice, hash: xxHash64(Buffer.from(key)) }));
      assert.deepEqual(mine, theirs, JSON.stringify(one));
      upstream.close();
    }
  });

  for (const [name, { hash }] of Object.entries(sticky)) {
    test(`${name}: what is hashed of a request is the same, and the cookie that is made`, async () => {
      const upstream = ours(name);
      const dice = seededDice(5);
      const steps = readHashPolicy(new Fields({ hash_policy: hash }, 'RouteAction'));
      const seen = new Set<string>();
      for (let i = 0; i < 60; i++) {
        const headers: Record<string, string | string[]> = { 'x-key': i % 3 === 0 ? [`k${i}`, `a${i % 7}`] : `k${i}` };
        if (i % 4 > 0) headers['cookie'] = `other=1; sid=${i % 4 === 1 ? `"s${i}"` : `s${i}`}; last=x`;
        const path = `/${name}/${i % 5 === 0 ? '' : `?a=1&user=u${i}&user=v`}`;
        const theirs = await send(path, headers);
        const entries = Object.entries(headers).flatMap(([n, v]) => [v].flat().map((one) => [n, one] as const));
        const place = (at: number) => ({ address: '127.0.0.1', port: at });
        const [remote, local] = [place(theirs.localPort), place(port)];
        const asked = {
          ...view({ path, connection: { remote, directRemote: remote, local } }),
          headers: Headers.of(entries),
        };
        const hashed = hashRequest(
          steps,
          asked,
          (text) => xxHash64(Buffer.from(text, 'latin1')),
          () => connectionCookie(remote, local),
        );
        const what = `${path} ${JSON.stringify(headers)}`;
        assert.deepEqual(theirs.cookies, hashed.cookies, what);
        if (hashed.hash === undefined) continue;
        assert.equal(pick(upstream, { dice, hash: hashed.hash }), theirs.host, what);
        seen.add(theirs.host);
      }
      assert.ok(seen.size > 1 || !JSON.stringify(hash).includes('user'));
      upstream.close();
    });
  }

  for (const [name, { match }] of Object.entries(sharing)) {
    test(`${name}: hosts get the shares that Envoy gives them`, async () => {
      const upstream = ours(name);
      const dice = seededDice(3);
      const rounds = 400;
      const context: PickContext = { dice, ...(match && { metadataMatch: match as Struct }) };
      const theirs = tally(await Promise.all(Array.from({ length: rounds }, () => ask(name))));
      const mine = tally(Array.from({ length: rounds }, () => pick(upstream, context)));
      assert.deepEqual(Object.keys(mine).toSorted(), Object.keys(theirs).toSorted());
      for (const host of Object.keys(mine)) {
        // Five standard deviations of the difference of two shares of one half.
        const difference = Math.abs(mine[host]! - theirs[host]!) / rounds;
        assert.ok(
          difference < 5 * Math.sqrt(0.5 / rounds),
          `${JSON.stringify(mine)} and Envoy ${JSON.stringify(theirs)}`,
        );
      }
      upstream.close();
    });
  }

  for (const [name, { failing }] of Object.entries(ejecting)) {
    test(`${name}: as many hosts end ejected`, async () => {
      const upstream = ours(name);
      const dice = seededDice(4);
      const rounds = 60;
      // The servers say who they are; those below the number fail.
      for (let i = 0; i < rounds; i++) await ask(name, '', `below-${failing}`);
      for (let i = 0; i < rounds; i++) {
        const picked = upstream.pick({ dice });
        if (picked.kind === 'none') continue;
        upstream.events.responded(picked.host, addresses.indexOf(picked.host.key) < failing ? 503 : 200);
      }
      const stats = JSON.parse(
        await envoy.admin(`/stats?format=json&filter=^cluster.${name}.outlier_detection.ejections_active$`),
      );
      const theirs = (stats as { stats: { value: number }[] }).stats[0]!.value;
      const mine = new Set<string>();
      for (let i = 0; i < 100; i++) mine.add(pick(upstream, { dice }));
      mine.delete('503');
      assert.equal(4 - mine.size, theirs);
      upstream.close();
    });
  }
});

interface Answer {
  /** Who answered, or the status. */
  readonly host: string;
  /** Ours. */
  readonly localPort: number;
  readonly cookies: readonly string[];
}

function tally(answers: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
  return counts;
}

/** Tells its number; with `x-status: below-N` those with a number below N answer 503. */
async function startServer(number: number, servers: Server[]): Promise<string> {
  const server = createServer((asked, answer) => {
    const below = /^below-(\d+)$/.exec(String(asked.headers['x-status']));
    answer.writeHead(below && number < Number(below[1]) ? 503 : 200, { 'x-host': String(number) });
    answer.end();
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function clusterOf(name: string, { cluster, localities, policy }: Case, addresses: readonly string[]): object {
  const placed = localities.map((at) => ({
    ...at,
    endpoints: at.endpoints.map((e) => ({ ...e, address: addresses[Number(e.address.slice(1))]! })),
  }));
  const { '@type': _, ...assignment } = loadAssignment(placed, policy);
  return { name, connect_timeout: { seconds: 5 }, ...cluster, load_assignment: assignment };
}

function listener(): object {
  const manager = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
  const router = 'envoy.extensions.filters.http.router.v3.Router';
  const byKey = [{ header: { header_name: 'x-key' } }];
  const routes = Object.entries(all).map(([name, { match, hash = byKey }]) => ({
    match: { prefix: `/${name}/` },
    route: {
      cluster: name,
      ...protoJson('envoy.config.route.v3.RouteAction', { hash_policy: hash }),
      ...(match && { metadata_match: { filter_metadata: { 'envoy.lb': match } } }),
    },
  }));
  return {
    name: 'all',
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      {
        filters: [
          {
            name: 'http',
            typed_config: {
              '@type': typeUrl(manager),
              stat_prefix: 'all',
              route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
              http_filters: [{ name: 'router', typed_config: { '@type': typeUrl(router) } }],
            },
          },
        ],
      },
    ],
  };
}
