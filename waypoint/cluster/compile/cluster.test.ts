import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeEnvoy, encodeEnvoy, typeUrl } from '../../../common/envoy/codec.ts';
import { compileAssignment } from './assignment.ts';
import { compileCluster } from './cluster.ts';

const clusterType = typeUrl('envoy.config.cluster.v3.Cluster');
const assignmentType = typeUrl('envoy.config.endpoint.v3.ClusterLoadAssignment');
const httpOptions = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const ads = { ads: {}, resource_api_version: 'V3' };

function compiled(cluster: object) {
  const decoded = decodeEnvoy(
    clusterType,
    encodeEnvoy(Object.assign({ '@type': clusterType }, { name: 'web' }, cluster)),
  );
  assert.ok(decoded.kind === 'ok');
  return compileCluster(decoded.value);
}

function checked(cluster: object) {
  const result = compiled(cluster);
  if (result.kind === 'rejected') assert.fail(result.reason);
  return result.value;
}

function reason(cluster: object): string {
  const result = compiled(cluster);
  assert.equal(result.kind, 'rejected');
  return result.kind === 'rejected' ? result.reason : '';
}

describe('a cluster', () => {
  test("with nothing but a name has Envoy's defaults", () => {
    const cluster = checked({});
    assert.deepEqual(cluster.discovery, {
      kind: 'static',
      assignment: { endpoints: [], localities: [], overprovisioning: 140, weightedPriorityHealth: false, drops: [] },
    });
    assert.equal(cluster.connectTimeout, 5_000);
    assert.deepEqual(cluster.balancing.policy, { kind: 'round-robin', slowStart: undefined });
    assert.equal(cluster.balancing.panicThreshold, 50);
    assert.deepEqual(cluster.breakers.default, {
      connections: 1_024,
      pending: 1_024,
      requests: 1_024,
      retries: 3,
      retryBudget: undefined,
    });
    assert.equal(cluster.outliers, undefined);
    assert.equal(cluster.protocol.idle, 3_600_000);
    assert.equal(cluster.bufferLimit, undefined);
    assert.deepEqual(cluster.transport, { kind: 'raw' });
  });

  test('of EDS with HTTP/2, breakers, outlier detection and locality weights, as DestinationRules make them', () => {
    const cluster = checked({
      type: 'EDS',
      eds_cluster_config: { eds_config: ads, service_name: 'other' },
      alt_stat_name: 'short',
      connect_timeout: { seconds: 10 },
      lb_policy: 'LEAST_REQUEST',
      circuit_breakers: { thresholds: [{ max_connections: { value: 10 }, max_retries: { value: 4_294_967_295 } }] },
      outlier_detection: { consecutive_5xx: { value: 0 }, max_ejection_percent: {}, interval: { seconds: 1 } },
      common_lb_config: { healthy_panic_threshold: {}, locality_weighted_lb_config: {} },
      typed_extension_protocol_options: {
        [httpOptions]: {
          '@type': typeUrl(httpOptions),
          common_http_protocol_options: { idle_timeout: {}, max_requests_per_connection: { value: 7 } },
          explicit_http_config: { http2_protocol_options: { max_concurrent_streams: { value: 100 } } },
        },
      },
      upstream_connection_options: { tcp_keepalive: { keepalive_time: { value: 300 } } },
    });
    assert.deepEqual(cluster.discovery, { kind: 'eds', serviceName: 'other', source: 'ads' });
    assert.equal(cluster.statName, 'short');
    assert.equal(cluster.breakers.default.connections, 10);
    assert.equal(cluster.breakers.high.connections, 1_024);
    assert.equal(cluster.outliers!.consecutive5xx.failures, 0);
    assert.equal(cluster.outliers!.maxEjectedPercent, 0);
    assert.deepEqual(cluster.balancing.locality, { kind: 'weighted' });
    assert.equal(cluster.balancing.panicThreshold, 0);
    assert.deepEqual(cluster.protocol.use, { kind: 'http2' });
    assert.equal(cluster.protocol.http2.streams, 100);
    assert.equal(cluster.protocol.idle, undefined);
    assert.equal(cluster.protocol.maxRequests, 7);
    assert.equal(cluster.keepalive!.idle, 300);
  });

  test('to an internal listener passes metadata; the way out of a waypoint is ORIGINAL_DST with TLS by SDS', () => {
    const rawBuffer = 'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer';
    const internal = 'envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport';
    const raw = { name: 'raw', typed_config: { '@type': typeUrl(rawBuffer) } };
    const encap = checked({
      transport_socket: {
        name: 'internal',
        typed_config: {
          '@type': typeUrl(internal),
          passthrough_metadata: [{ kind: { host: {} }, name: 'envoy.filters.listener.original_dst' }],
          transport_socket: raw,
        },
      },
      load_assignment: {
        cluster_name: 'encap',
        endpoints: [
          {
            lb_endpoints: [
              { endpoint: { address: { envoy_internal_address: { server_listener_name: 'connect_originate' } } } },
            ],
          },
        ],
      },
    });
    assert.deepEqual(encap.transport, {
      kind: 'internal',
      passthrough: [{ from: 'host', namespace: 'envoy.filters.listener.original_dst' }],
      inner: { kind: 'raw' },
    });
    const tls = 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
    const originate = checked({
      type: 'ORIGINAL_DST',
      lb_policy: 'CLUSTER_PROVIDED',
      cleanup_interval: { seconds: 60 },
      original_dst_lb_config: {
        upstream_port_override: { value: 15_008 },
        metadata_key: { key: 'envoy.filters.listener.original_dst', path: [{ key: 'waypoint' }] },
      },
      transport_socket: {
        name: 'tls',
        typed_config: {
          '@type': typeUrl(tls),
          common_tls_context: {
            tls_params: { tls_minimum_protocol_version: 'TLSv1_3' },
            alpn_protocols: ['h2'],
            tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: ads }],
            combined_validation_context: {
              default_validation_context: {
                match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: 'spiffe://cluster.local/' } }],
              },
              validation_context_sds_secret_config: { name: 'ROOTCA', sds_config: ads },
            },
          },
        },
      },
    });
    assert.deepEqual(originate.discovery, {
      kind: 'original-dst',
      header: undefined,
      metadata: { namespace: 'envoy.filters.listener.original_dst', path: ['waypoint'] },
      port: 15_008,
      cleanup: 60_000,
    });
    assert.ok(originate.transport.kind === 'tls');
    const { minVersion, alpn, certificates, validation } = originate.transport.tls;
    assert.deepEqual(
      [minVersion, alpn, certificates, validation?.secret, validation?.defaults.sans],
      [
        'TLSv1.3',
        ['h2'],
        [{ kind: 'secret', secret: { name: 'default', source: { kind: 'ads' } } }],
        { name: 'ROOTCA', source: { kind: 'ads' } },
        [{ type: 'uri', match: { kind: 'prefix', text: 'spiffe://cluster.local/', ignoreCase: false } }],
      ],
    );
  });

  test('of names keeps them, with what their addresses inherit', () => {
    const endpoint = { address: { socket_address: { address: 'db.example', port_value: 5432 } } };
    const { discovery } = checked({
      type: 'STRICT_DNS',
      dns_refresh_rate: { seconds: 60 },
      dns_failure_refresh_rate: { base_interval: { seconds: 1 } },
      respect_dns_ttl: true,
      load_assignment: { cluster_name: 'x', endpoints: [{ priority: 1, lb_endpoints: [{ endpoint }] }] },
    });
    assert.ok(discovery.kind === 'dns');
    assert.deepEqual(discovery.failureRefresh, { base: 1_000, max: 10_000 });
    assert.deepEqual(
      discovery.names.map(({ host, port, endpoint: e }) => [host, port, e.hostname, e.locality]),
      [['db.example', 5_432, 'db.example', 0]],
    );
    assert.match(reason({ type: 'LOGICAL_DNS', load_assignment: { cluster_name: 'x' } }), /exactly one endpoint/);
  });

  test('by load_balancing_policy: the first that is known, with subsets and locality weights around it', () => {
    const folder = 'envoy.extensions.load_balancing_policies';
    const policy = (name: string, config: object = {}) => ({
      policies: [
        { typed_extension_config: { name: 'x', typed_config: { '@type': typeUrl(`${folder}.${name}`), ...config } } },
      ],
    });
    const maglev = policy('maglev.v3.Maglev', { table_size: { value: 101 } });
    const subset = policy('subset.v3.Subset', {
      fallback_policy: 'ANY_ENDPOINT',
      subset_selectors: [{ keys: ['v', 'a'], fallback_policy: 'KEYS_SUBSET', fallback_keys_subset: ['a'] }],
      allow_redundant_keys: true,
      subset_lb_policy: maglev,
    });
    const cluster = checked({
      load_balancing_policy: policy('wrr_locality.v3.WrrLocality', { endpoint_picking_policy: subset }),
    });
    assert.deepEqual(cluster.balancing.policy, {
      kind: 'maglev',
      size: 101,
      keys: { useHostname: false, balanceFactor: 0 },
    });
    assert.deepEqual(cluster.balancing.locality, { kind: 'weighted' });
    assert.deepEqual(cluster.subsets?.selectors, [
      { keys: ['a', 'v'], singleHost: false, fallback: { kind: 'keys', keys: ['a'] } },
    ]);
    assert.equal(cluster.subsets?.redundantKeys, true);
    assert.match(
      reason({
        load_balancing_policy: {
          policies: [
            { typed_extension_config: { name: 'x', typed_config: { '@type': typeUrl('envoy.config.core.v3.Node') } } },
          ],
        },
      }),
      /none of .*core\.v3\.Node is supported/,
    );
  });

  const rejected: readonly (readonly [string, object, RegExp])[] = [
    [
      'an unknown kind',
      { cluster_type: { name: 'envoy.clusters.aggregate' } },
      /cluster_type: envoy.clusters.aggregate/,
    ],
    ['preconnecting', { preconnect_policy: {} }, /Cluster\.preconnect_policy: is not supported/],
    ['network filters', { filters: [{ name: 'x' }] }, /Cluster\.filters: is not supported/],
    ['EDS from elsewhere', { type: 'EDS', eds_cluster_config: { eds_config: { path: '/x' } } }, /only ads/],
    [
      'a table that is not prime',
      { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: { value: 100 } } },
      /not prime/,
    ],
    ["another policy's configuration", { maglev_lb_config: {} }, /Cluster\.maglev_lb_config/],
    [
      'a ring upside down',
      { lb_policy: 'RING_HASH', ring_hash_lb_config: { maximum_ring_size: { value: 8 } } },
      /above/,
    ],
    ['a policy of another type', { lb_policy: 'CLUSTER_PROVIDED' }, /goes with type ORIGINAL_DST/],
    [
      'HTTP/3',
      {
        typed_extension_protocol_options: {
          [httpOptions]: { '@type': typeUrl(httpOptions), explicit_http_config: { http3_protocol_options: {} } },
        },
      },
      /http3_protocol_options/,
    ],
    [
      'a health check without its kind',
      { health_checks: [{ timeout: { seconds: 1 }, interval: { seconds: 1 } }] },
      /health_checks\[0\]\.health_checker/,
    ],
    [
      'socket options',
      { upstream_bind_config: { source_address: { address: '127.0.0.1' }, freebind: { value: true } } },
      /upstream_bind_config\.freebind/,
    ],
    [
      'a name in a static cluster',
      {
        load_assignment: {
          cluster_name: 'x',
          endpoints: [
            { lb_endpoints: [{ endpoint: { address: { socket_address: { address: 'a.b', port_value: 1 } } } }] },
          ],
        },
      },
      /takes no names/,
    ],
    [
      'ejections that end before they begin',
      { outlier_detection: { base_ejection_time: { seconds: 9 }, max_ejection_time: { seconds: 1 } } },
      /smaller than base/,
    ],
  ];
  for (const [what, cluster, expected] of rejected) {
    test(`with ${what} is rejected by name`, () => assert.match(reason(cluster), expected));
  }

  test('all mistakes are told together', () => {
    assert.match(
      reason({ preconnect_policy: {}, filters: [{ name: 'x' }] }),
      /preconnect_policy.*; .*filters|filters.*; .*preconnect_policy/,
    );
  });
});

describe('a load assignment', () => {
  const compileIt = (assignment: object) => {
    const decoded = decodeEnvoy(assignmentType, encodeEnvoy(Object.assign({ '@type': assignmentType }, assignment)));
    assert.ok(decoded.kind === 'ok');
    return compileAssignment(decoded.value);
  };

  test('keeps health, weights, localities, priorities, metadata and drops', () => {
    const result = compileIt({
      cluster_name: 'web',
      endpoints: [
        {
          locality: { region: 'r', zone: 'z' },
          priority: 1,
          load_balancing_weight: { value: 3 },
          lb_endpoints: [
            {
              endpoint: { address: { socket_address: { address: '::1', port_value: 80 } }, hostname: 'h' },
              health_status: 'DEGRADED',
              load_balancing_weight: { value: 5 },
              metadata: { filter_metadata: { 'envoy.lb': { fields: { v: { stringValue: '1' } } } } },
            },
          ],
        },
      ],
      policy: { drop_overloads: [{ category: 'c', drop_percentage: { numerator: 5, denominator: 'TEN_THOUSAND' } }] },
    });
    assert.ok(result.kind === 'ok');
    const { assignment, clusterName } = result.value;
    assert.equal(clusterName, 'web');
    assert.deepEqual(assignment.localities, [
      { locality: { region: 'r', zone: 'z', subZone: '' }, priority: 1, weight: 3 },
    ]);
    const [endpoint] = assignment.endpoints;
    assert.deepEqual(
      [endpoint!.address, endpoint!.health, endpoint!.weight, endpoint!.metadata],
      [{ kind: 'ip', ip: '::1', port: 80 }, 'degraded', 5, { 'envoy.lb': { v: '1' } }],
    );
    assert.deepEqual(assignment.drops, [{ category: 'c', fraction: 0.0005 }]);
  });

  test('any object is compiled or rejected, never thrown at', () => {
    fc.assert(
      fc.property(fc.object({ maxDepth: 4 }), (object) => {
        for (const result of [compileAssignment(object), compileCluster(object)]) {
          if (result.kind === 'rejected') assert.ok(result.reason.length > 0);
        }
      }),
      { numRuns: 500 },
    );
    // The same with the real names.
    const names = [
      'endpoints',
      'lb_endpoints',
      'endpoint',
      'address',
      'socket_address',
      'locality',
      'policy',
      'priority',
      'load_assignment',
      'common_lb_config',
      'circuit_breakers',
      'thresholds',
      'health_checks',
      'http_health_check',
      'outlier_detection',
      'interval',
      'lb_subset_config',
      'subset_selectors',
      'keys',
      'metadata',
      'filter_metadata',
      'type',
    ];
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom(0, -1, '', 'EDS', null, true, 1.5),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...names), tie('any'), { maxKeys: 5 }),
      ),
    })).any;
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), value), (object) => {
        compileAssignment(object);
        compileCluster(object);
      }),
      { numRuns: 1_000 },
    );
  });
});
