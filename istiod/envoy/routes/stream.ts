/** Everything that says where connections to a port of a service go that are not read as HTTP. */
import type { VirtualService } from '../../../common/kube/kinds/istio/virtual-service.ts';
import { rulesFor } from '../clusters/rules.ts';
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
  const of = (kind: 'producer' | 'consumer', namespace?: string) => {
    const here = <T extends GatewayRoute>(groups: readonly RouteGroup<T>[]) =>
      groups.filter((g) => g.kind === kind && (namespace === undefined || g.namespace === namespace));
    return [
      chosen(here(tls), [...grpc, ...http], problems),
      chosen(here(tcp), [...grpc, ...http, ...tls], problems),
    ] as const;
  };
  const consumers = [...new Set([...tls, ...tcp].flatMap((g) => (g.kind === 'consumer' ? [g.namespace] : [])))].map(
    (namespace) => ({ namespace, routes: of('consumer', namespace).flat() }),
  );
  const [names, rest] = of('producer');
  const section = (name: 'tls' | 'tcp', routes: readonly GatewayRoute[]) =>
    byAge([...services, ...routes]).flatMap((object) =>
      object.kind === 'VirtualService'
        ? virtualServiceStreams(context, object as VirtualService, name, problems)
        : streamRoute(context, object as Parameters<typeof streamRoute>[1], problems),
    );
  // Who has routes of its own namespace sees no others (GEP-1294).
  const own = consumers.flatMap(({ namespace, routes }) =>
    routes.length === 0
      ? []
      : upToAll([...routes.flatMap((r) => streamRoute(context, r, problems)), fallback(context)]).map((route) => ({
          ...route,
          name: route.object === undefined ? `default.${namespace}` : route.name,
          callers: namespace,
        })),
  );
  const routes = [...own, ...upToAll([...section('tls', names), ...section('tcp', rest), fallback(context)])].map(
    (route) => withTunnel(context, route),
  );
  const objects = new Map<string, RouteObject>();
  for (const object of [
    ...services.filter((vs) => vs.spec.tls ?? vs.spec.tcp),
    ...names,
    ...rest,
    ...consumers.flatMap((c) => c.routes),
  ].map(routeObject))
    objects.set(`${object.kind}/${object.namespace}/${object.name}`, object);
  return { routes, problems, objects: [...objects.values()] };
}

/** Routes that count; `before` are those of kinds that come first. */
function chosen<T extends GatewayRoute>(
  groups: readonly RouteGroup<T>[],
  before: readonly RouteGroup<GatewayRoute>[],
  problems: RouteProblem[],
): readonly T[] {
  return groups.flatMap(({ namespace, routes }) => {
    if (!before.some((g) => g.namespace === namespace)) return routes;
    const message =
      'routes of a more specific kind have the same parent, and kinds are not mixed: connections do not get here';
    for (const route of routes)
      problems.push({ kind: 'shadowed', object: routeObject(route), field: 'spec.parentRefs', message });
    return [];
  });
}

function byAge<T extends VirtualService | GatewayRoute>(objects: readonly T[]): readonly T[] {
  const created = (object: T) => object.metadata.creationTimestamp ?? '';
  return [...objects].sort((a, b) => (created(a) === created(b) ? 0 : created(a) < created(b) ? -1 : 1));
}

function upToAll(routes: readonly StreamRoute[]): readonly StreamRoute[] {
  const all = routes.findIndex((r) => r.sni.length === 0 && r.destinations.length === 0 && r.callers === undefined);
  return routes.slice(0, all + 1);
}

function fallback(context: RouteContext): StreamRoute {
  const target = { service: context.service, port: context.port.number, subset: '' };
  const clusters = [{ name: context.cluster(target), weight: 1, target }];
  return { name: 'default', sni: [], destinations: [], clusters, object: undefined };
}

/** As Istio chooses: what the rule of the first destination says, or where that is the only one, of its subset. */
function withTunnel({ view, namespace, clientLabels }: RouteContext, route: StreamRoute): StreamRoute {
  const [first, ...others] = route.clusters;
  if (first?.target === undefined) return route;
  const { service, subset } = first.target;
  const { policy, subsets } = rulesFor(view, service, namespace, clientLabels);
  const isOfSubset = others.length === 0 && subset !== '';
  const chosen = isOfSubset ? subsets.find((s) => s.name === subset)?.trafficPolicy : policy;
  return chosen?.tunnel ? { ...route, tunnel: chosen.tunnel } : route;
}
