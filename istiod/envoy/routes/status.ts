/** What the status of routes says: whether their parents take them, what they refer to is there, and what of them has no effect. Pure. */
import type { GrpcRoute } from '../../../common/kube/kinds/gateway-api/grpc-route.ts';
import type { HttpRoute } from '../../../common/kube/kinds/gateway-api/http-route.ts';
import type { TlsRoute } from '../../../common/kube/kinds/gateway-api/stream-routes.ts';
import type { VirtualService } from '../../../common/kube/kinds/istio/virtual-service.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { MeshPort, MeshService, MeshView, RouteContext } from '../inputs.ts';
import { outboundCluster } from '../names.ts';
import { attachedTo, type GatewayRoute, type RouteGroup } from './gateway-api/attach.ts';
import { grpcRules } from './gateway-api/grpc-route.ts';
import { httpRules } from './gateway-api/http-route.ts';
import { groupRoutes } from './gateway-api/rules.ts';
import { streamRoute } from './gateway-api/stream.ts';
import type { RouteProblem } from './results.ts';
import { virtualServiceRoutes } from './virtual-service/http.ts';
import { virtualServiceStreams } from './virtual-service/stream.ts';

/** As Istio's istiod calls itself in the status of routes, in the mesh too. */
export const routeController = 'istio.io/gateway-controller';

const gatewayGroup = 'gateway.networking.k8s.io';

/** Some of an object does nothing. */
export const ineffective = 'aquifer.dev/Ineffective';

export interface RouteCondition {
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

/** undefined: the condition is not to be there. */
export type RouteConditions = ReadonlyMap<string, RouteCondition | undefined>;

export type ParentRef = NonNullable<HttpRoute['spec']['parentRefs']>[number];

export interface ParentStatus {
  readonly parentRef: ParentRef;
  readonly conditions: RouteConditions;
}

/** Of parents in the mesh, in the order in which they are named; Gateways that are no waypoints are judged by who serves them. */
export function parentStatuses(view: MeshView, route: GatewayRoute): readonly ParentStatus[] {
  return (route.spec.parentRefs ?? []).flatMap((parentRef): readonly ParentStatus[] => {
    const { kind = 'Gateway', name } = parentRef;
    const { group = kind === 'Gateway' ? gatewayGroup : '' } = parentRef;
    if (kind === 'Gateway' && group === gatewayGroup) return ofWaypoint(view, route, parentRef);
    if (!(kind === 'Service' && group === '') && !(kind === 'ServiceEntry' && group === 'networking.istio.io'))
      return [];
    const namespace = parentRef.namespace ?? namespaceOf(route);
    const service = view.ofObject(kind, namespace, name);
    return [
      { parentRef, conditions: parentConditions(view, route, parentRef, service, `${kind} ${namespace}/${name}`) },
    ];
  });
}

/** A waypoint's listener takes no routes, as Istio's; what it does is said by routes of the services behind it. */
function ofWaypoint(view: MeshView, route: GatewayRoute, parentRef: ParentRef): readonly ParentStatus[] {
  const gateway = `${parentRef.namespace ?? namespaceOf(route)}/${parentRef.name}`;
  if (view.waypoint(gateway) === undefined) return [];
  const message = `Gateway ${gateway} is a waypoint, whose listener takes no routes: name the Service or ServiceEntry behind it as the parent`;
  const accepted = { status: 'False', reason: 'NotAllowedByListeners', message } as const;
  const own = problemsOf(contextOf(view, nowhere, anyPort), route);
  return [
    {
      parentRef,
      conditions: new Map<string, RouteCondition>([
        ['Accepted', accepted],
        ['ResolvedRefs', resolution(own)],
      ]),
    },
  ];
}

function parentConditions(
  view: MeshView,
  route: GatewayRoute,
  { port, sectionName }: ParentRef,
  service: MeshService | undefined,
  parent: string,
): RouteConditions {
  const ports = (service?.ports ?? []).filter(
    (p) => (port === undefined || p.number === port) && (sectionName === undefined || p.name === sectionName),
  );
  const context = contextOf(view, service ?? nowhere, ports[0] ?? anyPort);
  const own = problemsOf(context, route);
  const shadowed =
    service !== undefined && ports.length > 0 && ports.every((p) => isShadowed(contextOf(view, service, p), route));
  const missing =
    service === undefined
      ? `there is no ${parent}`
      : ports.length === 0
        ? `${parent} has no port ${port ?? sectionName ?? ''}`.trimEnd()
        : undefined;
  return new Map([
    ...acceptance(route, own, missing, shadowed),
    ['ResolvedRefs', resolution(own)],
    ['ResolvedWaypoints', service === undefined ? undefined : waypointOf(service, parent)],
    [ineffective, ineffectiveness([...own, ...mute(route, ports)])],
  ]);
}

function acceptance(
  { spec }: GatewayRoute,
  problems: readonly RouteProblem[],
  missing: string | undefined,
  shadowed: boolean,
): readonly (readonly [string, RouteCondition | undefined])[] {
  const denied = (reason: string, message: string) =>
    [
      ['Accepted', { status: 'False', reason, message }],
      ['PartiallyInvalid', undefined],
    ] as const;
  if (missing !== undefined) return denied('NoMatchingParent', missing);
  if (shadowed)
    return denied(
      'Conflicted',
      'routes of a more specific kind have the same parent and port, and kinds are not mixed',
    );
  const refused = problems.filter((p) => p.kind === 'refused');
  const rules = new Set(refused.filter((p) => !p.field.includes('backendRefs')).map((p) => p.field.split('.')[1]));
  if (refused.length > 0 && rules.size === (spec.rules ?? []).length) return denied('UnsupportedValue', text(refused));
  const accepted: RouteCondition = { status: 'True', reason: 'Accepted', message: 'the parent takes it' };
  const partly: RouteCondition | undefined =
    refused.length === 0
      ? undefined
      : { status: 'True', reason: 'UnsupportedValue', message: `Dropped Rule: ${text(refused)}` };
  return [
    ['Accepted', accepted],
    ['PartiallyInvalid', partly],
  ];
}

function resolution(problems: readonly RouteProblem[]): RouteCondition {
  const lost = problems.flatMap((p) => (p.kind === 'unresolved' ? [p] : []));
  const [first] = lost;
  if (first === undefined) return { status: 'True', reason: 'ResolvedRefs', message: 'all references lead somewhere' };
  return { status: 'False', reason: first.reason, message: text(lost) };
}

function waypointOf({ waypoint }: MeshService, parent: string): RouteCondition {
  if (waypoint !== undefined)
    return { status: 'True', reason: 'ResolvedWaypoints', message: `requests pass the waypoint ${waypoint}` };
  const message = `${parent} is behind no waypoint: only clients that read xDS themselves follow the route; label it istio.io/use-waypoint`;
  return { status: 'False', reason: 'MissingUseWaypointLabel', message };
}

function ineffectiveness(
  problems: readonly Pick<RouteProblem, 'kind' | 'field' | 'message'>[],
): RouteCondition | undefined {
  const lost = problems.filter((p) => p.kind === 'ineffective');
  return lost.length === 0 ? undefined : { status: 'True', reason: 'Ineffective', message: text(lost) };
}

function text(problems: readonly Pick<RouteProblem, 'field' | 'message'>[]): string {
  return problems.map((p) => `${p.field}: ${p.message}`).join('; ');
}

/** Of the route by itself. */
function problemsOf(context: RouteContext, route: GatewayRoute): readonly RouteProblem[] {
  const group = <T>(one: T): RouteGroup<T> => ({ kind: 'producer', namespace: namespaceOf(route), routes: [one] });
  switch (route.kind) {
    case 'HTTPRoute':
      return groupRoutes(context, group(route as HttpRoute), httpRules).problems;
    case 'GRPCRoute':
      return groupRoutes(context, group(route as GrpcRoute), grpcRules).problems;
    default: {
      const problems: RouteProblem[] = [];
      streamRoute(context, route as TlsRoute, problems);
      return problems;
    }
  }
}

function isShadowed(context: RouteContext, route: GatewayRoute): boolean {
  const { grpc, http, tls } = attachedTo(context);
  const before: readonly RouteGroup<GatewayRoute>[] =
    route.kind === 'GRPCRoute'
      ? []
      : [...grpc, ...(route.kind === 'HTTPRoute' ? [] : http), ...(route.kind === 'TCPRoute' ? tls : [])];
  const own = namespaceOf(route);
  const { service, namespace } = context;
  const group = own === namespace ? service.namespace : own;
  return before.some((g) => g.namespace === group);
}

const isHttpKind = (route: GatewayRoute) => route.kind === 'HTTPRoute' || route.kind === 'GRPCRoute';

function speaks({ protocol }: MeshPort): 'http' | 'stream' | 'either' {
  if (protocol === undefined) return 'either';
  return protocol === 'TCP' || protocol === 'TLS' ? 'stream' : 'http';
}

type Mute = Pick<RouteProblem, 'kind' | 'field' | 'message'>;

/** Ports that never speak what the route is about. */
function mute(route: GatewayRoute, ports: readonly MeshPort[]): readonly Mute[] {
  const wanted = isHttpKind(route) ? 'http' : 'stream';
  if (ports.length === 0 || ports.some((p) => speaks(p) === wanted || speaks(p) === 'either')) return [];
  const message = `port ${ports.map((p) => p.number).join()} speaks ${wanted === 'http' ? 'no HTTP' : 'HTTP, whose connections are not routed'}, by its appProtocol or name`;
  return [{ kind: 'ineffective', field: 'spec.parentRefs', message }];
}

/** Of a VirtualService for workloads; of one for gateways alone, and of a delegate, nothing is said. */
export function virtualServiceConditions(view: MeshView, vs: VirtualService): RouteConditions {
  const { hosts = [], gateways = [] } = vs.spec;
  const namespace = namespaceOf(vs);
  if (hosts.length === 0 || (gateways.length > 0 && !gateways.includes('mesh')))
    return new Map([
      ['ResolvedRefs', undefined],
      [ineffective, undefined],
    ]);
  const problems: RouteProblem[] = [];
  const found = hosts.flatMap((host) => (host.startsWith('*') ? [] : (view.resolve(host, namespace) ?? [])));
  for (const service of found) {
    for (const port of service.ports) {
      const context = contextOf(view, service, port);
      if (speaks(port) !== 'stream') problems.push(...virtualServiceRoutes(context, vs).problems);
      if (speaks(port) === 'http') continue;
      for (const section of ['tls', 'tcp'] as const) virtualServiceStreams(context, vs, section, problems);
    }
  }
  const unique = [...new Map(problems.map((p) => [`${p.object.namespace}/${p.object.name} ${p.field}`, p])).values()];
  const nobody = hosts
    .map((host, i) => ({ host, i }))
    .filter(({ host }) => !host.startsWith('*') && view.resolve(host, namespace) === undefined)
    .map(({ host, i }) => ({
      kind: 'ineffective' as const,
      field: `spec.hosts[${i}]`,
      message: `no service of the mesh has the name ${host}`,
    }));
  const wider = hosts.flatMap((host, i) => {
    const service = host.startsWith('*') ? undefined : view.resolve(host, namespace);
    if (!service?.hostname.startsWith('*')) return [];
    const message = `${service.kind} ${service.namespace}/${service.name} is of ${service.hostname}, which is routed as a whole: make a ServiceEntry of ${host}`;
    return [{ kind: 'ineffective' as const, field: `spec.hosts[${i}]`, message }];
  });
  const unpassed = found
    .filter((service) => service.waypoint === undefined)
    .map((service) => ({
      kind: 'ineffective' as const,
      field: 'spec.hosts',
      message: `${service.hostname} is behind no waypoint: only clients that read xDS themselves follow the routes; label it istio.io/use-waypoint`,
    }));
  return new Map([
    ['ResolvedRefs', resolution(unique)],
    [ineffective, ineffectiveness([...unique, ...nobody, ...wider, ...unpassed])],
  ]);
}

const anyPort: MeshPort = { number: 80, name: '', protocol: undefined };

/** In place of a parent that is not there: what the route refers to is looked up all the same. */
const nowhere: MeshService = {
  key: '',
  kind: 'Service',
  name: '',
  namespace: '',
  hostname: '',
  addresses: [],
  ports: [],
  resolution: 'endpoints',
  isExternal: false,
  subjectAltNames: [],
  balancing: undefined,
  waypoint: undefined,
  object: { apiVersion: 'v1', kind: 'Service', metadata: { name: '', uid: '', resourceVersion: '' } },
};

/** As the service's waypoint sees it, or as one in its namespace would. */
function contextOf(view: MeshView, service: MeshService, port: MeshPort): RouteContext {
  const gateway = service.waypoint ?? `${service.namespace}/`;
  return {
    view,
    service,
    port,
    gateway,
    namespace: gateway.slice(0, gateway.indexOf('/')),
    clientLabels: undefined,
    dialect: 'envoy',
    cluster: ({ service: to, port: number, subset }) => outboundCluster(to.hostname, number, subset),
    hash: () => undefined,
  };
}
