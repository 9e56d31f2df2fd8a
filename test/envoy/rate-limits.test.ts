/** Local rate limits in Envoy and in ours: the same requests one after another get the same answers, and the same is counted. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { type EngineAnswer, type EngineSite, Engines, named } from './engines.ts';

type Json = Readonly<Record<string, unknown>>;

const local = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';
const all = { default_value: { numerator: 100 } };
/** Nothing comes back while the test runs. */
const bucket = (tokens: number) => ({ max_tokens: tokens, fill_interval: '36000s' });
const limit = (site: string, config: Json, left: readonly string[] = []): Json => {
  const whole = {
    stat_prefix: site,
    filter_enabled: all,
    filter_enforced: all,
    enable_x_ratelimit_headers: 'DRAFT_VERSION_03',
    ...config,
  };
  return Object.fromEntries(Object.entries(whole).filter(([name]) => !left.includes(name)));
};
/** `left`: fields that are not there. */
const filter = (site: string, config: Json, ...left: readonly string[]) =>
  named('local', local, limit(site, config, left));
const entries = (all: Readonly<Record<string, string>>) => Object.entries(all).map(([key, value]) => ({ key, value }));
const descriptor = (all: Readonly<Record<string, string>>, tokens: number) => ({
  entries: entries(all),
  token_bucket: bucket(tokens),
});
const byHeader = (header: string, more: Json = {}) => ({
  request_headers: { header_name: header, descriptor_key: header, ...more },
});
const byWho = byHeader('who');
const generic = (value: string) => ({ generic_key: { descriptor_value: value } });

interface Step {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

interface LimitCase {
  readonly filters: (site: string) => readonly Json[];
  /** Of the one route; default: any path to the server. */
  readonly route?: (site: string) => Json;
  readonly virtualHost?: Json;
  readonly steps: readonly Step[];
}

const times = (n: number, step: Step = {}): readonly Step[] => Array.from({ length: n }, () => step);

const cases: Readonly<Record<string, LimitCase>> = {
  plain: { filters: (site) => [filter(site, { token_bucket: bucket(3) })], steps: times(5) },
  'head-and-grpc': {
    filters: (site) => [filter(site, { token_bucket: bucket(1), rate_limited_as_resource_exhausted: true })],
    steps: [{}, { method: 'HEAD' }, { headers: { 'content-type': 'application/grpc' } }],
  },
  'grpc-unavailable': {
    filters: (site) => [filter(site, { token_bucket: bucket(1) })],
    steps: times(2, { headers: { 'content-type': 'application/grpc' } }),
  },
  'not-enabled': {
    filters: (site) => [filter(site, { token_bucket: bucket(1) }, 'filter_enabled')],
    steps: times(2),
  },
  'not-enforced': {
    filters: (site) => [
      filter(
        site,
        {
          token_bucket: bucket(1),
          request_headers_to_add_when_not_enforced: [{ header: { key: 'x-over', value: 'yes' } }],
        },
        'filter_enforced',
      ),
    ],
    steps: times(3),
  },
  'status-and-headers': {
    filters: (site) => [
      filter(site, {
        token_bucket: bucket(1),
        status: { code: 'ServiceUnavailable' },
        response_headers_to_add: [{ header: { key: 'x-why', value: '%REQ(x-a)%' } }],
      }),
    ],
    steps: times(2, { headers: { 'x-a': 'b' } }),
  },
  'status-of-success': {
    filters: (site) => [filter(site, { token_bucket: bucket(1), status: { code: 'OK' } })],
    steps: times(2),
  },
  'without-headers': {
    filters: (site) => [filter(site, { token_bucket: bucket(1), enable_x_ratelimit_headers: 'OFF' })],
    steps: times(2),
  },
  'retry-after': {
    filters: (site) => [filter(site, { token_bucket: bucket(1), enable_retry_after_header: true })],
    steps: times(2),
  },
  'only-routes': {
    filters: (site) => [filter(site, {}, 'filter_enabled')],
    route: (site) => ({
      typed_per_filter_config: { local: { '@type': typeUrl(local), ...limit(site, { token_bucket: bucket(2) }) } },
    }),
    steps: times(3),
  },
  descriptors: {
    filters: (site) => [
      filter(site, {
        token_bucket: bucket(4),
        descriptors: [descriptor({ who: 'a' }, 1), descriptor({ who: 'b', generic_key: 'x' }, 2)],
        rate_limits: [{ actions: [byWho] }, { actions: [byWho, generic('x')] }],
      }),
    ],
    steps: [...times(2, { headers: { who: 'a' } }), ...times(3, { headers: { who: 'b' } }), ...times(3)],
  },
  'descriptors-instead-of-the-default': {
    filters: (site) => [
      filter(site, {
        token_bucket: bucket(1),
        always_consume_default_token_bucket: false,
        descriptors: [descriptor({ who: 'a' }, 3), descriptor({ who: 'a', generic_key: 'x' }, 2)],
        rate_limits: [{ actions: [byWho] }, { actions: [byWho, generic('x')] }],
      }),
    ],
    steps: [...times(4, { headers: { who: 'a' } }), ...times(2, { headers: { who: 'b' } })],
  },
  wildcards: {
    filters: (site) => [
      filter(site, {
        token_bucket: bucket(100),
        descriptors: [
          descriptor({ who: '' }, 1),
          descriptor({ who: 'a' }, 2),
          descriptor({ generic_key: 'x', who: '' }, 3),
        ],
        rate_limits: [{ actions: [byWho] }, { actions: [generic('x'), byWho] }],
        max_dynamic_descriptors: 100,
      }),
    ],
    steps: ['a', 'b', 'c', 'a', 'b', 'a', ''].map((who) => (who === '' ? {} : { headers: { who } })),
  },
  'limits-of-the-route': {
    filters: (site) => [
      filter(site, {
        token_bucket: bucket(100),
        descriptors: [descriptor({ who: '' }, 1), descriptor({ generic_key: 'host' }, 2)],
      }),
    ],
    route: () => ({ route: { rate_limits: [{ actions: [byWho] }] } }),
    virtualHost: { rate_limits: [{ actions: [generic('host')] }] },
    steps: [...times(2, { headers: { who: 'a' } }), ...times(3)],
  },
  'limits-of-the-host': {
    filters: (site) => [
      filter(site, { token_bucket: bucket(100), descriptors: [descriptor({ generic_key: 'host' }, 2)] }),
    ],
    virtualHost: { rate_limits: [{ actions: [generic('host')] }] },
    steps: times(3),
  },
  'limits-of-both': {
    filters: (site) => [
      filter(site, { token_bucket: bucket(100), descriptors: [descriptor({ generic_key: 'host' }, 2)] }),
    ],
    route: () => ({ route: { rate_limits: [{ actions: [byWho] }], include_vh_rate_limits: true } }),
    virtualHost: { rate_limits: [{ actions: [generic('host')] }] },
    steps: times(3),
  },
  'limits-of-both-by-the-filter': {
    filters: (site) => [
      filter(site, {
        token_bucket: bucket(100),
        descriptors: [descriptor({ generic_key: 'host' }, 2)],
        vh_rate_limits: 'INCLUDE',
      }),
    ],
    route: () => ({ route: { rate_limits: [{ actions: [byWho] }] } }),
    virtualHost: { rate_limits: [{ actions: [generic('host')] }] },
    steps: times(3),
  },
  'limits-of-no-host': {
    filters: (site) => [
      filter(site, {
        token_bucket: bucket(100),
        descriptors: [descriptor({ generic_key: 'host' }, 1)],
        vh_rate_limits: 'IGNORE',
      }),
    ],
    virtualHost: { rate_limits: [{ actions: [generic('host')] }] },
    steps: times(3),
  },
  stages: {
    filters: (site) => [
      filter(site, {
        token_bucket: bucket(100),
        stage: 2,
        descriptors: [descriptor({ generic_key: 'two' }, 1), descriptor({ generic_key: 'none' }, 1)],
      }),
    ],
    virtualHost: { rate_limits: [{ actions: [generic('none')] }, { stage: 2, actions: [generic('two')] }] },
    steps: times(3),
  },
  actions: {
    filters: (site) => [
      filter(site, {
        token_bucket: bucket(1_000),
        descriptors: [
          descriptor({ destination_cluster: 'actions' }, 40),
          descriptor({ remote_address: '127.0.0.1' }, 39),
          descriptor({ masked_remote_address: '127.0.0.0/8' }, 38),
          descriptor({ ':path': '/200,200?q=1' }, 3),
          descriptor({ header_match: 'no-a' }, 4),
          descriptor({ own: 'has-a' }, 5),
          descriptor({ query_match: 'q1' }, 6),
          descriptor({ a: 'x', b: 'y' }, 7),
          descriptor({ a: 'x' }, 8),
          descriptor({ meta: 'yes' }, 37),
          descriptor({ meta: 'fallback' }, 36),
        ],
        rate_limits: [
          { actions: [{ destination_cluster: {} }] },
          { actions: [{ remote_address: {} }] },
          { actions: [{ masked_remote_address: { v4_prefix_mask_len: 8 } }] },
          { actions: [byHeader(':path')] },
          {
            actions: [
              {
                header_value_match: {
                  descriptor_value: 'no-a',
                  expect_match: false,
                  headers: [{ name: 'a', present_match: true }],
                },
              },
            ],
          },
          {
            actions: [
              {
                header_value_match: {
                  descriptor_key: 'own',
                  descriptor_value: 'has-a',
                  headers: [{ name: 'a', string_match: { exact: 'x' } }],
                },
              },
            ],
          },
          {
            actions: [
              {
                query_parameter_value_match: {
                  descriptor_value: 'q1',
                  query_parameters: [{ name: 'q', string_match: { exact: '1' } }],
                },
              },
            ],
          },
          { actions: [byHeader('a'), byHeader('b', { skip_if_absent: true })] },
          {
            actions: [
              {
                metadata: {
                  descriptor_key: 'meta',
                  source: 'ROUTE_ENTRY',
                  metadata_key: { key: 'm', path: [{ key: 'a' }, { key: 'b' }] },
                },
              },
            ],
          },
          {
            actions: [
              {
                metadata: {
                  descriptor_key: 'meta',
                  default_value: 'fallback',
                  metadata_key: { key: 'm', path: [{ key: 'c' }] },
                },
              },
            ],
          },
        ],
      }),
    ],
    route: () => ({ metadata: { filter_metadata: { m: { a: { b: 'yes' } } } } }),
    steps: [
      ...times(4, { path: '/200,200?q=1', headers: { a: 'x' } }),
      ...times(4, { path: '/200,200?q=2', headers: { a: 'x', b: 'y' } }),
      ...times(3, { path: '/200,200?q=1', headers: { a: 'z' } }),
      ...times(3, { path: '/200,200?q=3' }),
      ...times(3, { headers: { a: 'x, x' } }),
    ],
  },
};

function siteOf(name: string, { filters, route, virtualHost = {} }: LimitCase): EngineSite {
  const { route: action, ...more } = (route?.(name) ?? {}) as { readonly route?: Json };
  const one = { match: { prefix: '/' }, route: { cluster: name, ...action }, ...more };
  const table = { name, virtual_hosts: [{ name: 'all', domains: ['*'], routes: [one], ...virtualHost }] };
  const router = named('router', 'envoy.extensions.filters.http.router.v3.Router');
  return { name, manager: { route_config: table, http_filters: [...filters(name), router] } };
}

/** Seconds that count down are told to ten minutes. */
function shown({ status, headers, body }: EngineAnswer): object {
  const told = Object.entries(headers).flatMap(([name, value]) => {
    if (!/^(x-(?!envoy-upstream)|retry-after|content-|grpc-)/.test(name)) return [];
    const counts = name === 'retry-after' || name === 'x-ratelimit-reset';
    return [[name, counts ? Math.round(Number(value) / 600) : value]];
  });
  // The server tells the headers that it got.
  const over = status === 200 && body.includes('"x-over"');
  return { status, headers: Object.fromEntries(told), over, body: status === 200 ? '' : body };
}

describe('local rate limits as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  let engines: Engines;
  before(async () => {
    engines = await Engines.start(() => Object.entries(cases).map(([name, one]) => siteOf(name, one)));
  });
  after(() => engines[Symbol.asyncDispose]());

  for (const [name, { steps }] of Object.entries(cases)) {
    it(name, async () => {
      for (const [i, { path = '/200', ...step }] of steps.entries()) {
        const [envoy, ours] = await engines.ask(name, path, step);
        assert.deepEqual(shown(ours), shown(envoy), `request ${i} (${path} ${JSON.stringify(step)})`);
      }
      const [envoy, ours] = await engines.stats(new RegExp(`^${name}\\.http_local_rate_limit\\.`));
      for (const [counter, value] of envoy) assert.equal(ours.get(counter) ?? 0, value, counter);
    });
  }
});
