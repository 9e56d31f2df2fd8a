/** Workloads that are no pods: WorkloadEntries, and the endpoints of ServiceEntries, which are written alike. */
import { parseIp } from '../../common/core/net.ts';
import type { ServiceEntry } from '../../common/kube/kinds/istio/service-entry.ts';
import type { WorkloadEntry, WorkloadEntrySpec } from '../../common/kube/kinds/istio/workload-entry.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { PortMapping, Workload } from '../../common/mesh/types.ts';
import { isUnhealthy } from '../machines/entry.ts';
import type { WantedCondition } from './condition.ts';
import type { Labels } from './selector.ts';
import type { NamedPort, ServiceInfo } from './service-info.ts';
import type { MeshSettings } from './settings.ts';
import { canonicalOf, gatewaysOf, localityOf, mapPorts, sorted, tunnelOf, type WorkloadInputs } from './workload.ts';

/** Those of its metadata beat those of its spec. */
export function labelsOfEntry(entry: WorkloadEntry): Labels {
  return { ...entry.spec.labels, ...entry.metadata.labels };
}

/** Sockets of a machine's own files are not reachable for others. */
export function isReachable({ address = '' }: WorkloadEntrySpec): boolean {
  return !address.startsWith('unix://');
}

/** Waypoints reach endpoints by address; names are for services that are looked up as a whole (as Istio's EDS has it). undefined: nothing is amiss. */
export function acceptedByWaypoints(
  { spec: { address = '' } }: WorkloadEntry,
  services: readonly ServiceInfo[],
): WantedCondition | undefined {
  if (address === '' || !isReachable({ address }) || parseIp(address) !== undefined) return undefined;
  const left = services.find((s) => s.binding.waypointId !== undefined && listsAddresses(s));
  if (left === undefined) return undefined;
  const message = `spec.address ${address} is a DNS name: waypoint ${left.binding.waypointId} sends it nothing of ${left.key}, node proxies do; give an IP address, or select it by a ServiceEntry of resolution DNS`;
  return { status: 'False', reason: 'AddressIsName', message };
}

function listsAddresses({ kind, object }: ServiceInfo): boolean {
  return kind === 'Service' || (object as ServiceEntry).spec.resolution === 'STATIC';
}

export function entryWorkload(
  entry: WorkloadEntry,
  inputs: WorkloadInputs,
  settings: MeshSettings,
): Workload | undefined {
  if (!isReachable(entry.spec)) return undefined;
  const { name, namespace = 'default', annotations = {} } = entry.metadata;
  const labels = labelsOfEntry(entry);
  const workloadName =
    annotations['istio.io/autoRegistrationGroup'] ?? labels['service.istio.io/workload-name'] ?? name;
  return {
    ...endpoint(entry.spec, inputs, settings),
    status: isUnhealthy(entry) ? 'UNHEALTHY' : 'HEALTHY',
    uid: `${settings.clusterId}/networking.istio.io/WorkloadEntry/${namespace}/${name}`,
    name,
    namespace,
    workloadName,
    ...canonicalOf(labels, workloadName),
    ...tunnelOf(labels, annotations),
  };
}

/** Of a ServiceEntry, whose labels and annotations speak for it. */
export function inlineWorkload(
  spec: WorkloadEntrySpec,
  owner: KubeObject,
  inputs: WorkloadInputs,
  settings: MeshSettings,
): Workload {
  const { name, namespace = 'default', labels, annotations } = owner.metadata;
  return {
    ...endpoint(spec, inputs, settings),
    uid: `${settings.clusterId}/networking.istio.io/ServiceEntry/${namespace}/${name}/${spec.address ?? ''}`,
    name,
    namespace,
    workloadName: name,
    ...canonicalOf(labels, name),
    ...tunnelOf(labels, annotations),
  };
}

function endpoint(spec: WorkloadEntrySpec, inputs: WorkloadInputs, settings: MeshSettings) {
  const ip = parseIp(spec.address ?? '');
  const services = new Map<string, readonly PortMapping[]>();
  for (const s of inputs.services)
    services.set(
      s.key,
      mapPorts(s, (port) => portAt(spec, s, port)),
    );
  return {
    kind: 'workload',
    addresses: ip === undefined ? [] : [ip],
    // Node proxies look it up.
    hostname: ip === undefined ? (spec.address ?? '') : '',
    network: networkOfEntry(spec, settings),
    ...gatewaysOf(inputs),
    trustDomain: settings.trustDomain,
    serviceAccount: spec.serviceAccount ?? '',
    node: '',
    workloadType: 'pod',
    services: sorted(services),
    authorizationPolicies: inputs.policies,
    status: 'HEALTHY',
    clusterId: settings.clusterId,
    locality: localityOf(spec.locality),
    networkMode: 'STANDARD',
    // 0 says nothing here, where node proxies take it for never.
    capacity: spec.weight || 1,
  } as const;
}

export function networkOfEntry({ network }: WorkloadEntrySpec, settings: MeshSettings): string {
  return network || settings.network;
}

/** A Service's named target has to be there; any other port may be given another number by its name. */
function portAt({ ports = {} }: WorkloadEntrySpec, service: ServiceInfo, port: NamedPort): number | undefined {
  const at = (name: string) => (Object.hasOwn(ports, name) ? ports[name] : undefined);
  if (service.kind === 'Service' && port.targetName !== undefined) return at(port.targetName);
  return at(port.name) ?? port.targetPort;
}
