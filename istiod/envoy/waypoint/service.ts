/** What one service behind a waypoint comes to: chains of filters, routes, clusters and endpoints. */

import { isIpv6 } from '../../../common/core/net.ts';
import { encodeEnvoy, type Typed, typeUrl } from '../../../common/envoy/codec.ts';
import type { AuthorizationPolicy } from '../../../common/kube/kinds/security.ts';
import { extensionFilters } from '../../modules/extensions.ts';
import { authenticationsFor, tokenFilters } from '../authentication.ts';
import { type MadeCluster, makeCluster } from '../clusters/cluster.ts';
import { policyOf, rulesFor, type ServiceRules } from '../clusters/rules.ts';
import type { MeshPort, MeshService, MeshView, RouteContext, RouteTarget } from '../inputs.ts';
import { type Attached, limitsFor } from '../limits/attached.ts';
import { countedFilters, countedRoutes } from '../limits/counted.ts';
import { limitFilters } from '../limits/filters.ts';
import { denialDetails } from '../listeners/denial-details.ts';
import { dynamicHttp, dynamicTls } from '../listeners/dynamic-dns.ts';
import { httpManager } from '../listeners/http.ts';
import { byProtocol, byStream, type OnMatch, toChain, toMatcher } from '../listeners/matchers.ts';
import { tcpProxy } from '../listeners/tcp.ts';
import { inboundCluster, outboundCluster } from '../names.ts';
import type { WaypointProxy } from '../proxy.ts';
import { customFilters } from '../rbac/custom.ts';
import { dryRunLog } from '../rbac/dry-run.ts';
import { policiesFor, rbacFilters } from '../rbac/filters.ts';
import { attachedTo } from '../routes/gateway-api/attach.ts';
import { httpRoutesOf } from '../routes/http.ts';
import { tcpRoutesOf } from '../routes/stream.ts';
import { accessLogs } from '../telemetry/logging.ts';
import { metricsFilters } from '../telemetry/metrics.ts';
import { tracing } from '../telemetry/tracing.ts';
import { cidr, type Message } from '../values.ts';
import { clientCertificate } from './client-certificate.ts';

/** A chain of main_internal. */
export interface Chain extends Message {
  readonly name: string;
}

/** How clients come in. */
export interface WaypointFront extends Leading {
  readonly hostname: string;
  /** Of main_internal. */
  readonly chains: readonly Chain[];
  readonly ports: ReadonlyMap<number, PortMatch>;
  /** Messages `CidrRange` of its addresses. */
  readonly ranges: readonly Message[];
}

/** Where requests go. */
export interface WaypointRoutes extends Leading {
  readonly routes: readonly RouteConfig[];
}

export interface Leading {
  /** Services that are not behind this waypoint, to which connections or requests go, by the cluster's name. */
  readonly targets: ReadonlyMap<string, FarTarget>;
}

export interface RouteConfig extends Typed {
  readonly name: string;
}

/** Where routes send that this waypoint is not before. */
export interface FarTarget {
  readonly name: string;
  /** `namespace/hostname`. */
  readonly service: string;
  readonly port: number;
  readonly subset: string;
  readonly kind: 'tcp' | 'http';
}

export interface PortMatch {
  readonly on: OnMatch;
  /** What clients may speak there. `unknown`: HTTP or anything else, the first bytes tell. */
  readonly speaks: 'http' | 'tcp' | 'tls' | 'unknown';
}

export function waypointFront(view: MeshView, proxy: WaypointProxy, service: MeshService): WaypointFront {
  const scope: FrontScope = {
    ...scopeOf(view, proxy, service),
    rules: rulesFor(view, service, proxy.namespace, undefined),
    policies: policiesFor(view, proxy, service),
  };
  const parts = service.ports.map((port) => portOf(scope, port));
  return {
    hostname: service.hostname,
    chains: parts.flatMap((p) => p.chains),
    ports: new Map(parts.map((p) => [p.port.number, p.match])),
    ranges: service.addresses.map((a) => cidr(a.ip, a.length ?? (isIpv6(a.ip) ? 128 : 32))),
    targets: scope.targets,
  };
}

export function waypointRoutes(view: MeshView, proxy: WaypointProxy, service: MeshService): WaypointRoutes {
  const scope = scopeOf(view, proxy, service);
  const ports = service.ports.filter((port) => kindsOf(port).includes('http'));
  return { routes: ports.map((port) => routesOf(scope, port)), targets: scope.targets };
}

export function waypointClusters(view: MeshView, proxy: WaypointProxy, service: MeshService): readonly MadeCluster[] {
  const rules = rulesFor(view, service, proxy.namespace, undefined);
  return service.ports.flatMap((port) =>
    kindsOf(port).flatMap((kind) =>
      [undefined, ...rules.subsets].map((subset) => {
        const name = inboundCluster(service.hostname, port.number, kind, subset?.name);
        const policy = policyOf(rules, port.number, subset);
        return makeCluster(view, proxy, { name, service, port, kind, subset, policy });
      }),
    ),
  );
}

interface Scope {
  readonly view: MeshView;
  readonly proxy: WaypointProxy;
  readonly service: MeshService;
  readonly targets: Map<string, FarTarget>;
}

function scopeOf(view: MeshView, proxy: WaypointProxy, service: MeshService): Scope {
  return { view, proxy, service, targets: new Map() };
}

interface FrontScope extends Scope {
  readonly rules: ServiceRules;
  readonly policies: readonly AuthorizationPolicy[];
}

interface Part {
  readonly port: MeshPort;
  readonly chains: readonly Chain[];
  readonly match: PortMatch;
}

function portOf(scope: FrontScope, port: MeshPort): Part {
  const speaks = speaksOf(port);
  const http = kindsOf(port).includes('http') ? httpChain(scope, port) : undefined;
  const tcp = kindsOf(port).includes('tcp') ? tcpChains(scope, port) : undefined;
  const made = [http, tcp].filter((c) => c !== undefined);
  return {
    port,
    chains: made.flatMap((c) => c.chains),
    match: { on: http && tcp ? toMatcher(byProtocol(http.on, tcp.on)) : made[0]!.on, speaks },
  };
}

/** Where logs go that are of no service: by clusters of their own, also where the collector is behind this waypoint. */
export function collectorTargets() {
  const targets = new Map<string, FarTarget>();
  const cluster = ({ service: { hostname, key }, port, subset }: RouteTarget) => {
    const name = outboundCluster(hostname, port, subset);
    targets.set(name, { name, service: key, port, subset, kind: 'http' });
    return name;
  };
  return { targets, cluster };
}

/** By which the port has clusters, and what leads to them. */
function kindsOf(port: MeshPort): readonly ('http' | 'tcp')[] {
  const speaks = speaksOf(port);
  if (speaks === 'unknown') return ['http', 'tcp'];
  return [speaks === 'http' ? 'http' : 'tcp'];
}

export function speaksOf({ protocol }: MeshPort): PortMatch['speaks'] {
  switch (protocol) {
    case 'HTTP11':
    case 'HTTP2':
    case 'GRPC':
    case 'GRPC_WEB':
      return 'http';
    case 'TCP':
      return 'tcp';
    case 'TLS':
      return 'tls';
    case undefined:
      return 'unknown';
  }
}

interface MadeChains {
  readonly chains: readonly Chain[];
  readonly on: OnMatch;
}

function httpChain(scope: FrontScope, port: MeshPort): MadeChains {
  const { view, service, policies, proxy } = scope;
  const { facts } = view;
  const { cluster } = contextOf(scope, port, 'http');
  const name = inboundCluster(service.hostname, port.number, 'http');
  const dynamic = service.resolution === 'dynamic-dns' ? [dynamicHttp(proxy)] : [];
  const certificate = clientCertificate(view, proxy);
  const tokens = tokenFilters(authenticationsFor(view, proxy, service), (source) => view.issuerKeys(source));
  const modules = extensionFilters(view, proxy, service, port);
  const limits = limitsAt(scope, port);
  const filters = [
    ...certificate.filters,
    ...customFilters(view, policies, 'http', name, cluster),
    ...modules.AUTHN,
    ...tokens,
    ...modules.AUTHZ,
    ...rbacFilters(policies, 'http', facts, name),
    // Whoever may not come takes nothing of what others may.
    ...limitFilters(limits, service),
    ...countedFilters(view, limits, cluster),
    ...dynamic,
    ...modules.STATS,
    ...metricsFilters(view, proxy, service),
  ];
  const logs = accessLogs(view, proxy, { service, cluster, trials: dryRunLog(policies, 'http') });
  const more = {
    ...certificate.manager,
    ...denialDetails(view, proxy.gateway),
    ...tracing(view, proxy, service, cluster),
  };
  return {
    chains: [
      frozen({
        name,
        filters: [httpManager(facts, name, port, name, { first: filters, last: modules.UNSPECIFIED }, logs, more)],
      }),
    ],
    on: toChain(name),
  };
}

function limitsAt(scope: Scope, port: MeshPort): readonly Attached[] {
  const { view, proxy, service } = scope;
  const isAny = view.rateLimitsOfRoutes().length > 0;
  const routes = isAny ? attachedTo(contextOf(scope, port, 'http')).http.flatMap((group) => group.routes) : [];
  return limitsFor(view, proxy, service, port, routes);
}

function routesOf(scope: Scope, port: MeshPort): RouteConfig {
  const name = inboundCluster(scope.service.hostname, port.number, 'http');
  const { routes } = httpRoutesOf(contextOf(scope, port, 'http'));
  const rate_limits = countedRoutes(scope.view, limitsAt(scope, port));
  return {
    '@type': typeUrl('envoy.config.route.v3.RouteConfiguration'),
    name,
    virtual_hosts: [{ name, domains: ['*'], routes, ...(rate_limits.length > 0 && { rate_limits }) }],
    validate_clusters: { value: false },
    // As much as validation lets a directResponse have; Envoy's default is 4096 bytes.
    max_direct_response_body_size_bytes: { value: 1 << 20 },
  } as RouteConfig;
}

function tcpChains(scope: FrontScope, port: MeshPort): MadeChains {
  const { view, service, policies, proxy, rules } = scope;
  const { facts } = view;
  const name = inboundCluster(service.hostname, port.number, 'tcp');
  const { routes } = tcpRoutesOf(contextOf(scope, port, 'tcp'));
  // Collectors are spoken to by requests.
  const { cluster } = contextOf(scope, port, 'http');
  const logs = accessLogs(view, proxy, { service, cluster, trials: dryRunLog(policies, 'tcp') });
  const idleTimeout = policyOf(rules, port.number).connectionPool?.tcp?.idleTimeout;
  const before = [
    ...customFilters(view, policies, 'tcp', name),
    ...rbacFilters(policies, 'tcp', facts, name),
    ...(service.resolution === 'dynamic-dns' && port.protocol === 'TLS' ? [dynamicTls(proxy, port.number)] : []),
    ...metricsFilters(view, proxy, service),
  ];
  const chains = routes.map(({ clusters, tunnel }, i) =>
    frozen({
      name: i === 0 ? name : `${name}|${i}`,
      filters: [...before, tcpProxy(name, clusters.length > 0 ? clusters : [nowhere], logs, { idleTimeout, tunnel })],
    }),
  );
  const cases = routes.map(({ sni, destinations, callers }, i) => ({
    ...{ sni, destinations, callers },
    on: toChain(chains[i]!.name),
  }));
  return { chains, on: byStream(cases) };
}

/** No cluster has this name: connections are closed. */
const nowhere = { name: 'BlackHoleCluster', weight: 1 };

function contextOf({ view, proxy, service, targets }: Scope, port: MeshPort, kind: 'http' | 'tcp'): RouteContext {
  return {
    view,
    service,
    port,
    gateway: proxy.gateway,
    namespace: proxy.namespace,
    clientLabels: undefined,
    dialect: 'envoy',
    cluster(target) {
      const { service: to, subset } = target;
      const found = to.ports.find((p) => p.number === target.port);
      const speaks = found && speaksOf(found);
      const isOurs = to.waypoint === proxy.gateway && speaks !== undefined;
      // Its own chains speak to it in one way at least.
      const fits = speaks === 'unknown' || (speaks === 'http') === (kind === 'http');
      if (isOurs && fits) return inboundCluster(to.hostname, target.port, kind, subset);
      const name = outboundCluster(to.hostname, target.port, subset);
      const isHttp = kind === 'http' || targets.get(name)?.kind === 'http';
      targets.set(name, { name, service: to.key, port: target.port, subset, kind: isHttp ? 'http' : 'tcp' });
      return name;
    },
    hash({ service: to, port: number, subset }) {
      const theirs = rulesFor(view, to, proxy.namespace, undefined);
      const chosen = subset === '' ? undefined : theirs.subsets.find((s) => s.name === subset);
      return policyOf(theirs, number, chosen).loadBalancer?.consistentHash;
    },
  };
}

/** Filters as bytes already: the listener has those of all services, and most of them stay as they are. */
export function frozen(chain: { readonly name: string; readonly filters: readonly Message[] }): Chain {
  return {
    name: chain.name,
    filters: chain.filters.map(({ name, typed_config }) => {
      const config = typed_config as Typed;
      return { name, typed_config: { type_url: config['@type'], value: encodeEnvoy(config) } };
    }),
  };
}
