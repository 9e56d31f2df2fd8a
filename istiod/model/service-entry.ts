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
  loadBalancing,
  type NamedPort,
  networkAddress,
  portMappings,
  preferenceOf,
  type ServiceInfo,
  serviceInfo,
  visibilityOf,
} from './service-info.ts';
import type { MeshSettings, Visibility } from './settings.ts';
import { bindService, ingressUsesWaypoint, type WaypointScope } from './waypoint.ts';
import { isReachable } from './workload-entry.ts';

/** Turns off the addresses that the mesh gives. */
const autoAllocateLabel = 'networking.istio.io/enable-autoallocate-ip';
const strategyAnnotation = 'istio.io/connect-strategy';

/** None for those that nobody sees. */
export function entryServices(entry: ServiceEntry, scope: WaypointScope): readonly ServiceInfo[] {
  const { settings, namespace } = scope;
  const { spec, metadata } = entry;
  const visibility = entryVisibility(entry, namespace, settings);
  if (visibility === 'NONE') return [];
  const binding = bindService(entry, scope, visibility === 'NAMESPACE');
  const addresses = (spec.addresses ?? []).flatMap((text) => networkAddress(text, settings.network) ?? []);
  const ports = (spec.ports ?? []).filter((p) => p.protocol?.toUpperCase() !== 'UDP').map(portOf);
  const balancing = balancingOf(entry, namespace);
  return [...new Set(spec.hosts)].map((hostname) => {
    const service: Service = {
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
      visibility,
      ...(binding.waypoint && ingressUsesWaypoint(entry, namespace) && { ingressUseWaypoint: true }),
    };
    return serviceInfo({
      kind: 'ServiceEntry',
      service,
      object: entry,
      selector: spec.workloadSelector?.labels ?? {},
      ports,
      isGlobal: false,
      binding,
      inputs: [entry, namespace, ...binding.from],
    });
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

/** The narrower of what it says itself and what the mesh says of its namespace. */
function entryVisibility(entry: ServiceEntry, namespace: Namespace | undefined, settings: MeshSettings): Visibility {
  const own = visibilityOf(entry.spec.exportTo, entry.metadata.namespace ?? 'default', settings);
  const ofMesh = meshVisibility(namespace, settings);
  return (['NONE', 'NAMESPACE'] as const).find((v) => v === own || v === ofMesh) ?? 'PUBLIC';
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
  const visibility = entryVisibility(entry, namespace, settings);
  if (settings.serviceEntryVisibility === undefined && entry.spec.exportTo === undefined) return undefined;
  switch (visibility) {
    case 'NONE':
      return { status: 'True', reason: 'None', message: 'nobody sees it' };
    case 'NAMESPACE':
      return { status: 'True', reason: 'Namespace', message: 'workloads of its own namespace see it' };
    default: {
      const listed = (entry.spec.exportTo ?? []).filter((n) => n !== '*' && n !== '.' && n !== '~');
      const isWider = listed.length > 0 && !entry.spec.exportTo?.includes('*');
      const message = isWider
        ? `the whole mesh sees it: node proxies know "own namespace" and "all", no list such as exportTo ${listed.join(', ')}`
        : 'the whole mesh sees it';
      return { status: isWider ? 'False' : 'True', reason: 'Public', message };
    }
  }
}
