/** EndpointSlices of a Service from its pods, one a family and set of ports. Pure. */

import type { Pod, Service, ServicePort } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice, EndpointSliceEndpoint } from '../../common/kube/kinds/discovery.ts';
import type { NewObject } from '../../common/kube/types.ts';

export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
export const manager = 'lab.aquifer.dev';
export const serviceNameLabel = 'kubernetes.io/service-name';

type SlicePort = NonNullable<EndpointSlice['ports']>[number];

export function podReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
}

export function isEnding(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

/** Pods that have an address and have not ended. */
export function isServing(pod: Pod): boolean {
  return pod.status?.podIP !== undefined && pod.status.phase !== 'Succeeded' && pod.status.phase !== 'Failed';
}

export function selects(selector: Readonly<Record<string, string>>, pod: Pod): boolean {
  return Object.entries(selector).every(([k, v]) => pod.metadata.labels?.[k] === v);
}

/** Empty for a Service without a selector, whose slices are somebody else's. */
export function endpointSlices(service: Service, pods: readonly Pod[]): NewObject[] {
  const { selector } = service.spec;
  if (selector === undefined || Object.keys(selector).length === 0 || service.spec.type === 'ExternalName') return [];
  const chosen = pods
    .filter((p) => p.metadata.namespace === service.metadata.namespace && isServing(p) && selects(selector, p))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  return families(service).flatMap((family) => {
    const groups = Map.groupBy(chosen, (pod) => JSON.stringify(slicePorts(service, pod)));
    if (groups.size === 0) groups.set(JSON.stringify(slicePorts(service, undefined)), []);
    return [...groups].map(([ports, members], i) =>
      slice(service, family, i, JSON.parse(ports) as SlicePort[], members),
    );
  });
}

function families(service: Service): readonly ('IPv4' | 'IPv6')[] {
  return service.spec.ipFamilies ?? ['IPv4', 'IPv6'];
}

/** A port whose name this pod does not have is left out for it, as in Kubernetes. */
function slicePorts(service: Service, pod: Pod | undefined): SlicePort[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const number = targetPort(port, pod);
    if (number === undefined) return [];
    return [{ name: port.name ?? '', port: number, protocol: port.protocol ?? 'TCP' }];
  });
}

function targetPort(port: ServicePort, pod: Pod | undefined): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target;
  const protocol = port.protocol ?? 'TCP';
  const ports = pod?.spec.containers.flatMap((c) => c.ports ?? []) ?? [];
  return ports.find((p) => p.name === target && (p.protocol ?? 'TCP') === protocol)?.containerPort;
}

function slice(
  service: Service,
  family: 'IPv4' | 'IPv6',
  index: number,
  ports: readonly SlicePort[],
  pods: readonly Pod[],
): NewObject {
  const { name, namespace } = service.metadata;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-${family.toLowerCase()}${index === 0 ? '' : `-${index}`}`,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [serviceNameLabel]: name, [managedByLabel]: manager },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name, uid: service.metadata.uid, controller: true }],
    },
    addressType: family,
    endpoints: pods.flatMap((pod) => endpoint(service, family, pod) ?? []),
    ports,
  };
}

function endpoint(service: Service, family: 'IPv4' | 'IPv6', pod: Pod): EndpointSliceEndpoint | undefined {
  const ips = pod.status?.podIPs?.map((x) => x.ip) ?? [];
  const address = ips.find((ip) => ip.includes(':') === (family === 'IPv6'));
  if (address === undefined) return undefined;
  const ending = isEnding(pod);
  const serving = podReady(pod);
  const { hostname, subdomain, nodeName } = pod.spec;
  return {
    addresses: [address],
    conditions: {
      ready: (serving && !ending) || service.spec.publishNotReadyAddresses === true,
      serving,
      terminating: ending,
    },
    ...(hostname !== undefined && subdomain === service.metadata.name ? { hostname } : {}),
    ...(nodeName === undefined ? {} : { nodeName }),
    targetRef: {
      kind: 'Pod',
      name: pod.metadata.name,
      ...(pod.metadata.namespace === undefined ? {} : { namespace: pod.metadata.namespace }),
      uid: pod.metadata.uid,
    },
  };
}
