import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MeshError } from '../../common/core/errors.ts';
import { writeCaFolder } from '../../common/testing/ca-folder.ts';
import { UsageError } from '../arguments.ts';
import { chosenClusters, clusterTable } from './clusters.ts';
import { parseClusterStatuses, parseEnvoyDump } from './dump.ts';
import { endpointTable } from './endpoints.ts';
import { chosenListeners, listenerTable, waypointListenerTable } from './listeners.ts';
import { levelQuery } from './log.ts';
import { rootsOf } from './roots.ts';
import { domainsOf, routeTable } from './routes.ts';
import { secretTable } from './secrets.ts';

const rule = (path: string) => ({ metadata: { filter_metadata: { istio: { config: path } } } });
const hcm = (config: object) => ({ name: 'envoy.filters.network.http_connection_manager', typed_config: config });
const tcp = (cluster: string) => ({ name: 'envoy.filters.network.tcp_proxy', typed_config: { cluster } });
const to = (name: string) => ({ action: { name } });

const dump = parseEnvoyDump(
  'test',
  JSON.stringify({
    configs: [
      { bootstrap: { node: { id: 'x' } } },
      {
        static_clusters: [{ cluster: { name: 'xds-grpc', type: 'STATIC' } }],
        dynamic_active_clusters: [
          {
            cluster: {
              name: 'outbound|80|v1|web.shop.svc',
              type: 'EDS',
              ...rule('/apis/networking.istio.io/v1/namespaces/shop/destination-rule/web'),
            },
          },
          { cluster: { name: 'outbound|443||api.svc', cluster_type: { name: 'envoy.clusters.dns' } } },
        ],
      },
      {
        dynamic_listeners: [
          {
            name: 'a',
            active_state: {
              listener: {
                name: 'a',
                address: { socket_address: { address: '0.0.0.0', port_value: 80 } },
                filter_chains: [
                  {
                    filter_chain_match: { transport_protocol: 'tls', server_names: ['x.y'] },
                    filters: [tcp('outbound|443||api.svc')],
                  },
                  {
                    filter_chain_match: {
                      prefix_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }],
                      destination_port: 7,
                    },
                    filters: [hcm({ rds: { route_config_name: '80' } })],
                  },
                ],
                default_filter_chain: { filters: [tcp('BlackHoleCluster')] },
              },
            },
          },
          {
            name: 'main',
            active_state: {
              listener: {
                name: 'main',
                filter_chain_matcher: {
                  matcher_tree: {
                    input: { name: 'ip' },
                    custom_match: {
                      typed_config: {
                        range_matchers: [
                          {
                            ranges: [
                              { address_prefix: '10.1.0.1', prefix_len: 32 },
                              { address_prefix: '10.2.0.0', prefix_len: 16 },
                            ],
                            on_match: {
                              matcher: {
                                matcher_tree: { input: { name: 'port' }, exact_match_map: { map: { 80: to('web') } } },
                              },
                            },
                          },
                        ],
                      },
                    },
                  },
                  on_no_match: to('rest'),
                },
                filter_chains: [
                  {
                    name: 'web',
                    filters: [
                      hcm({
                        route_config: {
                          virtual_hosts: [
                            { domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'c' } }] },
                          ],
                        },
                      }),
                    ],
                  },
                  { name: 'rest', filters: [] },
                  { name: 'orphan', filters: [] },
                ],
              },
            },
          },
        ],
      },
      {
        dynamic_route_configs: [
          {
            route_config: {
              name: '80',
              virtual_hosts: [
                {
                  name: 'web',
                  domains: ['web', 'web.shop', 'web.shop.svc', 'web:80'],
                  routes: [
                    {
                      match: { prefix: '/a' },
                      route: { cluster: 'c' },
                      ...rule('/apis/networking.istio.io/v1/namespaces/shop/virtual-service/web'),
                    },
                    { match: { prefix: '/' }, route: { cluster: 'PassthroughCluster' } },
                  ],
                },
                { name: 'empty', domains: ['*'] },
              ],
            },
          },
        ],
      },
      { dynamic_active_secrets: [{ name: 'none', secret: {} }] },
    ],
  }),
);

test('clusters by host, with the rule that made them', () => {
  assert.deepEqual(clusterTable(chosenClusters(dump.clusters, {})).rows, [
    ['api.svc', '443', '-', 'outbound', 'envoy.clusters.dns', ''],
    ['web.shop.svc', '80', 'v1', 'outbound', 'EDS', 'web.shop'],
    ['xds-grpc', '-', '-', '-', 'STATIC', ''],
  ]);
  const names = (filter: object) => chosenClusters(dump.clusters, filter).map((c) => c['name']);
  assert.deepEqual(names({ port: '443' }), ['outbound|443||api.svc']);
  assert.deepEqual(names({ fqdn: 'web', subset: 'v1', direction: 'outbound' }), ['outbound|80|v1|web.shop.svc']);
});

test('listeners by address, and by the ways of a matcher', () => {
  const [main, a] = chosenListeners(dump.listeners, {});
  assert.deepEqual(listenerTable([a!], true).rows, [
    ['0.0.0.0', '80', 'Addr: 10.0.0.0/8:7', 'Route: 80'],
    ['0.0.0.0', '80', 'ALL', 'Non-HTTP/Non-TCP'],
    ['0.0.0.0', '80', 'SNI: x.y; Trans: tls', 'Cluster: outbound|443||api.svc'],
  ]);
  assert.deepEqual(listenerTable([a!], false).rows, [['0.0.0.0', '80', 'HTTP+TCP']]);
  assert.deepEqual(waypointListenerTable([main!]).rows, [
    ['envoy://main', 'web', 'ip=10.1.0.1 -> port=80', 'Cluster: c'],
    ['envoy://main', 'web', 'ip=10.2.0.0/16 -> port=80', 'Cluster: c'],
    ['envoy://main', 'rest', 'UNMATCHED', 'Non-HTTP/Non-TCP'],
    ['envoy://main', 'orphan', 'NONE', 'Non-HTTP/Non-TCP'],
  ]);
  assert.deepEqual(chosenListeners(dump.listeners, { type: 'http+tcp', port: '80', address: '0.0.0.0' }), [a]);
});

test('routes', () => {
  assert.deepEqual(routeTable(dump.routes, true).rows, [
    ['80', 'web', 'web, web.shop', '/a*', 'web.shop'],
    ['80', 'empty', '*', '/*', '404'],
  ]);
  assert.deepEqual(routeTable(dump.routes, false).rows, [['80', '2']]);
  assert.equal(domainsOf(['a', 'b', 'c', '[fd00::1]', '[fd00::1]:80']), 'a, b + 2 more...');
});

test('endpoints of every kind of address', () => {
  const statuses = parseClusterStatuses(
    'test',
    JSON.stringify({
      cluster_statuses: [
        {
          name: 'c',
          host_statuses: [
            {
              address: { socket_address: { address: '10.0.0.1', port_value: 80 } },
              health_status: { eds_health_status: 'HEALTHY', failed_outlier_check: true },
            },
            { address: { envoy_internal_address: { server_listener_name: 'l', endpoint_id: 'e' } } },
            { address: { pipe: { path: '/x' } } },
          ],
        },
      ],
    }),
  );
  assert.deepEqual(endpointTable(statuses, {}).rows, [
    ['10.0.0.1:80', 'HEALTHY', 'FAILED', 'c'],
    ['envoy://l/e', 'UNKNOWN', 'OK', 'c'],
    ['unix:///x', 'UNKNOWN', 'OK', 'c'],
  ]);
  assert.equal(endpointTable(statuses, { status: 'healthy', port: '80' }).rows.length, 1);
});

test('a secret without a certificate is shown as such', () => {
  assert.deepEqual(secretTable(dump.secrets, 0).rows, [['none', '', 'ACTIVE', 'false', '', '', '']]);
});

test('mistakes', () => {
  assert.throws(
    () => parseEnvoyDump('f', '{"workloads":[]}'),
    (e) => e instanceof MeshError && /ztunnel-config/.test(e.message),
  );
  assert.throws(() => parseClusterStatuses('f', 'x'), /f: this is no JSON object/);
  assert.deepEqual(
    [levelQuery('debug'), levelQuery('http:debug,redis:off')],
    ['?level=debug', '?paths=http%3Adebug%2Credis%3Aoff'],
  );
  assert.throws(() => levelQuery('http:loud'), UsageError);
  assert.throws(() => levelQuery('http:debug,info'), UsageError);
});

test('the roots that a proxy trusts, all of them, whatever stands between', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'aq-roots-'));
  const root = async () => {
    await writeCaFolder(folder.path);
    return readFileSync(join(folder.path, 'root-cert.pem'), 'utf8');
  };
  const [old, next] = [await root(), await root()];
  const trusting = (pem: string) => {
    const trusted_ca = { inline_bytes: Buffer.from(pem).toString('base64') };
    const secret = { name: 'ROOTCA', secret: { validation_context: { trusted_ca } } };
    return rootsOf('x', parseEnvoyDump('x', JSON.stringify({ configs: [{ dynamic_active_secrets: [secret] }] })));
  };
  const both = trusting(`${old}# the next one\n${next}`);
  assert.deepEqual([...both].sort(), [...trusting(old), ...trusting(next)].sort());
  assert.equal(both.size, 2);
  assert.throws(() => trusting(''), /x has no secret ROOTCA yet/);
  assert.throws(() => rootsOf('x', dump), MeshError);
});
