/** Everything that says where connections to a port of a service go that are not read as HTTP. */
import type { VirtualService } from '../../../common/kube/kinds/istio/virtual-service.ts';
import type { RouteContext } from '../inputs.ts';
import { attachedTo, type GatewayRoute, type RouteGroup } from './gateway-api/attach.ts';
import { streamRoute } from './gateway-api/stream.ts';
import type { RouteObject, RouteProblem, StreamRoute, StreamRoutes } from './results.ts';
import { routeObject } from './values.ts';
import { selectVirtualServices } from './virtual-service/select.ts';
import { virtualServiceStreams } from './virtual-service/stream.ts';

/**
 * First what tells TLS apart by names, then the rest; of each, objects oldest first. TCPRoutes beside TLSRoutes are put aside, and both
 * beside routes that need HTTP (GEP-1294).
 */
export function tcpRoutesOf(context: RouteContext): StreamRoutes {
  const problems: RouteProblem[] = [];
  const services = selectVirtualServices(context);
  const { http, grpc, tls, tcp } = attachedTo(context);
  const [names, rest] = [
    chosen(context, tls, [...grpc, ...http], problems),
    chosen(context, tcp, [...grpc, ...http, ...tls], problems),
  ];
  const section = (name: 'tls' | 'tcp', routes: readonly GatewayRoute[]) =>
    byAge([...services, ...routes]).flatMap((object) =>
      object.kind === 'VirtualService'
        ? virtualServiceStreams(context, object as VirtualService, name, problems)
        : streamRoute(context, object as Parameters<typeof streamRoute>[1], problems),
    );
  const routes = upToAll([...section('tls', names), ...section('tcp', rest), fallback(context)]);
  const objects = new Map<string, RouteObject>();
  for (const object of [...services.filter((vs) => vs.spec.tls ?? vs.spec.tcp), ...names, ...rest].map(routeObject))
    objects.set(`${object.kind}/${object.namespace}/${object.name}`, object);
  return { routes, problems, objects: [...objects.values()] };
}

/** Routes that count for everybody; `before` are those of kinds that come first. */
function chosen<T extends GatewayRoute>(
  context: RouteContext,
  groups: readonly RouteGroup<T>[],
  before: readonly RouteGroup<GatewayRoute>[],
  problems: RouteProblem[],
): readonly T[] {
  const problem = (route: T, kind: 'ineffective' | 'shadowed', message: string) =>
    problems.push({ kind, object: routeObject(route), field: 'spec.parentRefs', message });
  return groups.flatMap(({ kind, namespace, routes }) => {
    if (kind === 'consumer') {
      const message = `connections are not told apart by their callers at a waypoint: routes of namespace ${namespace} have no effect on those to ${context.service.namespace}`;
      for (const route of routes) problem(route, 'ineffective', message);
      return [];
    }
    if (!before.some((g) => g.namespace === namespace)) return routes;
    const message =
      'routes of a more specific kind have the same parent, and kinds are not mixed: connections do not get here';
    for (const route of routes) problem(route, 'shadowed', message);
    return [];
  });
}

function byAge<T extends VirtualService | GatewayRoute>(objects: readonly T[]): readonly T[] {
  const created = (object: T) => object.metadata.creationTimestamp ?? '';
  return [...objects].sort((a, b) => (created(a) === created(b) ? 0 : created(a) < created(b) ? -1 : 1));
}

function upToAll(routes: readonly StreamRoute[]): readonly StreamRoute[] {
  const all = routes.findIndex((r) => r.sni.length === 0 && r.destinations.length === 0);
  return routes.slice(0, all + 1);
}

function fallback(context: RouteContext): StreamRoute {
  const name = context.cluster({ service: context.service, port: context.port.number, subset: '' });
  return { name: 'default', sni: [], destinations: [], clusters: [{ name, weight: 1 }], object: undefined };
}
