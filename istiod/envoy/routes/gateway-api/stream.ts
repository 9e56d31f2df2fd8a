/** TLSRoute and TCPRoute: where connections go. */
import type { StreamRoute as TcpRoute, TlsRoute } from '../../../../common/kube/kinds/gateway-api/stream-routes.ts';
import { namespaceOf } from '../../../../common/kube/names.ts';
import type { RouteContext } from '../../inputs.ts';
import type { RouteProblem, StreamRoute } from '../results.ts';
import { routeObject } from '../values.ts';

import { findBackend, unknownCluster } from './backends.ts';

/** The oldest of TCPRoutes gets all connections; the others come behind it. */
export function streamRoute(
  context: RouteContext,
  route: TcpRoute | TlsRoute,
  problems: RouteProblem[],
): readonly StreamRoute[] {
  const namespace = namespaceOf(route);
  const object = routeObject(route);
  return route.spec.rules.map(({ name, backendRefs }, i): StreamRoute => {
    const clusters = backendRefs.flatMap((ref, j) => {
      const backend = findBackend(context, ref, namespace);
      const weight = ref.weight ?? 1;
      if (backend.kind === 'unresolved') {
        const { reason, message } = backend;
        const field = `spec.rules[${i}].backendRefs[${j}].${backend.field}`;
        problems.push({ kind: 'unresolved', object, field, reason, message });
      }
      if (weight === 0) return [];
      return backend.kind === 'found'
        ? [{ name: backend.cluster, weight, target: backend.target }]
        : [{ name: unknownCluster, weight }];
    });
    const sni = 'hostnames' in route.spec ? route.spec.hostnames : [];
    return { name: name ?? `${namespace}.${route.metadata.name}.${i}`, sni, destinations: [], clusters, object };
  });
}
