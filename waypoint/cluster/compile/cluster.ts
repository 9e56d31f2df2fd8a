/** envoy.config.cluster.v3.Cluster, checked: what is not honoured is rejected by its name. */
import { millis } from '../../../common/core/brand.ts';
import { Fields } from '../../../common/envoy/fields.ts';
import type { Compiled } from '../compiled.ts';
import type { CheckedCluster } from '../config.ts';
import { readBalancing } from './balancing.ts';
import { readBreakers } from './breakers.ts';
import { readDiscovery } from './discovery.ts';
import { readHealthChecks } from './health.ts';
import { readMetadata } from './metadata.ts';
import { readOutliers } from './outliers.ts';
import { readProtocol } from './protocol.ts';
import { readTransport } from './transport.ts';

/** `resource` as `decodeEnvoy` decodes it. */
export function compileCluster(resource: object): Compiled<CheckedCluster> {
  const fields = new Fields(resource, 'Cluster');
  const cluster = readCluster(fields);
  const mistakes = fields.finish();
  if (mistakes.length > 0) return { kind: 'rejected', reason: mistakes.join('; ') };
  return { kind: 'ok', value: cluster };
}

function readCluster(fields: Fields): CheckedCluster {
  fields.harmless('track_cluster_stats', 'track_timeout_budgets', 'cleanup_interval');
  const name = fields.text('name');
  if (name === '') fields.mistake('name', 'is empty');
  const common = fields.message('common_lb_config');
  const options = fields.message('upstream_connection_options');
  options?.harmless('set_local_interface_name_on_upstream_connections');
  const keepalive = options?.message('tcp_keepalive');
  const discovery = readDiscovery(fields);
  const balancing = readBalancing(fields, discovery.kind === 'original-dst');
  const { policy } = balancing.balancing;
  if ('keys' in policy && policy.keys.useHostname && !(discovery.kind === 'dns' && discovery.mode === 'strict')) {
    fields.mistake('common_lb_config', 'use_hostname_for_hashing goes with type STRICT_DNS only');
  }
  return {
    name,
    statName: fields.text('alt_stat_name') || name,
    discovery,
    connectTimeout: fields.duration('connect_timeout', 0.001) ?? millis(5_000),
    ...balancing,
    ...readBreakers(fields),
    outliers: readOutliers(fields),
    healthChecks: readHealthChecks(fields),
    protocol: readProtocol(fields),
    transport: readTransport(fields, 'transport_socket'),
    transportMatches: fields.list('transport_socket_matches').map((match) => ({
      name: match.text('name'),
      match: match.struct('match') ?? {},
      transport: readTransport(match, 'transport_socket'),
    })),
    keepalive: keepalive && {
      idle: keepalive.wrapped('keepalive_time'),
      interval: keepalive.wrapped('keepalive_interval'),
      probes: keepalive.wrapped('keepalive_probes'),
    },
    bufferLimit: fields.wrapped('per_connection_buffer_limit_bytes') || undefined,
    bind: readBind(fields),
    metadata: readMetadata(fields, 'metadata'),
    closeOnHealthFailure: fields.flag('close_connections_on_host_health_failure'),
    closeOnHostChange: common?.flag('close_connections_on_host_set_change') ?? false,
    ignoreHealthOnRemoval: fields.flag('ignore_health_on_host_removal'),
    poolPerDownstreamConnection: fields.flag('connection_pool_per_downstream_connection'),
  };
}

function readBind(fields: Fields): CheckedCluster['bind'] {
  const bind = fields.message('upstream_bind_config');
  const source = bind?.message('source_address');
  if (!source) return undefined;
  const ip = source.text('address');
  const port = source.number('port_value', 0, 65_535);
  return { ip, port };
}
