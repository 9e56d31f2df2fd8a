/**
 * What plain Envoys and gRPC programs without a proxy are told: of the services whose names they ask for, and Envoys of all that they
 * see where they ask for everything. A listener asked for by name is `host:port`, as a gRPC program dials `xds:///host:port`; its
 * routes and clusters are `outbound|port|subset|host`.
 */
import { makeCluster, type NamedCluster } from '../clusters/cluster.ts';
import { policyOf, rulesFor } from '../clusters/rules.ts';
import { secretPlanOf, secretResource } from '../credentials.ts';
import { type AssignmentPlan, assignment } from '../endpoints/assignment.ts';
import { addressAssignment } from '../endpoints/virtual.ts';
import type { MeshView } from '../inputs.ts';
import { outboundCluster, parseOutbound } from '../names.ts';
import type { ClientProxy } from '../proxy.ts';
import type { MadeResource, Remember } from '../remember.ts';
import {
  clusterTypeUrl,
  type EnvoyType,
  endpointTypeUrl,
  listenerTypeUrl,
  routeTypeUrl,
  secretTypeUrl,
} from '../types.ts';
import { ads, extension, typed } from '../values.ts';
import { type Destination, requestsTo } from './context.ts';
import { isSeen } from './egress.ts';
import { type Outbound, outboundOf } from './outbound.ts';

export class ClientConfiguration {
  readonly #proxy: ClientProxy;
  readonly #remember: Remember;
  readonly #asked = new Map<string, Wanted>();
  /** Of those who ask for everything. */
  #outbound: (() => Outbound) | undefined;

  constructor(proxy: ClientProxy, remember: Remember) {
    this.#proxy = proxy;
    this.#remember = remember;
  }

  /** Somebody wants it from now on. */
  ask(type: EnvoyType, name: string): void {
    this.#asked.set(`${type} ${name}`, { type, name });
  }

  /** Somebody wants all that there is of a type from now on, which gRPC programs never do. */
  askAll(): void {
    if (!this.#proxy.isGrpc) this.#outbound ??= outboundOf(this.#proxy, this.#remember);
  }

  resources(): readonly MadeResource[] {
    const { resources, clusters } = this.#outbound?.() ?? nothing;
    const all = new Map(resources.map((r) => [`${r.type} ${r.name}`, r]));
    const wanted = new Map([...clusters].map((name) => [`${clusterTypeUrl} ${name}`, { type: clusterTypeUrl, name }]));
    for (const [id, { type, name }] of new Map<string, Wanted>([...wanted, ...this.#asked])) {
      if (all.has(id)) continue;
      const made = this.#remember(id, (view) => make(view, this.#proxy, type, name));
      if (made.value !== undefined) all.set(id, { type, name, message: made.value, from: [made.id] });
    }
    return [...all.values()];
  }
}

interface Wanted {
  readonly type: EnvoyType;
  readonly name: string;
}

const nothing: Outbound = { resources: [], clusters: new Set() };

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

interface Found extends Destination {
  readonly subset: string;
}

function find(view: MeshView, proxy: ClientProxy, name: string): Found | undefined {
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
  return typed('envoy.config.route.v3.RouteConfiguration', {
    name,
    virtual_hosts: [{ name, domains: ['*'], routes: requestsTo(view, proxy, found).routes }],
    validate_clusters: { value: false },
  });
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
