/** Where a cluster's hosts come from. */
import { millis } from '../../../common/core/brand.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import type { Discovery, DnsFamily } from '../config.ts';
import { readAssignment } from './assignment.ts';

const empty: Discovery = {
  kind: 'static',
  assignment: { endpoints: [], localities: [], overprovisioning: 140, weightedPriorityHealth: false, drops: [] },
};

export function readDiscovery(cluster: Fields): Discovery {
  const custom = cluster.message('cluster_type');
  if (custom) cluster.mistake('cluster_type', `${custom.text('name')} is not supported`);
  const kind = cluster.choice('type', 'STATIC', {
    STATIC: 'static',
    EDS: 'eds',
    STRICT_DNS: 'strict',
    LOGICAL_DNS: 'logical',
    ORIGINAL_DST: 'original-dst',
  } as const);
  switch (kind) {
    case undefined:
      return empty;
    case 'static':
      return readStatic(cluster);
    case 'eds':
      return readEds(cluster);
    case 'strict':
    case 'logical':
      return readDns(cluster, kind);
    case 'original-dst':
      return readOriginal(cluster);
  }
}

function readStatic(cluster: Fields): Discovery {
  const assignment = cluster.message('load_assignment');
  if (!assignment) return empty;
  const read = readAssignment(assignment);
  const name = read.names[0]?.host;
  if (name !== undefined) assignment.mistake('endpoints', `${name} is no IP address; type STATIC takes no names`);
  return { kind: 'static', assignment: read.assignment };
}

function readEds(cluster: Fields): Discovery {
  const eds = cluster.message('eds_cluster_config');
  const source = eds?.message('eds_config');
  // How long a cluster waits for its first hosts; only V3 exists.
  source?.harmless('initial_fetch_timeout', 'resource_api_version');
  if (!source) cluster.mistake('eds_cluster_config', 'eds_config is missing');
  else if (!source.message('ads')) source.mistake('config_source_specifier', 'only ads is supported');
  return { kind: 'eds', serviceName: eds?.text('service_name') || cluster.text('name'), source: 'ads' };
}

const families: Readonly<Record<string, DnsFamily>> = {
  AUTO: 'auto',
  V4_ONLY: 'v4',
  V6_ONLY: 'v6',
  V4_PREFERRED: 'v4-preferred',
  ALL: 'all',
};

function readDns(cluster: Fields, mode: 'strict' | 'logical'): Discovery {
  // The system's resolver is asked, by UDP or TCP as it sees fit; c-ares is Envoy's way to the same.
  const resolver = cluster.message('typed_dns_resolver_config');
  if (resolver) {
    resolver.harmless('name');
    resolver.message('typed_config');
  }
  const load = cluster.message('load_assignment');
  if (!load) cluster.mistake('load_assignment', 'is missing');
  const { assignment, names } = load
    ? readAssignment(load)
    : { assignment: (empty as Extract<Discovery, { kind: 'static' }>).assignment, names: [] };
  if (mode === 'logical' && assignment.endpoints.length + names.length !== 1) {
    cluster.mistake('load_assignment', 'type LOGICAL_DNS has exactly one endpoint');
  }
  const given = cluster.duration('dns_refresh_rate', 1);
  const refresh = given ?? millis(5_000);
  const failure = cluster.message('dns_failure_refresh_rate');
  const base = failure?.duration('base_interval', 1);
  const max = failure?.duration('max_interval', 1);
  if (base !== undefined && max !== undefined && max < base) failure!.mistake('max_interval', 'is below base_interval');
  return {
    kind: 'dns',
    mode,
    names,
    assignment,
    refresh,
    failureRefresh: { base: base ?? refresh, max: max ?? millis(base === undefined ? refresh : base * 10) },
    respectTtl: cluster.flag('respect_dns_ttl'),
    family: cluster.choice('dns_lookup_family', 'AUTO', families) ?? 'auto',
  };
}

function readOriginal(cluster: Fields): Discovery {
  if (cluster.message('load_assignment')) cluster.mistake('load_assignment', 'type ORIGINAL_DST has none');
  const config = cluster.message('original_dst_lb_config');
  const useHeader = config?.flag('use_http_header') ?? false;
  const header = config?.text('http_header_name') ?? '';
  if (!useHeader && header !== '') config!.mistake('http_header_name', 'is given, but use_http_header is false');
  const key = config?.message('metadata_key');
  return {
    kind: 'original-dst',
    header: useHeader ? (header || 'x-envoy-original-dst-host').toLowerCase() : undefined,
    metadata: key && { namespace: key.text('key'), path: key.list('path').map((segment) => segment.text('key')) },
    port: config?.wrapped('upstream_port_override', 0, 65_535),
    cleanup: cluster.duration('cleanup_interval', 0.001) ?? millis(5_000),
  };
}
