/** envoy.config.route.v3.RouteAction: where a request goes, and how. */
import type { Fields } from '../../common/envoy/fields.ts';
import { type HeaderOps, readHeaderOps } from '../format/header-ops.ts';
import { readSubstitution } from '../match/regex.ts';
import { firstHeaderOf, type RequestView } from '../request/view.ts';
import { readHashPolicy } from './hash.ts';
import { type PathMatch, readRuntimeFraction } from './match.ts';
import type { PerFilterReader } from './per-filter.ts';
import { type RateLimit, readRateLimit } from './rate-limits.ts';
import { readRetry } from './retry.ts';
import { bindRewrite, readPathRewrite } from './rewrite.ts';
import type { ForwardRoute, HostRewrite, Mirror, PerFilter, RetryPolicy, Upgrade } from './types.ts';

export interface ForwardAction {
  readonly route: ForwardRoute;
  readonly limits: readonly RateLimit[];
  /** include_vh_rate_limits. */
  readonly includesHostLimits: boolean;
  choose(view: RequestView, random: () => number): ClusterChoice;
}

/** A cluster, with what an entry of weighted_clusters adds to its route. */
export interface ClusterChoice {
  readonly cluster: string;
  readonly hostRewrite: HostRewrite | undefined;
  readonly entryHost: string | undefined;
  readonly metadataMatch: Readonly<Record<string, unknown>> | undefined;
  readonly requestOps: HeaderOps | undefined;
  readonly responseOps: HeaderOps | undefined;
  readonly perFilter: ReadonlyMap<string, PerFilter>;
  /** The same for all requests that an entry of the configuration takes. */
  readonly entry: object;
}

/** What the virtual host says for routes that say nothing. */
export interface Inherited {
  readonly retry: RetryPolicy | undefined;
  readonly mirrors: readonly Mirror[];
  readonly attemptCount: ForwardRoute['attemptCount'];
  readonly bufferLimit: number | undefined;
}

export interface RouteExtras {
  readonly bufferLimit: number | undefined;
}

const notFound = { SERVICE_UNAVAILABLE: 503, NOT_FOUND: 404, INTERNAL_SERVER_ERROR: 500 } as const;

export function readForward(
  fields: Fields,
  match: PathMatch,
  inherited: Inherited,
  extras: RouteExtras,
  perFilter: PerFilterReader,
): ForwardAction {
  const hostRewrite = readHostRewrite(fields);
  const metadataMatch = readMetadataMatch(fields);
  const mirrors = fields.readAll('request_mirror_policies', readMirror);
  const route: ForwardRoute = {
    clusterNotFoundStatus: fields.choice('cluster_not_found_response_code', 'SERVICE_UNAVAILABLE', notFound) ?? 503,
    timeouts: readTimeouts(fields),
    retry: fields.read('retry_policy', readRetry) ?? inherited.retry,
    hashPolicy: readHashPolicy(fields),
    mirrors: mirrors.length > 0 ? mirrors : inherited.mirrors,
    upgrades: fields.readAll('upgrade_configs', readUpgrade),
    pathRewrite: bindRewrite(readPathRewrite(fields), match, (why) => fields.refusal('path_rewrite_policy', why)),
    match,
    appendForwardedHost: fields.flag('append_x_forwarded_host'),
    priority: fields.choice('priority', 'DEFAULT', { DEFAULT: 'default', HIGH: 'high' } as const) ?? 'default',
    attemptCount: inherited.attemptCount,
    bufferLimit: extras.bufferLimit ?? inherited.bufferLimit,
  };
  return {
    route,
    limits: fields.readAll('rate_limits', readRateLimit),
    includesHostLimits: fields.wrappedFlag('include_vh_rate_limits') ?? false,
    choose: readClusters(fields, { hostRewrite, metadataMatch }, perFilter),
  };
}

type FromRoute = Pick<ClusterChoice, 'hostRewrite' | 'metadataMatch'>;

function readClusters(fields: Fields, fromRoute: FromRoute, perFilter: PerFilterReader): ForwardAction['choose'] {
  const rest = { entryHost: undefined, requestOps: undefined, responseOps: undefined, perFilter: new Map(), entry: {} };
  const which = fields.which(
    'cluster',
    'cluster_header',
    'weighted_clusters',
    'cluster_specifier_plugin',
    'inline_cluster_specifier_plugin',
  );
  switch (which) {
    case 'cluster': {
      const cluster = fields.text(which);
      if (cluster === '') throw fields.refusal(which, 'is empty');
      const choice = { cluster, ...fromRoute, ...rest };
      return () => choice;
    }
    case 'cluster_header': {
      const name = fields.text(which).toLowerCase();
      if (name === '') throw fields.refusal(which, 'is empty');
      return (view) => ({ cluster: firstHeaderOf(view, name) ?? '', ...fromRoute, ...rest });
    }
    case 'weighted_clusters':
      return fields.required(which, (f) => readWeighted(f, fromRoute, perFilter));
    case undefined:
      throw fields.refusal('cluster_specifier', 'is missing');
    default:
      throw fields.unsupported(which);
  }
}

function readWeighted(fields: Fields, fromRoute: FromRoute, perFilter: PerFilterReader): ForwardAction['choose'] {
  // Weights come from here; there is no runtime layer that could change them.
  fields.harmless('runtime_key_prefix', 'total_weight');
  const header = fields.text('header_name').toLowerCase();
  let total = 0;
  const entries = fields.readAll('clusters', (f) => {
    total += f.wrapped('weight') ?? 0;
    const literal = f.text('host_rewrite_literal');
    const metadataMatch = readMetadataMatch(f);
    const clusterHeader = f.text('cluster_header').toLowerCase();
    const name = f.text('name');
    if ((name === '') === (clusterHeader === ''))
      throw f.refusal('name', 'or cluster_header, and not both, must be there');
    const choice: ClusterChoice = {
      cluster: name,
      hostRewrite: fromRoute.hostRewrite,
      entryHost: literal === '' ? undefined : literal,
      metadataMatch: mergeMatches(fromRoute.metadataMatch, metadataMatch),
      requestOps: readHeaderOps(f, 'request_headers_to_add', 'request_headers_to_remove'),
      responseOps: readHeaderOps(f, 'response_headers_to_add', 'response_headers_to_remove'),
      perFilter: perFilter(f),
      entry: {},
    };
    return { upTo: total, clusterHeader, choice };
  });
  if (total === 0) throw fields.refusal('clusters', 'have no weight: their sum must be above 0');
  if (total > 0xffff_ffff) throw fields.refusal('clusters', 'have a sum of weights above 4,294,967,295');
  return (view, random) => {
    const given = header === '' ? undefined : view.headers.first(header);
    const value =
      given !== undefined && /^\d{1,20}$/.test(given)
        ? Number(BigInt(given) % BigInt(total))
        : Math.floor(random() * total);
    const { clusterHeader, choice } = entries.find(({ upTo }) => value < upTo)!;
    return clusterHeader === '' ? choice : { ...choice, cluster: firstHeaderOf(view, clusterHeader) ?? '' };
  };
}

/** An entry's own labels win over its route's. */
function mergeMatches(
  outer: Readonly<Record<string, unknown>> | undefined,
  inner: Readonly<Record<string, unknown>> | undefined,
): Readonly<Record<string, unknown>> | undefined {
  return outer === undefined || inner === undefined ? (inner ?? outer) : { ...outer, ...inner };
}

/** What subset load balancing looks at: `envoy.lb` of the metadata. */
function readMetadataMatch(fields: Fields): Readonly<Record<string, unknown>> | undefined {
  return fields.read('metadata_match', (f) => readFilterMetadata(f)['envoy.lb']) as
    | Readonly<Record<string, unknown>>
    | undefined;
}

/** An envoy.config.core.v3.Metadata as JSON by filter. */
export function readFilterMetadata(fields: Fields): Readonly<Record<string, unknown>> {
  // Typed metadata is for extensions, which would be refused themselves.
  fields.harmless('typed_filter_metadata');
  return fields.message('filter_metadata')?.structs() ?? {};
}

function readHostRewrite(fields: Fields): HostRewrite | undefined {
  const which = fields.which(
    'host_rewrite_literal',
    'auto_host_rewrite',
    'host_rewrite_header',
    'host_rewrite_path_regex',
  );
  switch (which) {
    case 'host_rewrite_literal': {
      const host = fields.text(which);
      return host === '' ? undefined : { kind: 'literal', host };
    }
    case 'auto_host_rewrite':
      return fields.wrappedFlag(which) ? { kind: 'upstream' } : undefined;
    case 'host_rewrite_header':
      return { kind: 'header', name: fields.text(which).toLowerCase() };
    case 'host_rewrite_path_regex':
      return { kind: 'path', substitute: fields.required(which, readSubstitution) };
    case undefined:
      return undefined;
  }
}

function readTimeouts(fields: Fields): ForwardRoute['timeouts'] {
  const grpcMax = fields.duration('max_grpc_timeout');
  const grpcOffset = fields.duration('grpc_timeout_offset') ?? 0;
  return {
    response: fields.duration('timeout') ?? 15_000,
    idle: fields.duration('idle_timeout'),
    stream: fields.read('max_stream_duration', (f) => ({
      max: f.duration('max_stream_duration'),
      grpcHeaderMax: f.duration('grpc_timeout_header_max'),
      grpcHeaderOffset: f.duration('grpc_timeout_header_offset'),
    })),
    grpc: grpcMax === undefined ? undefined : { max: grpcMax, offset: grpcOffset },
  };
}

/** Reads a RequestMirrorPolicy. */
export function readMirror(fields: Fields): Mirror {
  fields.harmless('trace_sampled');
  const [name, header] = [fields.text('cluster'), fields.text('cluster_header').toLowerCase()];
  if ((name === '') === (header === ''))
    throw fields.refusal('cluster', 'or cluster_header, and not both, must be there');
  return {
    cluster: name === '' ? { kind: 'header', header } : { kind: 'name', name },
    perMillion: fields.read('runtime_fraction', readRuntimeFraction) ?? 1_000_000,
    appendsShadowSuffix: !fields.flag('disable_shadow_host_suffix_append'),
  };
}

function readUpgrade(fields: Fields): Upgrade {
  const type = fields.text('upgrade_type').toLowerCase();
  const enabled = fields.wrappedFlag('enabled') ?? true;
  const terminatesConnect = fields.read('connect_config', () => true) ?? false;
  if (terminatesConnect && type !== 'connect')
    throw fields.refusal('connect_config', `is for CONNECT only, not ${type}`);
  return { type, enabled, terminatesConnect };
}
