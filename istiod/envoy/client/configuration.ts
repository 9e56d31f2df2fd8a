/**
 * What plain Envoys and gRPC programs without a proxy are told: of the services whose names they ask for. A listener is `host:port`,
 * as a gRPC program dials `xds:///host:port`; its routes and clusters are `outbound|port|subset|host`.
 */
import { makeCluster, type NamedCluster } from '../clusters/cluster.ts';
import { policyOf, rulesFor } from '../clusters/rules.ts';
import { secretPlanOf, secretResource } from '../credentials.ts';
import { type AssignmentPlan, assignment } from '../endpoints/assignment.ts';
import { addressAssignment } from '../endpoints/virtual.ts';
import type { MeshPort, MeshService, MeshView, RouteContext } from '../inputs.ts';
import { outboundCluster, parseOutbound } from '../names.ts';
import type { ClientProxy } from '../proxy.ts';
import type { MadeResource, Remember } from '../remember.ts';
import { httpRoutesOf } from '../routes/http.ts';
import {
  clusterTypeUrl,
  type EnvoyType,
  endpointTypeUrl,
  listenerTypeUrl,
  routeTypeUrl,
  secretTypeUrl,
} from '../types.ts';
import { ads, extension, type Message, none, typed } from '../values.ts';
import { isSeen } from './egress.ts';

export class ClientConfiguration {
  readonly #proxy: ClientProxy;
  readonly #remember: Remember;
  readonly #asked = new Map<string, { readonly type: EnvoyType; readonly name: string }>();

  constructor(proxy: ClientProxy, remember: Remember) {
    this.#proxy = proxy;
    this.#remember = remember;
  }

  /** Somebody wants it from now on. */
  ask(type: EnvoyType, name: string): void {
    this.#asked.set(`${type} ${name}`, { type, name });
  }

  resources(): readonly MadeResource[] {
    return [...this.#asked].flatMap(([id, { type, name }]) => {
      const made = this.#remember(id, (view) => make(view, this.#proxy, type, name));
      return made.value === undefined ? [] : [{ type, name, message: made.value, from: [made.id] }];
    });
  }
}

type Made = MadeResource['message'];

/** undefined: there is no such service, or port, or subset. */
function make(view: MeshView, proxy: ClientProxy, type: EnvoyType, name: string): Made | undefined {
  switch (type) {
    case listenerTypeUrl:
      return listener(view, proxy, name);
    case routeTypeUrl:
      return routes(view, proxy, name);
    case clusterTypeUrl:
      return cluster(view, proxy, name)?.cluster;
    case secretTypeUrl: {
      const plan = secretPlanOf(name, proxy.namespace);
      return plan && secretResource(view, proxy, plan);
    }
    case endpointTypeUrl:
      return endpoints(view, proxy, name);
  }
}

function listener(view: MeshView, proxy: ClientProxy, name: string): Made | undefined {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(name) ?? [];
  const service = host === undefined ? undefined : view.resolve(host, proxy.namespace);
  if (!service?.ports.some((p) => p.number === Number(port))) return undefined;
  if (!isSeen(view, proxy, service, Number(port))) return undefined;
  const manager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: name,
    rds: { config_source: ads, route_config_name: outboundCluster(service.hostname, Number(port)) },
    http_filters: [
      extension('envoy.filters.http.fault', 'envoy.extensions.filters.http.fault.v3.HTTPFault'),
      extension('envoy.filters.http.router', 'envoy.extensions.filters.http.router.v3.Router'),
    ],
  });
  return typed('envoy.config.listener.v3.Listener', { name, api_listener: { api_listener: manager } });
}

interface Destination {
  readonly service: MeshService;
  readonly port: MeshPort;
  readonly subset: string;
}

function find(view: MeshView, proxy: ClientProxy, name: string): Destination | undefined {
  const parsed = parseOutbound(name);
  if (parsed === undefined) return undefined;
  const service = view.resolve(parsed.hostname, proxy.namespace);
  const port = service?.ports.find((p) => p.number === parsed.port);
  return service && port && { service, port, subset: parsed.subset };
}

function routes(view: MeshView, proxy: ClientProxy, name: string): Made | undefined {
  const found = find(view, proxy, name);
  if (found === undefined || !isSeen(view, proxy, found.service, found.port.number))
    // Envoy keeps routes that are taken away, and would go on by them.
    return proxy.isGrpc ? undefined : typed('envoy.config.route.v3.RouteConfiguration', { name });
  // What is behind a waypoint is routed there.
  const isRouted = found.service.waypoint === undefined;
  const made = isRouted ? httpRoutesOf(contextOf(view, proxy, found)).routes : [straight(name)];
  return typed('envoy.config.route.v3.RouteConfiguration', {
    name,
    virtual_hosts: [{ name, domains: ['*'], routes: made }],
    validate_clusters: { value: false },
  });
}

function straight(cluster: string): Message {
  return { name: 'default', match: { prefix: '/' }, route: { cluster, timeout: none } };
}

function contextOf(view: MeshView, proxy: ClientProxy, { service, port }: Destination): RouteContext {
  return {
    view,
    service,
    port,
    gateway: undefined,
    namespace: proxy.namespace,
    clientLabels: proxy.labels,
    dialect: proxy.isGrpc ? 'grpc' : 'envoy',
    cluster: (target) => outboundCluster(target.service.hostname, target.port, target.subset),
    hash({ service: to, port: number, subset }) {
      const rules = rulesFor(view, to, proxy.namespace, proxy.labels);
      const chosen = rules.subsets.find((s) => s.name === subset);
      return policyOf(rules, number, chosen).loadBalancer?.consistentHash;
    },
  };
}

function cluster(
  view: MeshView,
  proxy: ClientProxy,
  name: string,
): { readonly cluster: NamedCluster; readonly assignment: AssignmentPlan | undefined } | undefined {
  const found = find(view, proxy, name);
  if (found === undefined) return undefined;
  const { service, port } = found;
  const rules = rulesFor(view, service, proxy.namespace, proxy.labels);
  const subset = rules.subsets.find((s) => s.name === found.subset);
  if (found.subset !== '' && subset === undefined) return undefined;
  const kind = port.protocol === 'TCP' || port.protocol === 'TLS' ? 'tcp' : 'http';
  return makeCluster(view, proxy, { name, service, port, kind, subset, policy: policyOf(rules, port.number, subset) });
}

function endpoints(view: MeshView, proxy: ClientProxy, name: string): Made | undefined {
  const plan = cluster(view, proxy, name)?.assignment;
  if (plan === undefined) return undefined;
  const { service } = plan;
  const isBehind = service.waypoint !== undefined && service.addresses.length > 0;
  // The node proxy leads connections to its address to the waypoint; those to its pods would pass it by.
  if (isBehind) return addressAssignment(proxy, plan);
  return assignment(view, proxy, plan);
}
