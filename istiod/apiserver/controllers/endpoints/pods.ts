/** Endpoints of a Service from its pods. Pure. */
import type { Container, Node, Pod, Service, ServicePort } from '../../../../common/kube/kinds/core.ts';
import type { EndpointSlice, EndpointSliceEndpoint } from '../../../../common/kube/kinds/discovery.ts';
import type { Family } from '../runtime/address-range.ts';
import { isDeleting, isFinished, isReady } from '../runtime/pod-state.ts';

export type SlicePort = NonNullable<EndpointSlice['ports']>[number];

/** Endpoints that have the same ports, of one family. */
export interface Group {
  readonly family: Family;
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly EndpointSliceEndpoint[];
}

export function hasEndpoints({ spec }: Service): boolean {
  return spec.type !== 'ExternalName' && Object.keys(spec.selector ?? {}).length > 0;
}

export function isSelected({ spec }: Service, pod: Pod): boolean {
  return Object.entries(spec.selector ?? {}).every(([k, v]) => pod.metadata.labels?.[k] === v);
}

export function addressOf(pod: Pod, family: Family): string | undefined {
  const { podIP, podIPs = podIP === undefined ? [] : [{ ip: podIP }] } = pod.status ?? {};
  return podIPs.find(({ ip }) => ip.includes(':') === (family === 'IPv6'))?.ip;
}

/** At least one group a family. `pods` are those that the Service selects. */
export function groupsOf(
  service: Service,
  pods: readonly Pod[],
  nodeOf: (name: string) => Node | undefined,
): readonly Group[] {
  const running = pods.filter((p) => !isFinished(p));
  return (service.spec.ipFamilies ?? ['IPv4']).flatMap((family) => {
    const groups = new Map<
      string,
      { readonly ports: readonly SlicePort[]; readonly endpoints: EndpointSliceEndpoint[] }
    >();
    for (const pod of running) {
      const address = addressOf(pod, family);
      if (address === undefined) continue;
      const ports = portsOf(service, pod);
      const key = JSON.stringify(ports);
      const group = groups.get(key) ?? { ports, endpoints: [] };
      groups.set(key, group);
      group.endpoints.push(endpointOf(service, pod, address, nodeOf));
    }
    if (groups.size === 0) return [{ family, ports: portsOf(service, undefined), endpoints: [] }];
    return [...groups.values()].map((g) => ({ family, ...g }));
  });
}

/** A named port that the pod does not have is left out. */
export function portsOf(service: Service, pod: Pod | undefined): readonly SlicePort[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const number = numberOf(port, pod);
    if (number === undefined) return [];
    const { appProtocol } = port;
    return {
      name: port.name ?? '',
      port: number,
      protocol: port.protocol ?? 'TCP',
      ...(appProtocol === undefined ? {} : { appProtocol }),
    };
  });
}

function numberOf(port: ServicePort, pod: Pod | undefined): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target === 0 ? port.port : target;
  const sidecars = (pod?.spec.initContainers ?? []).filter((c: Container) => c['restartPolicy'] === 'Always');
  const ports = [...(pod?.spec.containers ?? []), ...sidecars].flatMap((c) => c.ports ?? []);
  return ports.find((p) => p.name === target && (p.protocol ?? 'TCP') === (port.protocol ?? 'TCP'))?.containerPort;
}

function endpointOf(
  service: Service,
  pod: Pod,
  address: string,
  nodeOf: (name: string) => Node | undefined,
): EndpointSliceEndpoint {
  const { hostname = '', subdomain, nodeName } = pod.spec;
  const { name, namespace, uid } = pod.metadata;
  const terminating = isDeleting(pod);
  const serving = isReady(pod);
  const zone = nodeName ? nodeOf(nodeName)?.metadata.labels?.['topology.kubernetes.io/zone'] : undefined;
  return {
    addresses: [address],
    conditions: {
      ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating),
      serving,
      terminating,
    },
    ...(hostname !== '' && subdomain === service.metadata.name ? { hostname } : {}),
    ...(nodeName ? { nodeName } : {}),
    ...(zone === undefined ? {} : { zone }),
    targetRef: { kind: 'Pod', namespace: namespace ?? '', name, uid },
  };
}
