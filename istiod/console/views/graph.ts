/** Workloads, services and what flows between them, as far as the reader may list them. Pure. */
import { addressTypeUrl, authorizationTypeUrl } from '../../../common/api/index.ts';
import { formatSpiffe } from '../../../common/identity/spiffe.ts';
import { identityOf } from '../../../common/mesh/address.ts';
import { serviceKey } from '../../../common/mesh/store.ts';
import type { GatewayAddress, Service, Workload } from '../../../common/mesh/types.ts';
import type { Place } from '../access.ts';
import type { MeshMirror } from '../mirror.ts';
import type { End } from '../traffic/flows.ts';
import type { RequestFlow } from '../traffic/requests.ts';
import type { Traffic } from '../traffic/watcher.ts';

/** What a controller runs: its pods are alike. */
export interface WorkloadView {
  /** `namespace/name`. */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  readonly pods: number;
  readonly healthy: number;
  /** Pods whose traffic is mutually authenticated TLS. */
  readonly enrolled: number;
  readonly identities: readonly string[];
  readonly nodes: readonly string[];
  /** Of policies that apply to its pods. */
  readonly policies: readonly string[];
  readonly waypoint?: string;
}

export interface ServiceView {
  /** `namespace/hostname`. */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly hostname: string;
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
  readonly endpoints: number;
  readonly healthy: number;
  /** Ids of workloads behind it. */
  readonly workloads: readonly string[];
  readonly waypoint?: string;
  /** What its waypoint answered to all who asked; absent where no waypoint counts. */
  readonly requests?: RequestFlow;
}

export interface FlowView {
  /** Ids of workloads. */
  readonly from: string;
  readonly to: string;
  readonly service?: string;
  readonly secured: boolean;
  readonly opened: number;
  readonly failed: number;
  readonly bytes: number;
  /** A second; absent until the proxies were read twice. */
  readonly rates?: { readonly opened: number; readonly failed: number; readonly bytes: number };
}

export interface GraphView {
  readonly workloads: readonly WorkloadView[];
  readonly services: readonly ServiceView[];
  readonly flows: readonly FlowView[];
  /** Proxies whose metrics could not be read. */
  readonly silentProxies: number;
}

/** What the reader must be asked about before `graphOf`. */
export function placesOf(mirror: MeshMirror): readonly Place[] {
  const places: Place[] = [];
  const add = (place: Place | undefined) => place && places.push(place);
  for (const w of mirror.store.workloads()) add(mirror.objectOf(addressTypeUrl, w.uid));
  for (const s of mirror.store.services()) add(mirror.objectOf(addressTypeUrl, serviceKey(s)));
  for (const p of mirror.store.policies()) add(mirror.objectOf(authorizationTypeUrl, `${p.namespace}/${p.name}`));
  return places;
}

export function graphOf(mirror: MeshMirror, traffic: Traffic, readable: (place: Place) => boolean): GraphView {
  const { store } = mirror;
  const may = (type: typeof addressTypeUrl | typeof authorizationTypeUrl, name: string) => {
    const object = mirror.objectOf(type, name);
    return object !== undefined && readable(object);
  };
  const workloads = store.workloads().filter((w) => may(addressTypeUrl, w.uid));
  const services = store.services().filter((s) => may(addressTypeUrl, serviceKey(s)));
  const groups = Map.groupBy(workloads, workloadId);
  const policiesOf = (w: Workload) =>
    store
      .policiesFor(w)
      .policies.map((p) => `${p.namespace}/${p.name}`)
      .filter((name) => may(authorizationTypeUrl, name));
  const known = (end: End) => groups.has(`${end.namespace}/${end.workload}`);
  const visible = new Set(services.map(serviceKey));
  const hop = (waypoint: GatewayAddress | undefined, client: string) => waypointOf(store, waypoint, client, visible);
  return {
    workloads: [...groups].map(([id, pods]) => workloadView(id, pods, policiesOf, hop)).sort(byId),
    services: services.map((s) => serviceView(s, store.endpoints(s), groups, hop, traffic.requests)).sort(byId),
    flows: traffic.flows
      .filter((f) => known(f.from) && known(f.to))
      .map(({ from, to, service, secured, opened, failed, bytes, rates }) => ({
        from: `${from.namespace}/${from.workload}`,
        to: `${to.namespace}/${to.workload}`,
        ...(service !== undefined && visible.has(service) && { service }),
        secured,
        opened,
        failed,
        bytes,
        ...(rates && { rates }),
      })),
    silentProxies: traffic.silent,
  };
}

export function workloadId(w: Pick<Workload, 'namespace' | 'workloadName' | 'name'>): string {
  return `${w.namespace}/${w.workloadName || w.name}`;
}

type Hop = (waypoint: GatewayAddress | undefined, client: string) => string | undefined;

function workloadView(
  id: string,
  pods: readonly Workload[],
  policiesOf: (w: Workload) => readonly string[],
  hop: Hop,
): WorkloadView {
  const [first] = pods as readonly [Workload, ...Workload[]];
  const waypoint = pods.map((p) => hop(p.waypoint, p.namespace)).find((w) => w !== undefined);
  return {
    id,
    namespace: first.namespace,
    name: first.workloadName || first.name,
    type: first.workloadType,
    pods: pods.length,
    healthy: pods.filter((p) => p.status === 'HEALTHY').length,
    enrolled: pods.filter((p) => p.tunnelProtocol === 'HBONE').length,
    identities: distinct(pods.map((p) => formatSpiffe(identityOf(p)))),
    nodes: distinct(pods.map((p) => p.node)),
    policies: distinct(pods.flatMap(policiesOf)),
    ...(waypoint !== undefined && { waypoint }),
  };
}

function serviceView(
  s: Service,
  endpoints: readonly { readonly workload: Workload }[],
  groups: ReadonlyMap<string, unknown>,
  hop: Hop,
  counted: Traffic['requests'],
): ServiceView {
  const waypoint = hop(s.waypoint, s.namespace);
  // Another service may have the same name, without a waypoint.
  const requests = s.waypoint && counted.get(s.hostname);
  return {
    id: serviceKey(s),
    namespace: s.namespace,
    name: s.name,
    hostname: s.hostname,
    addresses: s.addresses.map((a) => a.ip),
    ports: s.ports.map((p) => p.servicePort),
    endpoints: endpoints.length,
    healthy: endpoints.filter((e) => e.workload.status === 'HEALTHY').length,
    workloads: distinct(endpoints.map((e) => workloadId(e.workload))).filter((id) => groups.has(id)),
    ...(waypoint !== undefined && { waypoint }),
    ...(requests && { requests }),
  };
}

/** Its service, by name, where the reader may know of it. */
function waypointOf(
  store: MeshMirror['store'],
  waypoint: GatewayAddress | undefined,
  client: string,
  visible: ReadonlySet<string>,
): string | undefined {
  if (waypoint === undefined) return undefined;
  const { destination } = waypoint;
  const service =
    destination.kind === 'hostname'
      ? store.service(`${destination.namespace}/${destination.hostname}`)
      : store.serviceByVip(destination.network, destination.ip, client);
  return service !== undefined && visible.has(serviceKey(service)) ? `${service.namespace}/${service.name}` : undefined;
}

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].filter((t) => t !== '').sort();
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1;
}
