/** A mesh of a few services for tests of routes: what MeshView would find, from lists. */
import type { XBackendTrafficPolicy } from '../../../../common/kube/kinds/gateway-api/experimental.ts';
import type { Gateway } from '../../../../common/kube/kinds/gateway-api/gateway.ts';
import type { DestinationRule } from '../../../../common/kube/kinds/istio/destination-rule.ts';
import type { Sidecar } from '../../../../common/kube/kinds/istio/sidecar.ts';
import type { Telemetry } from '../../../../common/kube/kinds/istio/telemetry.ts';
import type { VirtualService } from '../../../../common/kube/kinds/istio/virtual-service.ts';
import { parseDocuments } from '../../../../common/kube/manifests/documents.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';
import type { MeshFacts, MeshPort, MeshService, MeshView, RouteContext, RouteParent } from '../../inputs.ts';
import { inboundCluster, outboundCluster } from '../../names.ts';
import { fullName } from '../destinations.ts';

export interface TestService {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly kind: 'Service' | 'ServiceEntry';
  readonly ports: readonly MeshPort[];
}

/** `shop/web:http=80,grpc=9000`: a Service of that namespace. */
export function service(text: string): MeshService {
  const [, namespace = '', name = '', ports = ''] = /^([^/]+)\/([^:]+):(.*)$/.exec(text) ?? [];
  return serviceOf({
    name,
    namespace,
    hostname: `${name}.${namespace}.svc.cluster.local`,
    kind: 'Service',
    ports: ports.split(',').map((port) => {
      const [word = '', number] = port.split('=');
      return { name: word, number: Number(number), protocol: protocols[word.split('-')[0]!] };
    }),
  });
}

const protocols: Readonly<Record<string, MeshPort['protocol']>> = {
  http: 'HTTP11',
  http2: 'HTTP2',
  grpc: 'GRPC',
  tcp: 'TCP',
  tls: 'TLS',
};

export function serviceOf(given: TestService): MeshService {
  const { kind, name, namespace } = given;
  return {
    ...given,
    key: `${namespace}/${given.hostname}`,
    addresses: [],
    resolution: 'endpoints',
    isExternal: false,
    subjectAltNames: [],
    balancing: undefined,
    waypoint: undefined,
    object: {
      apiVersion: kind === 'Service' ? 'v1' : 'networking.istio.io/v1',
      kind,
      metadata: { name, namespace, uid: name, resourceVersion: '1' },
    },
  };
}

export const facts: MeshFacts = {
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  domain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterId: 'Kubernetes',
  network: '',
  multiNetwork: false,
  connectTimeout: '10s',
  hboneIdleTimeout: '1h',
  outboundTrafficPolicy: 'ALLOW_ANY',
  pathNormalization: 'BASE',
  virtualServiceExportTo: ['*'],
  destinationRuleExportTo: ['*'],
  accessLogFile: undefined,
  accessLogFormat: undefined,
  accessLogEncoding: 'TEXT',
  extensionProviders: [
    { kind: 'prometheus', name: 'prometheus' },
    { kind: 'file', name: 'envoy', path: '/dev/stdout', format: undefined, omitsEmpty: false },
  ],
  defaultProviders: { metrics: ['prometheus'], accessLogging: [], tracing: [] },
  tracing: { isEnabled: false, sampling: 1, tags: {}, maxTagLength: undefined, hasIstioTags: true },
  defaultRetries: undefined,
  localityLb: undefined,
};

/** Objects of YAML, in the order in which they are written, which counts as their age unless they say when they were made. */
export function objects(yaml: string): readonly KubeObject[] {
  return parseDocuments('test.yaml', yaml).objects.map(({ object }, i) => ({
    ...object,
    metadata: {
      namespace: 'shop',
      uid: object.metadata.name,
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: new Date(i * 1000).toISOString(),
      ...object.metadata,
    },
  }));
}

export function viewOf(
  services: readonly MeshService[],
  all: readonly KubeObject[],
  settings: Partial<MeshFacts> = {},
): MeshView {
  const ofKind = <T extends KubeObject>(kind: string) => all.filter((o) => o.kind === kind) as unknown as readonly T[];
  const named = (host: string) => services.filter((s) => s.hostname === host);
  const covers = (host: string, hostname: string) =>
    host === hostname || (host.startsWith('*') && hostname.endsWith(host.slice(1)));
  const hostsOf = (vs: VirtualService) =>
    (vs.spec.hosts ?? []).map((h) => fullName(h, vs.metadata.namespace!, facts.domain));
  const attached = <T extends KubeObject>(kind: string, parent: RouteParent): readonly T[] =>
    (ofKind(kind) as readonly (T & Attached)[]).filter((r) =>
      r.spec.parentRefs?.some((ref) => `${ref.kind}/${ref.namespace ?? r.metadata.namespace}/${ref.name}` === parent),
    );
  return {
    facts: { ...facts, ...settings },
    service: (key) => services.find((s) => s.key === key),
    named,
    resolve: (host, namespace) => {
      const full = fullName(host, namespace, facts.domain);
      const wild = services.find((s) => s.hostname.startsWith('*') && full.endsWith(s.hostname.slice(1)));
      return named(full).find((s) => s.namespace === namespace) ?? named(full)[0] ?? wild;
    },
    ofObject: (kind, namespace, name) =>
      services.find((s) => s.kind === kind && s.namespace === namespace && s.name === name),
    visible: () => services.map((s) => s.key),
    behind: () => [],
    endpoints: () => [],
    workloadsBehind: () => [],
    virtualServices: (hostname) =>
      ofKind<VirtualService>('VirtualService').filter((vs) => hostsOf(vs).some((h) => covers(h, hostname))),
    virtualService: (key) =>
      ofKind<VirtualService>('VirtualService').find((vs) => `${vs.metadata.namespace}/${vs.metadata.name}` === key),
    destinationRules: (hostname) => ofKind<DestinationRule>('DestinationRule').filter((r) => r.spec.host === hostname),
    httpRoutes: (parent) => attached('HTTPRoute', parent),
    grpcRoutes: (parent) => attached('GRPCRoute', parent),
    telemetries: (namespace) => ofKind<Telemetry>('Telemetry').filter((t) => t.metadata.namespace === namespace),
    tcpRoutes: (parent) => attached('TCPRoute', parent),
    tlsRoutes: (parent) => attached('TLSRoute', parent),
    referenceGrants: () => [],
    authentications: () => [],
    rateLimits: () => [],
    rateLimitsOfRoutes: () => [],
    trafficPolicies: ({ name }) =>
      ofKind<XBackendTrafficPolicy>('XBackendTrafficPolicy').filter((p) =>
        p.spec.targetRefs.some((t) => t.name === name),
      ),
    extensions: () => [],
    filterModule: () => ({ kind: 'none', problem: 'there are no modules' }),
    issuerKeys: () => ({ keys: undefined, problem: undefined }),
    policies: () => [],
    sidecar: (namespace) => ofKind<Sidecar>('Sidecar').find((s) => s.metadata.namespace === namespace),
    secret: () => undefined,
    readsSecrets: () => false,
    waypoint: (key) => {
      const gateway = ofKind<Gateway>('Gateway').find((g) => `${g.metadata.namespace}/${g.metadata.name}` === key);
      return gateway && { gateway, account: gateway.metadata.name };
    },
    namespaceLabels: () => ({}),
  };
}

interface Attached {
  readonly spec: {
    readonly parentRefs?: readonly { readonly kind?: string; readonly namespace?: string; readonly name: string }[];
  };
}

/** As the waypoint of the service's namespace sees it. */
export function waypointContext(
  view: MeshView,
  of: MeshService,
  port: number,
  rest: Partial<RouteContext> = {},
): RouteContext {
  return {
    view,
    service: of,
    port: of.ports.find((p) => p.number === port)!,
    gateway: `${of.namespace}/waypoint`,
    namespace: of.namespace,
    clientLabels: undefined,
    dialect: 'envoy',
    cluster: ({ service: to, port: number, subset }) => inboundCluster(to.hostname, number, 'http', subset),
    hash: () => undefined,
    ...rest,
  };
}

/** As a proxy beside a client, or a gRPC program, sees it. */
export function clientContext(
  view: MeshView,
  of: MeshService,
  port: number,
  namespace: string,
  clientLabels: Readonly<Record<string, string>>,
): RouteContext {
  return {
    ...waypointContext(view, of, port),
    gateway: undefined,
    namespace,
    clientLabels,
    cluster: ({ service: to, port: number, subset }) => outboundCluster(to.hostname, number, subset),
  };
}
