/** Where requests go: names of services to clusters, and what of a forwarding route both APIs have in common. */
import type { ConsistentHash } from '../../../common/kube/kinds/istio/traffic-policy.ts';
import type { RouteContext, RouteTarget } from '../inputs.ts';
import { outboundCluster } from '../names.ts';
import type {
  ClusterWeight,
  Duration,
  Extension,
  HashPolicy,
  HeaderChanges,
  MirrorPolicy,
  PerFilter,
  RegexRewrite,
  RetryPolicy,
  RouteAction,
} from './envoy.ts';
import { sessionFilter } from './sessions.ts';
import { durationOf, never } from './values.ts';

/** A destination of a VirtualService. */
export interface Destination {
  readonly host: string;
  readonly subset?: string;
  readonly port?: { readonly number?: number };
}

export type Found =
  | { readonly kind: 'found'; readonly cluster: string; readonly target: RouteTarget }
  /** No such cluster will be; `field` is what is wrong of the destination. */
  | { readonly kind: 'missing'; readonly cluster: string; readonly field: string; readonly message: string };

/** `namespace` is that of the object that says so. Without a port the service's only one, else the one that the client wanted. */
export function findDestination(
  context: RouteContext,
  { host, subset = '', port }: Destination,
  namespace: string,
): Found {
  const { view } = context;
  const service = view.resolve(host, namespace);
  const only = service?.ports.length === 1 ? service.ports[0]!.number : undefined;
  const number = port?.number ?? only ?? context.port.number;
  const missing = (field: string, message: string): Found => {
    const full = service?.hostname ?? fullName(host, namespace, view.facts.domain);
    return { kind: 'missing', cluster: outboundCluster(full, number, subset), field, message };
  };
  if (service === undefined) return missing('host', `no service of the mesh has the name ${host}`);
  if (!service.ports.some((p) => p.number === number))
    return missing('port.number', `${service.hostname} has no port ${number}`);
  const target = { service, port: number, subset };
  return { kind: 'found', cluster: context.cluster(target), target };
}

/** Names without a dot are of the namespace. */
export function fullName(host: string, namespace: string, domain: string): string {
  return host.includes('.') || host.startsWith('*') ? host.toLowerCase() : `${host}.${namespace}.svc.${domain}`;
}

export interface WeightedTarget {
  readonly cluster: string;
  readonly weight: number;
  readonly changes: HeaderChanges;
  /** Host of requests that go there. */
  readonly host: string | undefined;
  readonly hash: ConsistentHash | undefined;
  /** Of the backend. */
  readonly session: Extension | undefined;
}

export interface Forward {
  /** At least one. */
  readonly targets: readonly WeightedTarget[];
  /** undefined: none. */
  readonly timeout: Duration | undefined;
  /** `hashed`: an endpoint is chosen by a hash. */
  readonly retries: (hashed: boolean) => RetryPolicy | undefined;
  readonly rewrite: { readonly prefix_rewrite: string } | { readonly regex_rewrite: RegexRewrite } | undefined;
  readonly host: string | undefined;
  readonly mirrors: readonly MirrorPolicy[];
  /** What requests to a cluster that is not there are answered with. */
  readonly missing: 500 | 503;
}

/** The action, and what the route does for its only target: changes of headers, its session. */
export function forwardTo(
  dialect: RouteContext['dialect'],
  { targets, ...rest }: Forward,
): {
  readonly route: RouteAction;
  readonly changes: HeaderChanges;
  readonly session: Extension | undefined;
} {
  const hash_policy = targets.flatMap(({ hash }) => hashPolicy(hash) ?? []);
  const [first] = targets;
  const alone = targets.length === 1 ? first : undefined;
  const host = rest.host ?? alone?.host;
  const { timeout = never } = rest;
  const retry_policy = rest.retries(alone?.hash !== undefined);
  const route: RouteAction = {
    ...(alone === undefined
      ? { weighted_clusters: { clusters: targets.map(clusterWeight) } }
      : { cluster: alone.cluster }),
    ...(rest.missing === 500 ? { cluster_not_found_response_code: 'INTERNAL_SERVER_ERROR' as const } : {}),
    timeout,
    ...(dialect === 'envoy'
      ? { max_grpc_timeout: timeout }
      : { max_stream_duration: { grpc_timeout_header_max: timeout } }),
    ...rest.rewrite,
    ...(host === undefined ? {} : { host_rewrite_literal: host }),
    ...(retry_policy === undefined ? {} : { retry_policy }),
    ...(rest.mirrors.length === 0 ? {} : { request_mirror_policies: rest.mirrors }),
    ...(hash_policy.length === 0 ? {} : { hash_policy }),
  };
  return { route, changes: alone?.changes ?? {}, session: alone?.session };
}

function clusterWeight({ cluster, weight, changes, host, session }: WeightedTarget): ClusterWeight {
  return {
    name: cluster,
    weight: { value: weight },
    ...changes,
    ...(host === undefined ? {} : { host_rewrite_literal: host }),
    ...perFilter({ [sessionFilter]: session }),
  };
}

/** What a route, or one of its clusters, says to filters. */
export function perFilter(all: Readonly<Record<string, Extension | undefined>>): PerFilter {
  const given = Object.entries(all).flatMap(([name, config]) =>
    config === undefined ? [] : [[name, config] as const],
  );
  return given.length === 0 ? {} : { typed_per_filter_config: Object.fromEntries(given) };
}

function hashPolicy(hash: ConsistentHash | undefined): HashPolicy | undefined {
  if (hash?.httpHeaderName !== undefined) return { header: { header_name: hash.httpHeaderName } };
  if (hash?.httpCookie !== undefined) {
    const { name, ttl, path, attributes = [] } = hash.httpCookie;
    const lifetime = durationOf(ttl);
    const cookie = {
      name,
      ...(lifetime === undefined ? {} : { ttl: lifetime }),
      ...(path === undefined ? {} : { path }),
      ...(attributes.length === 0
        ? {}
        : { attributes: attributes.map((a) => ({ name: a.name, value: a.value ?? '' })) }),
    };
    return { cookie };
  }
  if (hash?.useSourceIp === true) return { connection_properties: { source_ip: true } };
  if (hash?.httpQueryParameterName !== undefined) return { query_parameter: { name: hash.httpQueryParameterName } };
  return undefined;
}
