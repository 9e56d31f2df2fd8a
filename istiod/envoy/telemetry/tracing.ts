/** How requests to a service are traced, as Telemetry and MeshConfig ask for it: HttpConnectionManager.tracing. */
import { assertNever } from '../../../common/core/errors.ts';
import type { Telemetry } from '../../../common/kube/kinds/istio/telemetry.ts';
import type {
  CollectorService,
  MeshFacts,
  MeshService,
  MeshTracing,
  MeshView,
  RouteTarget,
  TracingProvider,
  TracingTag,
} from '../inputs.ts';
import type { WaypointProxy } from '../proxy.ts';
import { type Duration, durationOf, extension, type Message, typed } from '../values.ts';
import { applicableTelemetries } from './applicable.ts';

type Tracing = NonNullable<NonNullable<Telemetry['spec']>['tracing']>[number];

export interface TracingSpec {
  /** undefined: nothing is sent. */
  readonly provider: TracingProvider | undefined;
  /** Percent; undefined: the mesh's. */
  readonly sampling: number | undefined;
  /** undefined: the mesh's. */
  readonly tags: Readonly<Record<string, TracingTag>> | undefined;
  readonly byRequestId: boolean;
  readonly hasIstioTags: boolean;
  readonly propagates: boolean;
}

/** Of the HttpConnectionManager. `cluster` names the cluster that leads to a collector. */
export function tracing(
  view: MeshView,
  proxy: WaypointProxy,
  service: MeshService | undefined,
  cluster: (target: RouteTarget) => string,
): Message {
  const { facts } = view;
  const found = applicableTelemetries(view, proxy, service).flatMap(({ spec }) => spec?.tracing ?? []);
  if (found.length === 0 && facts.defaultProviders.tracing.length === 0) {
    if (!facts.tracing.isEnabled) return {};
    const { hasIstioTags } = facts.tracing;
    return { tracing: common(facts, proxy, { sampling: undefined, tags: undefined, hasIstioTags, propagates: true }) };
  }
  const spec = mergeTracing(found, facts);
  const provider = spec.provider && providerOf(view, proxy, spec.provider, cluster);
  if (!spec.provider || !provider) return {};
  const length = spec.provider.maxTagLength ?? facts.tracing.maxTagLength;
  return {
    tracing: {
      provider,
      ...common(facts, proxy, spec),
      ...(length !== undefined && { max_path_tag_length: { value: length } }),
    },
    ...(!spec.byRequestId && {
      request_id_extension: {
        typed_config: typed('envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig', {
          use_request_id_for_trace_sampling: { value: false },
        }),
      },
    }),
  };
}

/** As Istio merges for a server: the last that says anything counts, field by field; tags as a whole. */
export function mergeTracing(found: readonly Tracing[], facts: MeshFacts): TracingSpec {
  const named = (name: string | undefined) =>
    facts.extensionProviders.find((p) => p.name.toLowerCase() === name?.toLowerCase());
  const ours = found.filter(({ match }) => match?.mode !== 'CLIENT');
  const last = <T>(read: (of: Tracing) => T | null | undefined): T | undefined => {
    const value = ours.map(read).findLast((v) => v !== undefined && v !== null);
    return value ?? undefined;
  };
  const name = last(({ providers }) => providers?.[0]?.name) ?? facts.defaultProviders.tracing[0];
  const provider = named(name);
  const isTracer = provider?.kind === 'opentelemetry' || provider?.kind === 'zipkin';
  const isDisabled = last((t) => t.disableSpanReporting) ?? false;
  return {
    provider: isTracer && !isDisabled ? provider : undefined,
    sampling: last((t) => t.randomSamplingPercentage),
    tags: last((t) => t.customTags),
    byRequestId: last((t) => t.useRequestIdForTraceSampling) ?? true,
    hasIstioTags: last((t) => t.enableIstioTags) ?? true,
    propagates: !(last((t) => t.disableContextPropagation) ?? false),
  };
}

function common(
  facts: MeshFacts,
  proxy: WaypointProxy,
  { sampling, tags, hasIstioTags, propagates }: Pick<TracingSpec, 'sampling' | 'tags' | 'hasIstioTags' | 'propagates'>,
): Message {
  return {
    client_sampling: { value: 100 },
    random_sampling: { value: sampling ?? facts.tracing.sampling },
    overall_sampling: { value: 100 },
    custom_tags: customTags(facts, proxy, hasIstioTags, isEmpty(tags) ? facts.tracing.tags : tags!),
    ...(facts.tracing.maxTagLength !== undefined && { max_path_tag_length: { value: facts.tracing.maxTagLength } }),
    ...(!propagates && { no_context_propagation: true }),
  };
}

function isEmpty(tags: MeshTracing['tags'] | undefined): boolean {
  return Object.keys(tags ?? {}).length === 0;
}

/** Sorted by their names, as Istio has them. */
function customTags(
  facts: MeshFacts,
  proxy: WaypointProxy,
  hasIstioTags: boolean,
  own: MeshTracing['tags'],
): readonly Message[] {
  const tags = [
    ...(hasIstioTags ? istioTags(facts, proxy) : []),
    ...(proxy.engine === 'envoy' ? [] : peerTags),
    ...Object.entries(own).flatMap(([name, tag]) => customTag(name, tag)),
  ];
  return tags.sort((a, b) => (a.tag < b.tag ? -1 : 1));
}

type Tag = Message & { readonly tag: string };

function customTag(tag: string, { literal, environment, header, formatter }: TracingTag): readonly Tag[] {
  if (literal) return [{ tag, literal: { value: literal.value } }];
  if (environment)
    return [{ tag, environment: { name: environment.name, default_value: environment.defaultValue ?? '' } }];
  if (header) return [{ tag, request_header: { name: header.name, default_value: header.defaultValue ?? '' } }];
  return formatter ? [{ tag, value: formatter.value }] : [];
}

function istioTags({ clusterId, trustDomain }: MeshFacts, { gateway, namespace }: WaypointProxy): readonly Tag[] {
  const literals = {
    'istio.canonical_revision': 'latest',
    'istio.canonical_service': gateway.slice(gateway.indexOf('/') + 1),
    'istio.mesh_id': trustDomain,
    'istio.namespace': namespace,
    'istio.cluster_id': clusterId,
  };
  const said = Object.entries(literals).map(([tag, value]) => ({ tag, literal: { value } }));
  return [...said, ...(['allow', 'deny'] as const).flatMap(dryRunTags)];
}

/** What policies in dry-run would have said. */
function dryRunTags(action: 'allow' | 'deny'): readonly Tag[] {
  const of = { name: 'shadow_effective_policy_id', result: 'shadow_engine_result' };
  return Object.entries(of).map(([what, key]) => ({
    tag: `istio.authorization.dry_run.${action}_policy.${what}`,
    metadata: {
      kind: { request: {} },
      metadata_key: { key: 'envoy.filters.http.rbac', path: [{ key: `istio_dry_run_${action}_${key}` }] },
    },
  }));
}

const peerFields = {
  workload: 'workload',
  namespace: 'namespace',
  cluster_id: 'cluster',
  canonical_service: 'service',
  canonical_revision: 'revision',
  app: 'app',
  app_version: 'version',
  workload_type: 'type',
  instance_name: 'name',
} as const;
const peerTags: readonly Tag[] = (
  [
    ['source', 'downstream_peer_obj'],
    ['destination', 'upstream_peer_obj'],
  ] as const
).flatMap(([side, key]) =>
  Object.entries(peerFields).map(([name, field]) => ({
    tag: `istio.${side}_${name}`,
    value: `%FILTER_STATE(${key}:FIELD:${field})%`,
  })),
);

/** undefined: its service is not in the mesh, and nothing is traced. */
function providerOf(
  view: MeshView,
  proxy: WaypointProxy,
  provider: TracingProvider,
  cluster: (target: RouteTarget) => string,
): Message | undefined {
  const service = collectorOf(view, provider);
  if (!service) return undefined;
  const to = cluster({ service, port: provider.port, subset: '' });
  const { hostname } = service;
  switch (provider.kind) {
    case 'opentelemetry':
      return extension('envoy.tracers.opentelemetry', 'envoy.config.trace.v3.OpenTelemetryConfig', {
        // Who makes the spans, by its node's name of Istio's start line.
        service_name: `${proxy.gateway.slice(proxy.gateway.indexOf('/') + 1)}.${proxy.namespace}`,
        ...exporter(provider.by, hostname, to),
        ...(provider.detectsEnvironment && { resource_detectors: [environmentDetector] }),
      });
    case 'zipkin':
      return extension('envoy.tracers.zipkin', 'envoy.config.trace.v3.ZipkinConfig', {
        collector_endpoint_version: 'HTTP_JSON',
        trace_id_128bit: provider.hasLongIds,
        shared_span_context: { value: false },
        trace_context_option: provider.withW3c ? 'USE_B3_WITH_W3C_PROPAGATION' : 'USE_B3',
        collector_service: httpService(hostname, to, provider),
      });
    default:
      return assertNever(provider);
  }
}

const environmentDetector = extension(
  'envoy.tracers.opentelemetry.resource_detectors.environment',
  'envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig',
);

/** The one service of that name, if it has the port. */
export function collectorOf(
  view: Pick<MeshView, 'service' | 'named'>,
  { service, port }: CollectorService,
): MeshService | undefined {
  const found = service.includes('/') ? [view.service(service)] : view.named(service);
  const [only] = found;
  return found.length === 1 && only?.ports.some((p) => p.number === port) ? only : undefined;
}

type By = Extract<TracingProvider, { readonly kind: 'opentelemetry' }>['by'];

function exporter(by: By, hostname: string, cluster: string): Message {
  if (by.kind === 'http') return { http_service: httpService(hostname, cluster, by) };
  const timeout = by.timeout === undefined ? undefined : durationOf(by.timeout);
  return {
    grpc_service: {
      envoy_grpc: { cluster_name: cluster, authority: hostname },
      ...(timeout && { timeout }),
      initial_metadata: by.metadata.map(({ name, value }) => ({ key: name, value })),
    },
  };
}

const fiveSeconds: Duration = { seconds: 5 };

function httpService(
  hostname: string,
  cluster: string,
  { path, timeout, headers }: Pick<Extract<By, { readonly kind: 'http' }>, 'path' | 'timeout' | 'headers'>,
): Message {
  return {
    http_uri: {
      uri: `http://${hostname}/${path.replace(/^\//, '')}`,
      cluster,
      timeout: timeout === undefined ? fiveSeconds : durationOf(timeout),
    },
    request_headers_to_add: headers.map(({ name, value }) => ({
      header: { key: name, value: value.replaceAll('%', '%%') },
      append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
    })),
  };
}
