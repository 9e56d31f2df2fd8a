/**
 * What istiod makes of random routes of both APIs, Envoy takes: on the wire, so that numbers of fields count, not only names. Also says
 * which parts of Envoy's API came up.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { decodeEnvoy, encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import type { RouteContext } from '../../istiod/envoy/inputs.ts';
import type { Route } from '../../istiod/envoy/routes/envoy.ts';
import { httpRoutesOf } from '../../istiod/envoy/routes/http.ts';
import { routeObjects } from '../../istiod/envoy/routes/testing/arbitrary.ts';
import { clientContext, service, viewOf, waypointContext } from '../../istiod/envoy/routes/testing/view.ts';
import { perFilterTypes } from '../../waypoint/filters/kinds.ts';
import { compileRoutes } from '../../waypoint/route/table.ts';
import { envoyPath, skipWithoutEnvoy } from '../harness/envoy.ts';

const services = [service('shop/web:http=80'), service('shop/v2:http=80'), service('pay/api:grpc=9000')];
const web = services[0]!;
const hash = () => ({ httpHeaderName: 'x-a' });

/** One after another, as istiod would make them for these proxies. */
const contexts: readonly ((view: ReturnType<typeof viewOf>) => RouteContext)[] = [
  (view) => waypointContext(view, web, 80),
  (view) => waypointContext(view, web, 80, { hash }),
  (view) => clientContext(view, web, 80, 'pay', { a: 'b' }),
  (view) => ({ ...clientContext(view, web, 80, 'shop', {}), dialect: 'grpc' }),
];

/** The same ones each time, of which it is known that they have every part, and others. */
const samples = [
  ...fc.sample(routeObjects, { seed: 1, numRuns: 100 }),
  ...fc.sample(routeObjects, process.env['TEST_LONG'] === '1' ? 2_000 : 20),
];
const random = samples.flatMap((objects) => {
  const view = viewOf(services, objects);
  return contexts.map((context) => ({ objects, routes: httpRoutesOf(context(view)).routes }));
});

function configuration(routes: readonly Route[], name: string) {
  return {
    '@type': typeUrl('envoy.config.route.v3.RouteConfiguration'),
    name,
    virtual_hosts: [{ name: 'all', domains: ['*'], routes }],
    validate_clusters: { value: false },
    max_direct_response_body_size_bytes: { value: 1 << 20 },
  };
}

describe('routes that istiod makes', () => {
  it('are what the codec reads again', () => {
    for (const { routes, objects } of random) {
      const config = configuration(routes, 'x');
      const bytes = encodeEnvoy(config);
      const decoded = decodeEnvoy(config['@type'], bytes);
      assert.equal(decoded.kind, 'ok', JSON.stringify(objects));
      assert.ok(decoded.kind === 'ok' && encodeEnvoy(decoded.value).equals(bytes), JSON.stringify(objects));
    }
  });

  it('come with all the parts that generators know', (t) => {
    const seen = new Map<string, number>();
    for (const { routes } of random) for (const route of routes) collect(route, '', seen);
    t.diagnostic(`parts: ${[...seen].map(([part, count]) => `${part} ${count}`).join(', ')}`);
    const missing = parts.filter((part) => !seen.has(part));
    assert.deepEqual(missing, []);
  });

  it('are taken by our waypoint', () => {
    for (const { routes, objects } of random) {
      const config = configuration(routes, 'x');
      const decoded = decodeEnvoy(config['@type'], encodeEnvoy(config));
      assert.ok(decoded.kind === 'ok');
      const table = compileRoutes(decoded.value, perFilterTypes);
      assert.equal(table.kind === 'ok' ? '' : table.reason, '', JSON.stringify(objects));
    }
  });

  it('are taken by Envoy', { skip: skipWithoutEnvoy() }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'aq-routes-'));
    try {
      const path = join(folder, 'bootstrap.pb');
      writeFileSync(path, encodeEnvoy(bootstrap(random.map(({ routes }) => routes))));
      const args = ['--mode', 'validate', '--config-path', path, '--log-level', 'error'];
      const { stdout } = await promisify(execFile)(envoyPath(), args);
      assert.match(stdout, /OK/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

function bootstrap(all: readonly (readonly Route[])[]) {
  const any = (name: string, rest: object = {}) => ({ '@type': typeUrl(name), ...rest });
  const filter = (name: string, message: string) => ({ name, typed_config: any(message) });
  const listeners = all.map((routes, i) => ({
    name: `l${i}`,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      {
        filters: [
          {
            name: 'hcm',
            typed_config: any('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
              stat_prefix: `l${i}`,
              route_config: { ...configuration(routes, `r${i}`), '@type': undefined },
              http_filters: [
                filter('envoy.filters.http.cors', 'envoy.extensions.filters.http.cors.v3.Cors'),
                filter('envoy.filters.http.fault', 'envoy.extensions.filters.http.fault.v3.HTTPFault'),
                filter('envoy.filters.http.router', 'envoy.extensions.filters.http.router.v3.Router'),
              ],
            }),
          },
        ],
      },
    ],
  }));
  return any('envoy.config.bootstrap.v3.Bootstrap', { static_resources: { listeners } });
}

/** Fields of a route and of what it holds, to a depth that tells branches of the generators apart. */
function collect(value: object, path: string, seen: Map<string, number>): void {
  for (const [field, inner] of Object.entries(value)) {
    if (field === 'metadata') continue;
    const part = path === '' ? field : `${path}.${field}`;
    seen.set(part, (seen.get(part) ?? 0) + 1);
    if (part.split('.').length >= 2 || typeof inner !== 'object') continue;
    for (const one of Array.isArray(inner) ? inner : [inner]) if (typeof one === 'object') collect(one, part, seen);
  }
}

const parts = [
  ...['path', 'prefix', 'path_separated_prefix', 'safe_regex', 'case_sensitive', 'headers', 'query_parameters'],
  ...['dynamic_metadata', 'filter_state', 'runtime_fraction'],
]
  .map((field) => `match.${field}`)
  .concat(
    ['cluster', 'weighted_clusters', 'cluster_not_found_response_code', 'prefix_rewrite', 'regex_rewrite'].map(
      (field) => `route.${field}`,
    ),
    [
      'host_rewrite_literal',
      'timeout',
      'max_grpc_timeout',
      'max_stream_duration',
      'retry_policy',
      'request_mirror_policies',
      'hash_policy',
    ].map((field) => `route.${field}`),
    ['host_redirect', 'scheme_redirect', 'port_redirect', 'path_redirect', 'prefix_rewrite', 'response_code'].map(
      (field) => `redirect.${field}`,
    ),
    ['status', 'body'].map((field) => `direct_response.${field}`),
    ['request_headers_to_add', 'request_headers_to_remove', 'response_headers_to_add', 'response_headers_to_remove'],
    ['stat_prefix', 'decorator', 'typed_per_filter_config'],
  );
