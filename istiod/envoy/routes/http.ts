/** Everything that says where requests to a port of a service go, in the order in which it counts. */
import type { HttpRoute } from '../../../common/kube/kinds/gateway-api/http-route.ts';
import type { RouteContext } from '../inputs.ts';
import { forwardTo, perFilter } from './destinations.ts';
import type { Route } from './envoy.ts';
import { attachedTo } from './gateway-api/attach.ts';
import { grpcRules } from './gateway-api/grpc-route.ts';
import { httpRules } from './gateway-api/http-route.ts';
import { groupRoutes } from './gateway-api/rules.ts';
import type { HttpRoutes, RouteProblem } from './results.ts';
import { type Retries, retryPolicy } from './retries.ts';
import { backendSession, sessionFilter } from './sessions.ts';
import { routeObject, takesAll } from './values.ts';
import { virtualServiceRoutes } from './virtual-service/http.ts';
import { selectVirtualServices } from './virtual-service/select.ts';

/** For a service that no route speaks of: what Istio calls the route that leads there anyway. */
const defaultName = 'default';

/**
 * VirtualServices and the routes of the Gateway API, which count as one object, are merged oldest first; what takes every request comes
 * last. Before them come those of consumers, for their own requests.
 */
export function httpRoutesOf(context: RouteContext): HttpRoutes {
  const groups = gatewayRoutes(context);
  const consumers = groups.filter((g) => g.kind === 'consumer');
  const others = [
    ...groups.filter((g) => g.kind === 'producer'),
    ...selectVirtualServices(context)
      .filter((vs) => vs.spec.http !== undefined)
      .map((vs) => ({ ...virtualServiceRoutes(context, vs), created: vs.metadata.creationTimestamp ?? '' })),
  ].sort((a, b) => (a.created === b.created ? 0 : a.created < b.created ? -1 : 1));
  const mine = ordered(others.flatMap((m) => m.routes));
  const all = [...consumers, ...others];
  return {
    routes: [...consumers.flatMap((g) => g.routes), ...(mine.length === 0 ? [defaultRoute(context)] : mine)],
    problems: all.flatMap((m) => m.problems),
    objects: all.flatMap((m) => m.objects),
  };
}

/** A namespace's GRPCRoutes put its HTTPRoutes aside: kinds are not mixed on one port (GEP-1294). */
function gatewayRoutes(context: RouteContext) {
  const { http, grpc } = attachedTo(context);
  const grpcGroups = grpc.map((group) => ({ ...groupRoutes(context, group, grpcRules), kind: group.kind }));
  const httpGroups = http.map((group) => {
    if (!grpc.some((g) => g.namespace === group.namespace))
      return { ...groupRoutes(context, group, httpRules), kind: group.kind };
    return { routes: [], problems: group.routes.map(shadowed), objects: [], created: '', kind: group.kind };
  });
  return [...grpcGroups, ...httpGroups];
}

function shadowed(route: HttpRoute): RouteProblem {
  const message = 'GRPCRoutes of the same parent come first, and kinds are not mixed: requests do not get here';
  return { kind: 'shadowed', object: routeObject(route), field: 'spec.parentRefs', message };
}

/** Up to the first that takes every request: nothing gets behind it. */
function ordered(routes: readonly Route[]): readonly Route[] {
  const all = routes.find((r) => takesAll(r.match));
  return [...routes.filter((r) => !takesAll(r.match)), ...(all === undefined ? [] : [all])];
}

function defaultRoute(context: RouteContext): Route {
  const target = { service: context.service, port: context.port.number, subset: '' };
  const { route, session } = forwardTo(context.dialect, {
    targets: [
      {
        cluster: context.cluster(target),
        weight: 1,
        changes: {},
        host: undefined,
        hash: context.hash(target),
        session: backendSession(context, target),
      },
    ],
    timeout: undefined,
    retries: (hashed) => retryPolicy(context.view.facts.defaultRetries as Retries | undefined, hashed),
    rewrite: undefined,
    host: undefined,
    mirrors: [],
    missing: 503,
  });
  return {
    name: defaultName,
    match: { prefix: '/' },
    route,
    ...perFilter({ [sessionFilter]: session }),
    decorator: { operation: `${context.service.hostname}:${context.port.number}/*` },
    metadata: { filter_metadata: {} },
  };
}
