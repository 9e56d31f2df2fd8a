/** Which routes of the Gateway API count for a port of a service, and for whose requests. */
import type { GrpcRoute } from '../../../../common/kube/kinds/gateway-api/grpc-route.ts';
import type { HttpRoute } from '../../../../common/kube/kinds/gateway-api/http-route.ts';
import type { StreamRoute, TlsRoute } from '../../../../common/kube/kinds/gateway-api/stream-routes.ts';
import { namespaceOf } from '../../../../common/kube/names.ts';
import type { RouteContext, RouteParent } from '../../inputs.ts';

export type GatewayRoute = HttpRoute | GrpcRoute | StreamRoute | TlsRoute;

/**
 * Routes of one kind that count together. `producer`: of the service's namespace, or of its waypoint's, for everybody. `consumer`: of
 * another namespace, for requests from there, which see no other routes (GEP-1294). To a client whatever it sees is for everybody.
 */
export interface RouteGroup<T> {
  readonly kind: 'producer' | 'consumer';
  /** Of the consumers; of producers the service's. */
  readonly namespace: string;
  readonly routes: readonly T[];
}

export interface Attached {
  readonly http: readonly RouteGroup<HttpRoute>[];
  readonly grpc: readonly RouteGroup<GrpcRoute>[];
  readonly tls: readonly RouteGroup<TlsRoute>[];
  readonly tcp: readonly RouteGroup<StreamRoute>[];
}

/** Consumers first. A client that has routes of its own namespace sees those alone. */
export function attachedTo(context: RouteContext): Attached {
  const { view, service } = context;
  const parent = `${service.kind}/${service.namespace}/${service.name}` as RouteParent;
  const lists = {
    http: view.httpRoutes(parent).filter((r) => namesPort(context, r)),
    grpc: view.grpcRoutes(parent).filter((r) => namesPort(context, r)),
    tls: view.tlsRoutes(parent).filter((r) => namesPort(context, r)),
    tcp: view.tcpRoutes(parent).filter((r) => namesPort(context, r)),
  };
  const groups = context.gateway === undefined ? clientGroups(context, lists) : waypointGroups(context);
  return { http: groups(lists.http), grpc: groups(lists.grpc), tls: groups(lists.tls), tcp: groups(lists.tcp) };
}

type Grouping = <T extends GatewayRoute>(routes: readonly T[]) => readonly RouteGroup<T>[];

function clientGroups(
  { service, namespace }: RouteContext,
  lists: Readonly<Record<string, readonly GatewayRoute[]>>,
): Grouping {
  const hasOwn = Object.values(lists).some((routes) => routes.some((r) => namespaceOf(r) === namespace));
  const counts = hasOwn ? namespace : service.namespace;
  return (all) => {
    const routes = all.filter((r) => namespaceOf(r) === counts);
    return routes.length === 0 ? [] : [{ kind: 'producer', namespace: counts, routes }];
  };
}

function waypointGroups({ service, namespace: own }: RouteContext): Grouping {
  const isProducer = (namespace: string) => namespace === service.namespace || namespace === own;
  return (all) => {
    const foreign = new Set(all.map(namespaceOf).filter((namespace) => !isProducer(namespace)));
    const producers = all.filter((r) => isProducer(namespaceOf(r)));
    return [
      ...[...foreign].sort().map((namespace) => {
        const routes = all.filter((r) => namespaceOf(r) === namespace);
        return { kind: 'consumer' as const, namespace, routes };
      }),
      ...(producers.length === 0
        ? []
        : [{ kind: 'producer' as const, namespace: service.namespace, routes: producers }]),
    ];
  };
}

/** Without a port or the name of one all of the service are meant. */
function namesPort({ service, port }: RouteContext, route: GatewayRoute): boolean {
  return (route.spec.parentRefs ?? []).some(
    (ref) =>
      ref.kind === service.kind &&
      ref.name === service.name &&
      (ref.namespace ?? namespaceOf(route)) === service.namespace &&
      (ref.port === undefined || ref.port === port.number) &&
      (ref.sectionName === undefined || ref.sectionName === port.name),
  );
}
