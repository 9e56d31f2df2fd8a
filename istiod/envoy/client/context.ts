/** What a plain Envoy, or a program without a proxy, is told of ways to one port of a service. */
import { policyOf, rulesFor } from '../clusters/rules.ts';
import type { MeshPort, MeshService, MeshView, RouteContext } from '../inputs.ts';
import { outboundCluster } from '../names.ts';
import type { ClientProxy } from '../proxy.ts';
import type { Route } from '../routes/envoy.ts';
import { httpRoutesOf } from '../routes/http.ts';
import type { StreamRoute } from '../routes/results.ts';
import { tcpRoutesOf } from '../routes/stream.ts';
import { type Message, none } from '../values.ts';

export interface Destination {
  readonly service: MeshService;
  readonly port: MeshPort;
}

interface Ways<T> {
  readonly routes: readonly T[];
  /** Names of clusters that they send to. */
  readonly targets: ReadonlySet<string>;
}

export function requestsTo(view: MeshView, proxy: ClientProxy, to: Destination): Ways<Route | Message> {
  const { context, targets, straight } = scopeOf(view, proxy, to);
  if (to.service.waypoint === undefined) return { routes: httpRoutesOf(context).routes, targets };
  const route = { name: 'default', match: { prefix: '/' }, route: { cluster: straight(), timeout: none } };
  return { routes: [route], targets };
}

export function connectionsTo(
  view: MeshView,
  proxy: ClientProxy,
  to: Destination,
): Ways<Pick<StreamRoute, 'sni' | 'destinations' | 'clusters' | 'tunnel'>> {
  const { context, targets, straight } = scopeOf(view, proxy, to);
  if (to.service.waypoint === undefined) return { routes: tcpRoutesOf(context).routes, targets };
  return { routes: [{ sni: [], destinations: [], clusters: [{ name: straight(), weight: 1 }] }], targets };
}

interface Scope {
  readonly context: RouteContext;
  readonly targets: ReadonlySet<string>;
  /** What is behind a waypoint is routed there. */
  readonly straight: () => string;
}

function scopeOf(view: MeshView, proxy: ClientProxy, { service, port }: Destination): Scope {
  const targets = new Set<string>();
  const context: RouteContext = {
    view,
    service,
    port,
    gateway: undefined,
    namespace: proxy.namespace,
    clientLabels: proxy.labels,
    dialect: proxy.isGrpc ? 'grpc' : 'envoy',
    cluster(target) {
      const name = outboundCluster(target.service.hostname, target.port, target.subset);
      targets.add(name);
      return name;
    },
    hash({ service: to, port: number, subset }) {
      const rules = rulesFor(view, to, proxy.namespace, proxy.labels);
      const chosen = rules.subsets.find((s) => s.name === subset);
      return policyOf(rules, number, chosen).loadBalancer?.consistentHash;
    },
  };
  return { context, targets, straight: () => context.cluster({ service, port: port.number, subset: '' }) };
}
