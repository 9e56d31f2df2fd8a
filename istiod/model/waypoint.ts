/**
 * Which waypoint stands before a service or a workload (ambient-wire 9.1, 9.2): labels of the object or its namespace name a
 * Gateway. One that is named and not ready is announced all the same, by the name that it will have: node proxies refuse until
 * they know it (DESIGN 12, `no-waypoint`), where Istio would let traffic past it.
 */
import { type Port, parseIp } from '../../common/core/net.ts';
import type { LabelSelector } from '../../common/kube/kinds/apps.ts';
import type { Namespace } from '../../common/kube/kinds/core.ts';
import type { Gateway, GatewayListener } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { ApplicationTunnel, GatewayAddress, WeightedWaypoint } from '../../common/mesh/types.ts';
import { type Labels, selectsLabels } from './selector.ts';
import type { MeshSettings } from './settings.ts';

/** On pods of a Gateway: its name. */
export const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';

/** What the class is called where no GatewayClass says otherwise. */
export const waypointClassName = 'istio-waypoint';
export const waypointController = 'istio.io/mesh-controller';
/** Of gateways at the edge, and of those that lead to other networks, whose listeners look like a waypoint's. */
const otherClasses = new Set(['istio', 'istio-east-west', 'istio-remote']);
const useLabel = 'istio.io/use-waypoint';
const canaryLabel = `${useLabel}-canary`;
const bindingAnnotation = 'ambient.istio.io/waypoint-inbound-binding';
const hbonePort = 15_008 as Port;
const managedControllers = new Set(['istio.io-mesh-controller', 'istio.io-eastwest-controller']);

/** A Gateway as one that stands before others. */
export interface Waypoint {
  /** `namespace/name`. */
  readonly id: string;
  readonly namespace: string;
  readonly gateway: Gateway;
  /** undefined while its status has no address. */
  readonly address: GatewayAddress | undefined;
  /** `service`, `workload`, `all`, `none`. */
  readonly serves: string;
  /** Which namespaces may use it; undefined without a listener that would take them. */
  readonly from: 'All' | 'Selector' | 'Same' | 'None' | undefined;
  readonly selector: LabelSelector | undefined;
  /** How its own pods take connections, where that is not HBONE. */
  readonly tunnel: ApplicationTunnel | undefined;
}

/** What of a GatewayClass counts here. */
export interface WaypointClass extends KubeObject {
  readonly spec: { readonly controllerName: string };
}

/** Whether istiod makes it. A class that is called as ours but has another controller is not ours. */
export function isWaypointGateway({ spec }: Gateway, gatewayClass: WaypointClass | undefined): boolean {
  return gatewayClass === undefined
    ? spec.gatewayClassName === waypointClassName
    : gatewayClass.spec.controllerName === waypointController;
}

export const accountOverride = 'gateway.istio.io/service-account';

/** Service account of its pods. */
export function accountName({ metadata }: Gateway): string {
  return metadata.annotations?.[accountOverride] ?? metadata.name;
}

/** undefined for Gateways that are none. The Gateway's own labels and annotations beat its class'. */
export function waypointOf(
  gateway: Gateway,
  gatewayClass: WaypointClass | undefined,
  settings: MeshSettings,
): Waypoint | undefined {
  const { name, namespace = 'default', labels, annotations } = gateway.metadata;
  const tunnel = inboundBinding(
    annotations?.[bindingAnnotation] ?? gatewayClass?.metadata.annotations?.[bindingAnnotation],
  );
  if (!isWaypoint(gateway, gatewayClass, tunnel)) return undefined;
  const listener = listenerOf(gateway, tunnel);
  const { from = listener && 'Same', selector } = listener?.allowedRoutes?.namespaces ?? {};
  const forLabel = 'istio.io/waypoint-for';
  return {
    id: `${namespace}/${name}`,
    namespace,
    gateway,
    address: addressOf(gateway, settings),
    serves: labels?.[forLabel] ?? gatewayClass?.metadata.labels?.[forLabel] ?? 'service',
    from,
    selector,
    tunnel,
  };
}

/** Gateways of other makers stand in a sandwich: what makes them waypoints is where they listen. */
function isWaypoint(
  { spec }: Gateway,
  gatewayClass: WaypointClass | undefined,
  tunnel: ApplicationTunnel | undefined,
): boolean {
  if (spec.gatewayClassName === waypointClassName || gatewayClass?.spec.controllerName === waypointController)
    return true;
  if (otherClasses.has(spec.gatewayClassName)) return false;
  return tunnel !== undefined || spec.listeners.some(isHboneListener);
}

/** Of type istio.io/WaypointBound (ambient-wire 9.3). */
export interface BoundCondition {
  readonly status: 'True' | 'False';
  readonly reason:
    | 'WaypointAccepted'
    | 'WaypointIsNotReady'
    | 'AttachmentDenied'
    | 'UnsupportedTrafficType'
    | 'CrossNamespaceWaypointForbidden';
  readonly message: string;
}

export interface Binding {
  /** `namespace/name` of the waypoint that it is behind. */
  readonly waypointId?: string;
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
  readonly waypoint: (id: string) => Waypoint | undefined;
  readonly settings: MeshSettings;
}

const unbound: Binding = { weighted: [], condition: undefined, from: [] };

/**
 * Of a Service or ServiceEntry; services of Gateways that the mesh made are behind none. `ownNamespaceOnly` for what must not be seen
 * by a waypoint of another namespace.
 */
export function bindService(object: KubeObject, scope: WaypointScope, ownNamespaceOnly = false): Binding {
  const named = isOfGateway(object, scope) ? undefined : nameOf(object.metadata, scope);
  const primary = named && judge(named, 'service', scope);
  if (!primary || primary.kind === 'silent') return unbound;
  const from = primary.waypoint ? [primary.waypoint.gateway] : [];
  if (primary.kind === 'denied') return { weighted: [], condition: primary.condition, from };
  if (ownNamespaceOnly && named.namespace !== named.client) {
    const message = `waypoint ${idOf(named)} is of another namespace than this object, which is for its own namespace alone`;
    return { weighted: [], condition: { status: 'False', reason: 'CrossNamespaceWaypointForbidden', message }, from };
  }
  const canary = primary.kind === 'ready' ? canaryOf(object, named, primary.address, scope) : undefined;
  const problem = canary?.problem;
  return {
    waypointId: idOf(named),
    waypoint: primary.address,
    weighted: canary?.weighted ?? [],
    condition: problem
      ? { ...primary.condition, message: `${primary.condition.message}; ${problem}` }
      : primary.condition,
    from: canary?.waypoint ? [...from, canary.waypoint.gateway] : from,
  };
}

/** The Service of a waypoint is not behind itself, nor behind any other. */
function isOfGateway({ kind, metadata: { name, namespace, labels } }: KubeObject, scope: WaypointScope): boolean {
  if (managedControllers.has(labels?.['gateway.istio.io/managed'] ?? '')) return true;
  const at = kind === 'Service' ? scope.waypoint(`${namespace}/${name}`)?.address?.destination : undefined;
  return at?.kind === 'hostname' && at.hostname === `${name}.${namespace}.svc.${scope.settings.domain}`;
}

/** What a Pod, a WorkloadEntry or an endpoint of a ServiceEntry is called and how it is labelled. */
export interface WorkloadMeta {
  readonly namespace?: string;
  readonly labels?: Labels | undefined;
}

export function bindWorkload(meta: WorkloadMeta, scope: WaypointScope): Binding {
  const named = instanceOf(meta, scope) ? undefined : nameOf(meta, scope);
  const found = named && judge(named, 'workload', scope);
  if (!found || found.kind === 'silent') return unbound;
  const from = found.waypoint ? [found.waypoint.gateway] : [];
  if (found.kind === 'denied') return { weighted: [], condition: found.condition, from };
  return { waypointId: idOf(named), waypoint: found.address, weighted: [], condition: found.condition, from };
}

/** The waypoint that it is an instance of. */
export function instanceOf(
  { namespace = 'default', labels }: WorkloadMeta,
  scope: WaypointScope,
): Waypoint | undefined {
  const name = labels?.[gatewayNameLabel];
  return name === undefined ? undefined : scope.waypoint(`${namespace}/${name}`);
}

/** Ids of the waypoints that labels name; of a namespace's labels relative to that namespace. */
export function namedWaypoints(labels: Labels | undefined, namespace: string): readonly string[] {
  if (!labels) return [];
  return [useLabel, canaryLabel].flatMap((label) => {
    const name = labels[label];
    return name === undefined ? [] : [`${labels[`${label}-namespace`] ?? namespace}/${name}`];
  });
}

/** The waypoints that a namespace's labels name, and the labels that its waypoints look at, differ. */
export function namespaceDiffers(a: Namespace, b: Namespace): boolean {
  return (
    JSON.stringify([a.metadata.labels, a.metadata.annotations]) !==
    JSON.stringify([b.metadata.labels, b.metadata.annotations])
  );
}

interface Named {
  readonly namespace: string;
  readonly name: string;
  /** The object itself says so, not its namespace. */
  readonly own: boolean;
  /** Namespace of the object that it is for. */
  readonly client: string;
}

function idOf({ namespace, name }: Pick<Named, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}

function nameOf({ namespace: client = 'default', labels }: WorkloadMeta, scope: WaypointScope): Named | undefined {
  const own = labels?.[useLabel] !== undefined;
  const by = own ? labels : scope.namespace?.metadata.labels;
  const name = by?.[useLabel];
  if (name === undefined || name === 'none' || name === '') return undefined;
  return { namespace: by?.[`${useLabel}-namespace`] ?? client, name, own, client };
}

type Judged =
  | {
      readonly kind: 'ready' | 'not-ready';
      readonly waypoint: Waypoint | undefined;
      readonly address: GatewayAddress;
      readonly condition: BoundCondition;
    }
  | { readonly kind: 'denied'; readonly waypoint: Waypoint | undefined; readonly condition: BoundCondition }
  /** Of another type than the object, and only the namespace names it. */
  | { readonly kind: 'silent'; readonly waypoint: Waypoint | undefined };

function judge(named: Named, type: 'service' | 'workload', scope: WaypointScope): Judged {
  const id = idOf(named);
  const waypoint = scope.waypoint(id);
  if (!waypoint) {
    // Before it exists nobody can say what it is for; the default is services.
    if (type === 'workload' && !named.own) return { kind: 'silent', waypoint };
    return notReady(named, undefined, 'does not exist, or is a Gateway of another sort', scope);
  }
  if (waypoint.serves !== type && waypoint.serves !== 'all') {
    if (!named.own) return { kind: 'silent', waypoint };
    const message = `waypoint ${id} is for ${JSON.stringify(waypoint.serves)} (istio.io/waypoint-for), not for a ${type}`;
    return { kind: 'denied', waypoint, condition: { status: 'False', reason: 'UnsupportedTrafficType', message } };
  }
  if (waypoint.from === undefined)
    return notReady(named, waypoint, `has no listener of protocol HBONE on port ${hbonePort}`, scope);
  if (!admits(waypoint, named.client, scope)) {
    const message = `waypoint ${id} does not take namespace ${named.client}; see allowedRoutes of its HBONE listener`;
    return { kind: 'denied', waypoint, condition: { status: 'False', reason: 'AttachmentDenied', message } };
  }
  if (!waypoint.address) return notReady(named, waypoint, 'has no address yet', scope);
  const condition = { status: 'True', reason: 'WaypointAccepted', message: `bound to waypoint ${id}` } as const;
  return { kind: 'ready', waypoint, address: waypoint.address, condition };
}

function notReady(named: Named, waypoint: Waypoint | undefined, why: string, { settings }: WaypointScope): Judged {
  const { namespace, name } = named;
  const passes = settings.compat.has('no-waypoint');
  const effect = passes ? 'connections pass without it' : 'connections are refused until it is there';
  const condition = {
    status: 'False',
    reason: 'WaypointIsNotReady',
    message: `waypoint ${idOf(named)} ${why}; ${effect}`,
  } as const;
  if (passes) return { kind: 'denied', waypoint, condition };
  const hostname = `${name}.${namespace}.svc.${settings.domain}`;
  const address = { destination: { kind: 'hostname' as const, namespace, hostname }, hboneMtlsPort: hbonePort };
  return { kind: 'not-ready', waypoint, address, condition };
}

/** A host name rather than an address: it stays when the address changes. */
function addressOf(gateway: Gateway, { network }: MeshSettings): GatewayAddress | undefined {
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
function admits(waypoint: Waypoint, client: string, { namespace }: WaypointScope): boolean {
  switch (waypoint.from) {
    case 'All':
      return true;
    case 'Selector':
      return selectsLabels(waypoint.selector, namespace?.metadata.labels);
    case 'Same':
      return client === waypoint.namespace;
    case 'None':
    case undefined:
      return false;
  }
}

/** The one for HBONE; in a sandwich the one that the waypoint itself listens on. */
function listenerOf({ spec }: Gateway, tunnel: ApplicationTunnel | undefined): GatewayListener | undefined {
  const isBound = (l: GatewayListener) =>
    tunnel?.port ? l.port === tunnel.port : tunnel?.protocol === 'PROXY' && l.protocol === 'istio.io/PROXY';
  return spec.listeners.find(isBound) ?? spec.listeners.find(isHboneListener);
}

function isHboneListener(l: GatewayListener): boolean {
  return l.protocol === 'HBONE' && l.port === hbonePort;
}

/** `PROXY[/port]` or `NONE[/port]`; undefined for anything else. */
function inboundBinding(text = ''): ApplicationTunnel | undefined {
  const m = /^(PROXY|NONE)(?:\/([1-9]\d{0,4}))?$/.exec(text);
  if (!m || Number(m[2] ?? 0) > 65_535) return undefined;
  return { protocol: m[1] as ApplicationTunnel['protocol'], port: Number(m[2] ?? 0) };
}

interface Canary {
  readonly weighted: readonly WeightedWaypoint[];
  readonly waypoint: Waypoint | undefined;
  readonly problem?: string;
}

/** A share of the connections to a second waypoint; without it, all to the first. Namespaces name it for objects that name none themselves. */
function canaryOf(object: KubeObject, named: Named, primary: GatewayAddress, scope: WaypointScope): Canary | undefined {
  const places = named.own ? [object] : [object, scope.namespace];
  const labels = places.find((o) => o?.metadata.labels?.[canaryLabel] !== undefined)?.metadata.labels;
  const name = labels?.[canaryLabel];
  if (name === undefined || name === '' || name === 'none') return undefined;
  const namespace = labels?.[`${canaryLabel}-namespace`] ?? named.client;
  const none = (problem: string, waypoint?: Waypoint): Canary => ({ weighted: [], waypoint, problem });
  if (name === named.name && namespace === named.namespace) return none('its canary is the same waypoint');
  const texts = places.map((o) => o?.metadata.annotations?.[`${canaryLabel}-weight`]);
  const text = texts.find((t) => t !== undefined) ?? '0';
  const weight = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (!(weight <= 100)) return none(`its canary has weight ${JSON.stringify(text)}, expected 0 to 100`);
  const canary = judge({ ...named, own: true, namespace, name }, 'service', scope);
  if (canary.kind === 'silent') return none(`its canary ${namespace}/${name} is not for services`, canary.waypoint);
  if (canary.kind !== 'ready') return none(`its canary is not used: ${canary.condition.message}`, canary.waypoint);
  const weighted = [
    { waypoint: primary, weight: 100 - weight },
    { waypoint: canary.address, weight },
  ];
  return { weighted, waypoint: canary.waypoint };
}

/** `true` where gateways at the edge send through the waypoint: the label of the object, else of its namespace. */
export function ingressUsesWaypoint(object: KubeObject, namespace: Namespace | undefined): boolean {
  const label = 'istio.io/ingress-use-waypoint';
  const text = object.metadata.labels?.[label] ?? namespace?.metadata.labels?.[label] ?? '';
  // As Go reads booleans.
  return ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text);
}
