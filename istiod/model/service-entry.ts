/** ServiceEntries: each host is a service, and inline endpoints, or the host names themselves, are workloads (ambient-wire 3.9). */
import { parseIp } from '../../common/core/net.ts';
import type { Namespace } from '../../common/kube/kinds/core.ts';
import type { ServiceEntry } from '../../common/kube/kinds/istio/service-entry.ts';
import type { WorkloadEntrySpec } from '../../common/kube/kinds/istio/workload-entry.ts';
import type { LoadBalancing, NetworkAddress, Service } from '../../common/mesh/types.ts';
import { appProtocolOf } from './app-protocol.ts';
import type { WantedCondition } from './condition.ts';
import { selectsLabels } from './selector.ts';
import {
  exported,
  loadBalancing,
  type NamedPort,
  networkAddress,
  portMappings,
  preferenceOf,
  type Reach,
  reachOf,
  type ServiceInfo,
} from './service-info.ts';
import type { MeshSettings, Visibility } from './settings.ts';
import { bindService, ingressUsesWaypoint, type WaypointScope } from './waypoint.ts';
import { isReachable } from './workload-entry.ts';

/** Turns off the addresses that the mesh gives. */
const autoAllocateLabel = 'networking.istio.io/enable-autoallocate-ip';
const strategyAnnotation = 'istio.io/connect-strategy';

/** One for each host, and for each namespace where it is for some alone. */
export function entryServices(entry: ServiceEntry, scope: WaypointScope): readonly ServiceInfo[] {
  const { settings, namespace } = scope;
  const { spec, metadata } = entry;
  const reach = entryReach(entry, namespace, settings);
  if (reach.length === 0) return [];
  const binding = bindService(entry, scope, reach !== 'all');
  const addresses = (spec.addresses ?? []).flatMap((text) => networkAddress(text, settings.network) ?? []);
  const ports = (spec.ports ?? []).filter((p) => p.protocol?.toUpperCase() !== 'UDP').map(portOf);
  const balancing = balancingOf(entry, namespace);
  return [...new Set(spec.hosts)].flatMap((hostname) => {
    const service: Omit<Service, 'visibility'> = {
      kind: 'service',
      name: metadata.name,
      namespace: metadata.namespace ?? 'default',
      hostname,
      addresses: addresses.length > 0 ? addresses : givenAddresses(entry, hostname, settings),
      ports: portMappings(ports),
      subjectAltNames: spec.subjectAltNames ?? [],
      ...(binding.waypoint && { waypoint: binding.waypoint }),
      weightedWaypoints: binding.weighted,
      ...(balancing && { loadBalancing: balancing }),
      ipFamilies: 'AUTOMATIC',
      canonical: false,
      ...(binding.waypoint && ingressUsesWaypoint(entry, namespace) && { ingressUseWaypoint: true }),
    };
    const inputs = [entry, namespace, ...binding.from];
    const selector = spec.workloadSelector?.labels ?? {};
    return exported(
      { kind: 'ServiceEntry', service, object: entry, selector, ports, isGlobal: false, binding, inputs },
      reach,
    );
  });
}

/** Its endpoints as written; where names are looked up and none are written, the hosts themselves. */
export function entryEndpoints(
  { spec }: ServiceEntry,
  services: readonly ServiceInfo[],
): readonly {
  readonly spec: WorkloadEntrySpec;
  readonly services: readonly ServiceInfo[];
  readonly isImplied: boolean;
}[] {
  const endpoints = spec.endpoints ?? [];
  if (endpoints.length > 0) {
    const unique = new Map(endpoints.filter(isReachable).map((e) => [e.address ?? '', e]));
    return [...unique.values()].map((e) => ({ spec: e, services, isImplied: false }));
  }
  if (!isByName(spec.resolution) || spec.workloadSelector !== undefined) return [];
  return services.map((s) => ({ spec: { address: s.service.hostname }, services: [s], isImplied: true }));
}

function isByName(resolution: ServiceEntry['spec']['resolution']): boolean {
  return resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN' || resolution === 'DYNAMIC_DNS';
}

export function isWildcard(host: string): boolean {
  return host.startsWith('*');
}

/** Whether the mesh shall give its hosts addresses. */
export function wantsAddresses({ spec, metadata }: ServiceEntry): boolean {
  if (spec.resolution === undefined || spec.resolution === 'NONE') return false;
  return (spec.addresses ?? []).length === 0 && metadata.labels?.[autoAllocateLabel]?.toLowerCase() !== 'false';
}

/** Hosts that may have addresses: any name under a wildcard is looked up only by its own. */
export function hostsWithAddresses({ spec }: ServiceEntry): readonly string[] {
  return [...new Set(spec.hosts)].filter((host) => !isWildcard(host) || spec.resolution === 'DYNAMIC_DNS');
}

function givenAddresses(entry: ServiceEntry, host: string, { network }: MeshSettings): readonly NetworkAddress[] {
  if (!wantsAddresses(entry) || !hostsWithAddresses(entry).includes(host)) return [];
  return (entry.status?.addresses ?? []).flatMap((a) => {
    const ip = a.host === host ? parseIp(a.value ?? '') : undefined;
    return ip === undefined ? [] : [{ network, ip }];
  });
}

function portOf(port: NonNullable<ServiceEntry['spec']['ports']>[number]): NamedPort {
  const appProtocol = appProtocolOf({ appProtocol: port.protocol }, port.number);
  return {
    servicePort: port.number,
    targetPort: port.targetPort || port.number,
    name: port.name,
    ...(appProtocol && { appProtocol }),
  };
}

function balancingOf(entry: ServiceEntry, namespace: Namespace | undefined): LoadBalancing | undefined {
  const { resolution = 'NONE' } = entry.spec;
  if (resolution === 'NONE') return { routingPreference: [], mode: 'PASSTHROUGH', healthPolicy: 'ALLOW_ALL' };
  return loadBalancing(preferenceOf(undefined, entry, namespace), 'ONLY_HEALTHY');
}

/** What it says itself, as far as the mesh lets its namespace. */
function entryReach(entry: ServiceEntry, namespace: Namespace | undefined, settings: MeshSettings): Reach {
  const own = entry.metadata.namespace ?? 'default';
  const reach = reachOf(entry.spec.exportTo, own, settings);
  switch (meshVisibility(namespace, settings)) {
    case 'NONE':
      return [];
    case 'NAMESPACE':
      return reach === 'all' || reach.includes(own) ? [own] : [];
    default:
      return reach;
  }
}

function meshVisibility(namespace: Namespace | undefined, { serviceEntryVisibility: rules }: MeshSettings): Visibility {
  if (rules === undefined) return 'PUBLIC';
  const labels = namespace?.metadata.labels;
  return rules.policies.find((p) => p.namespaces.every((n) => selectsLabels(n, labels)))?.visibility ?? rules.fallback;
}

/** Of types istio.io/WaypointMissing and istio.io/VisibilityApplied; undefined where it shall have none. */
export function entryConditions(
  entry: ServiceEntry,
  namespace: Namespace | undefined,
  hasWaypoint: boolean,
  settings: MeshSettings,
): readonly (readonly [string, WantedCondition | undefined])[] {
  return [
    ['istio.io/WaypointMissing', hasWaypoint ? undefined : waypointMissing(entry)],
    ['istio.io/VisibilityApplied', visibilityApplied(entry, namespace, settings)],
  ];
}

function waypointMissing({ spec, metadata }: ServiceEntry): WantedCondition | undefined {
  if (spec.hosts.some(isWildcard)) {
    const message = 'connections to names under a wildcard need a waypoint, which knows the name; there is none';
    return { status: 'True', reason: 'NoWaypointForWildcardService', message };
  }
  if (metadata.annotations?.[strategyAnnotation]?.toUpperCase() !== 'RACE_FIRST_TCP_CONNECT') return undefined;
  const message = `the annotation ${strategyAnnotation} is for waypoints; there is none`;
  return { status: 'True', reason: 'NoWaypointForRacingConnectStrategy', message };
}

function visibilityApplied(
  entry: ServiceEntry,
  namespace: Namespace | undefined,
  settings: MeshSettings,
): WantedCondition | undefined {
  if (settings.serviceEntryVisibility === undefined && entry.spec.exportTo === undefined) return undefined;
  const reach = entryReach(entry, namespace, settings);
  if (reach === 'all') return { status: 'True', reason: 'Public', message: 'the whole mesh sees it' };
  if (reach.length === 0) return { status: 'True', reason: 'None', message: 'nobody sees it' };
  if (reach.length === 1 && reach[0] === (entry.metadata.namespace ?? 'default'))
    return { status: 'True', reason: 'Namespace', message: 'workloads of its own namespace see it' };
  return { status: 'True', reason: 'Namespaces', message: `workloads of ${reach.join(', ')} see it` };
}
