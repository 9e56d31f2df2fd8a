/**
 * Which waypoint stands before a Service or a Pod (ambient-wire 9.1, 9.2): labels of the object or its namespace name a
 * Gateway of class istio-waypoint. One that is named and not ready is announced all the same, by the name that it will have:
 * node proxies refuse until they know it (DESIGN 12, `no-waypoint`), where Istio would let traffic past it.
 */
import { type Port, parseIp } from '../../common/core/net.ts';
import type { Namespace, Pod, Service } from '../../common/kube/kinds/core.ts';
import type { Gateway, GatewayListener } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { ApplicationTunnel, GatewayAddress, WeightedWaypoint } from '../../common/mesh/types.ts';
import { selectsLabels } from './selector.ts';
import { hostnameOf } from './service.ts';
import { type MeshSettings, network } from './settings.ts';

export const waypointClass = 'istio-waypoint';
/** On pods of a Gateway: its name. */
export const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';

const useLabel = 'istio.io/use-waypoint';
const hbonePort = 15_008 as Port;
const managedControllers = new Set(['istio.io-mesh-controller', 'istio.io-eastwest-controller']);

/** Of type istio.io/WaypointBound (ambient-wire 9.3). */
export interface BoundCondition {
  readonly status: 'True' | 'False';
  readonly reason: 'WaypointAccepted' | 'WaypointIsNotReady' | 'AttachmentDenied' | 'UnsupportedTrafficType';
  readonly message: string;
}

export interface Binding {
  readonly waypoint?: GatewayAddress;
  readonly weighted: readonly WeightedWaypoint[];
  /** undefined where no waypoint is named. */
  readonly condition: BoundCondition | undefined;
  /** What it was made of. */
  readonly from: readonly Gateway[];
}

/** What the rules look at besides the object itself. */
export interface WaypointScope {
  /** Of the object. */
  readonly namespace: Namespace | undefined;
  /** By `namespace/name`. */
  readonly gateways: ReadonlyMap<string, Gateway>;
  readonly settings: MeshSettings;
}

const unbound: Binding = { weighted: [], condition: undefined, from: [] };

export function bindService(service: Service, scope: WaypointScope): Binding {
  const named = isOfGateway(service, scope) ? undefined : nameOf(service, scope);
  const primary = named && judge(named, 'service', scope);
  if (!primary || primary.kind === 'silent') return unbound;
  const from = primary.gateway ? [primary.gateway] : [];
  if (primary.kind === 'denied') return { weighted: [], condition: primary.condition, from };
  const canary = primary.kind === 'ready' ? canaryOf(named, primary.address, scope) : undefined;
  const condition = canary?.problem
    ? { ...primary.condition, message: `${primary.condition.message}; ${canary.problem}` }
    : primary.condition;
  return {
    waypoint: primary.address,
    weighted: canary?.weighted ?? [],
    condition,
    from: canary?.gateway ? [...from, canary.gateway] : from,
  };
}

export function bindPod(pod: Pod, scope: WaypointScope): Binding {
  const named = gatewayOfPod(pod, scope) ? undefined : nameOf(pod, scope);
  const found = named && judge(named, 'workload', scope);
  if (!found || found.kind === 'silent') return unbound;
  const from = found.gateway ? [found.gateway] : [];
  if (found.kind === 'denied') return { weighted: [], condition: found.condition, from };
  return { waypoint: found.address, weighted: [], condition: found.condition, from };
}

/** How the pods of a sandwiched waypoint take connections, by the annotation `PROXY[/port]` or `NONE[/port]` of their Gateway. */
export function applicationTunnelOf(pod: Pod, scope: WaypointScope): ApplicationTunnel | undefined {
  const gateway = gatewayOfPod(pod, scope);
  return gateway && inboundBinding(gateway);
}

/** The waypoint that the pod is an instance of. */
export function gatewayOfPod(pod: Pod, { gateways }: WaypointScope): Gateway | undefined {
  const name = pod.metadata.labels?.[gatewayNameLabel];
  const gateway = name === undefined ? undefined : gateways.get(`${pod.metadata.namespace}/${name}`);
  return gateway?.spec.gatewayClassName === waypointClass ? gateway : undefined;
}

interface Named {
  readonly namespace: string;
  readonly name: string;
  /** Whose labels say so. */
  readonly by: KubeObject;
  readonly own: boolean;
  /** Of the object that it is for. */
  readonly client: string;
}

function nameOf(object: KubeObject, scope: WaypointScope): Named | undefined {
  const by = [object, scope.namespace].find((o) => o?.metadata.labels?.[useLabel] !== undefined);
  const labels = by?.metadata.labels;
  const name = labels?.[useLabel];
  if (!by || name === undefined || name === 'none' || name === '') return undefined;
  const client = object.metadata.namespace ?? 'default';
  return { namespace: labels?.[`${useLabel}-namespace`] ?? client, name, by, own: by === object, client };
}

type Judged =
  | {
      readonly kind: 'ready' | 'not-ready';
      readonly gateway: Gateway | undefined;
      readonly address: GatewayAddress;
      readonly condition: BoundCondition;
    }
  | { readonly kind: 'denied'; readonly gateway: Gateway; readonly condition: BoundCondition }
  /** Of another type than the object, and only the namespace names it. */
  | { readonly kind: 'silent'; readonly gateway: Gateway | undefined };

function judge(named: Named, type: 'service' | 'workload', scope: WaypointScope): Judged {
  const id = `${named.namespace}/${named.name}`;
  const gateway = scope.gateways.get(id);
  const isWaypoint = gateway?.spec.gatewayClassName === waypointClass;
  if (!gateway || !isWaypoint) {
    // Before it exists nobody can say what it is for; the default is services.
    if (type === 'workload' && !named.own) return { kind: 'silent', gateway: undefined };
    const what = gateway ? `is a Gateway of class ${gateway.spec.gatewayClassName}` : 'does not exist';
    return notReady(named, undefined, `waypoint ${id} ${what}; connections are refused until it is there`, scope);
  }
  const serves = gateway.metadata.labels?.['istio.io/waypoint-for'] ?? 'service';
  if (serves !== type && serves !== 'all') {
    if (!named.own) return { kind: 'silent', gateway };
    const message = `waypoint ${id} is for ${JSON.stringify(serves)} (istio.io/waypoint-for), not for a ${type}`;
    return { kind: 'denied', gateway, condition: { status: 'False', reason: 'UnsupportedTrafficType', message } };
  }
  if (!admits(gateway, named.client, scope)) {
    const message = `waypoint ${id} does not take namespace ${named.client}; see allowedRoutes of its HBONE listener`;
    return { kind: 'denied', gateway, condition: { status: 'False', reason: 'AttachmentDenied', message } };
  }
  const address = addressOf(gateway);
  if (!address) {
    return notReady(named, gateway, `waypoint ${id} has no address yet; connections are refused until it has`, scope);
  }
  const condition = { status: 'True', reason: 'WaypointAccepted', message: `bound to waypoint ${id}` } as const;
  return { kind: 'ready', gateway, address, condition };
}

function notReady(named: Named, gateway: Gateway | undefined, message: string, { settings }: WaypointScope): Judged {
  const { namespace, name } = named;
  const hostname = `${name}.${namespace}.svc.${settings.domain}`;
  const address = { destination: { kind: 'hostname' as const, namespace, hostname }, hboneMtlsPort: hbonePort };
  return { kind: 'not-ready', gateway, address, condition: { status: 'False', reason: 'WaypointIsNotReady', message } };
}

/** A host name rather than an address. undefined while its status has neither. */
function addressOf(gateway: Gateway): GatewayAddress | undefined {
  const { namespace = 'default' } = gateway.metadata;
  const addresses = gateway.status?.addresses ?? [];
  const hostname = addresses.find((a) => a.type === 'Hostname')?.value;
  if (hostname !== undefined) {
    return { destination: { kind: 'hostname', namespace, hostname }, hboneMtlsPort: hbonePort };
  }
  const ip = addresses.filter((a) => (a.type ?? 'IPAddress') === 'IPAddress').flatMap((a) => parseIp(a.value) ?? [])[0];
  return ip === undefined ? undefined : { destination: { kind: 'address', network, ip }, hboneMtlsPort: hbonePort };
}

/** Whether its listener takes objects of that namespace. */
function admits(gateway: Gateway, client: string, { namespace }: WaypointScope): boolean {
  const listener = listenerOf(gateway);
  if (!listener) return false;
  const { from = 'Same', selector } = listener.allowedRoutes?.namespaces ?? {};
  switch (from) {
    case 'All':
      return true;
    case 'Same':
      return client === (gateway.metadata.namespace ?? 'default');
    case 'Selector':
      return selectsLabels(selector, namespace?.metadata.labels);
  }
}

/** The one for HBONE; in a sandwich the one that the waypoint itself listens on. */
function listenerOf(gateway: Gateway): GatewayListener | undefined {
  const { listeners } = gateway.spec;
  const binding = inboundBinding(gateway);
  const sandwich = binding && listeners.find((l) => l.protocol === 'istio.io/PROXY' || l.port === binding.port);
  return sandwich ?? listeners.find((l) => l.protocol === 'HBONE' && l.port === hbonePort);
}

function inboundBinding(gateway: Gateway): ApplicationTunnel | undefined {
  const text = gateway.metadata.annotations?.['ambient.istio.io/waypoint-inbound-binding'] ?? '';
  const m = /^(PROXY|NONE)(?:\/([1-9]\d{0,4}))?$/.exec(text);
  if (!m || Number(m[2] ?? 0) > 65_535) return undefined;
  return { protocol: m[1] as ApplicationTunnel['protocol'], port: Number(m[2] ?? 0) };
}

/** The Service of a waypoint is not behind itself, nor behind any other. */
function isOfGateway(service: Service, { gateways, settings }: WaypointScope): boolean {
  if (managedControllers.has(service.metadata.labels?.['gateway.istio.io/managed'] ?? '')) return true;
  const hostname = hostnameOf(service, settings);
  for (const g of gateways.values()) {
    const isWaypoint = g.spec.gatewayClassName === waypointClass && g.metadata.namespace === service.metadata.namespace;
    if (isWaypoint && g.status?.addresses?.some((a) => a.type === 'Hostname' && a.value === hostname)) return true;
  }
  return false;
}

interface Canary {
  readonly weighted: readonly WeightedWaypoint[];
  readonly gateway: Gateway | undefined;
  readonly problem?: string;
}

/** A share of the connections to a second waypoint; without it, all to the first. */
function canaryOf(named: Named, primary: GatewayAddress, scope: WaypointScope): Canary | undefined {
  const { labels, annotations } = named.by.metadata;
  const name = labels?.[`${useLabel}-canary`];
  if (name === undefined) return undefined;
  const namespace = labels?.[`${useLabel}-canary-namespace`] ?? named.namespace;
  const none = (problem: string, gateway?: Gateway): Canary => ({ weighted: [], gateway, problem });
  if (name === named.name && namespace === named.namespace) return none('its canary is the same waypoint');
  const text = annotations?.[`${useLabel}-canary-weight`] ?? '0';
  const weight = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (!(weight <= 100)) return none(`its canary has weight ${JSON.stringify(text)}, expected 0 to 100`);
  const canary = judge({ ...named, namespace, name }, 'service', scope);
  if (canary.kind === 'silent') return none(`its canary ${namespace}/${name} is not for services`, canary.gateway);
  if (canary.kind !== 'ready') return none(`its canary is not used: ${canary.condition.message}`, canary.gateway);
  const weighted = [
    { waypoint: primary, weight: 100 - weight },
    { waypoint: canary.address, weight },
  ];
  return { weighted: weight === 0 ? [] : weighted, gateway: canary.gateway };
}
