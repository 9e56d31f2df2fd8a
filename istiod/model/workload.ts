/** Pods, and endpoints without pods, to workloads of the mesh (ambient-wire 3.9). */
import { type Ip, parseIp } from '../../common/core/net.ts';
import type { Service as KubeService, Node, Pod, ServicePort } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice, EndpointSliceEndpoint } from '../../common/kube/kinds/discovery.ts';
import type { ApplicationTunnel, GatewayAddress, Locality, PortMapping, Workload } from '../../common/mesh/types.ts';
import { networkOf } from './network.ts';
import { hostnameOf, isInMesh, tcpPorts } from './service.ts';
import { type MeshSettings, network } from './settings.ts';

/** Written by the capture agent once capture stands; nothing else makes a pod HBONE. */
export const redirectionAnnotation = 'ambient.istio.io/redirection';
/** Contains `http` where the pod speaks HBONE itself. */
const tunnelLabel = 'networking.istio.io/tunnel';
export const serviceNameLabel = 'kubernetes.io/service-name';

export interface PodInputs {
  readonly node: Node | undefined;
  /** Services whose selector matches the pod. */
  readonly selecting: readonly KubeService[];
  /** Slices with an endpoint that names the pod, each with its Service, which has no selector. */
  readonly slices: readonly { readonly slice: EndpointSlice; readonly service: KubeService }[];
  /** `namespace/name` of the policies whose selector matches, and of what PeerAuthentications ask for. */
  readonly policies: readonly string[];
  /** Before what is addressed to the pod itself. */
  readonly waypoint?: GatewayAddress | undefined;
  /** Towards the pod's network, where that is not the cluster's own. */
  readonly networkGateway?: GatewayAddress | undefined;
  /** Of a pod that is a sandwiched waypoint. */
  readonly applicationTunnel?: ApplicationTunnel | undefined;
}

/** undefined while the pod has no address, and once it has ended. */
export function podWorkload(pod: Pod, inputs: PodInputs, settings: MeshSettings): Workload | undefined {
  const { metadata, spec, status } = pod;
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return undefined;
  const addresses = addressesOf(pod);
  if (addresses.length === 0) return undefined;
  const namespace = metadata.namespace ?? 'default';
  const workloadName = ownerName(pod);
  const labels = metadata.labels ?? {};
  const nativeTunnel = (labels[tunnelLabel] ?? '').split(',').includes('http');
  return {
    kind: 'workload',
    uid: `${settings.clusterId}//Pod/${namespace}/${metadata.name}`,
    name: metadata.name,
    namespace,
    addresses,
    hostname: '',
    network: networkOf(pod),
    ...(inputs.networkGateway && { networkGateway: inputs.networkGateway }),
    tunnelProtocol: nativeTunnel || metadata.annotations?.[redirectionAnnotation] === 'enabled' ? 'HBONE' : 'NONE',
    trustDomain: settings.trustDomain,
    serviceAccount: spec.serviceAccountName ?? 'default',
    node: spec.nodeName ?? '',
    canonicalName:
      labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? workloadName,
    canonicalRevision:
      labels['service.istio.io/canonical-revision'] ??
      labels['app.kubernetes.io/version'] ??
      labels['version'] ??
      'latest',
    workloadType: 'pod',
    workloadName,
    nativeTunnel,
    ...(inputs.waypoint && { waypoint: inputs.waypoint }),
    ...(inputs.applicationTunnel && { applicationTunnel: inputs.applicationTunnel }),
    services: servicesOf(pod, inputs, settings),
    authorizationPolicies: inputs.policies,
    status: isReady(pod) ? 'HEALTHY' : 'UNHEALTHY',
    clusterId: settings.clusterId,
    locality: localityOf(inputs.node),
    networkMode: spec.hostNetwork ? 'HOST_NETWORK' : 'STANDARD',
    capacity: 1,
  };
}

export function addressesOf(pod: Pod): readonly Ip[] {
  const texts = pod.status?.podIPs?.map((p) => p.ip) ?? (pod.status?.podIP === undefined ? [] : [pod.status.podIP]);
  return texts.flatMap((t) => parseIp(t) ?? []);
}

function isReady({ metadata, status }: Pod): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  return status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
}

/** The Deployment behind a ReplicaSet, the CronJob behind a Job, or the owner itself; the pod's name without one. */
export function ownerName(pod: Pod): string {
  const owner = pod.metadata.ownerReferences?.find((o) => o.controller) ?? pod.metadata.ownerReferences?.[0];
  if (owner === undefined) return pod.metadata.name;
  const hash = pod.metadata.labels?.['pod-template-hash'];
  if (owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`)) {
    return owner.name.slice(0, -hash.length - 1);
  }
  // The CronJob controller appends the scheduled time in minutes.
  if (owner.kind === 'Job') return owner.name.replace(/-\d{8,}$/, '');
  return owner.name;
}

function servicesOf(pod: Pod, inputs: PodInputs, settings: MeshSettings): Workload['services'] {
  const found = new Map<string, readonly PortMapping[]>();
  for (const service of inputs.selecting) {
    if (!isInMesh(service)) continue;
    const ports = tcpPorts(service).flatMap((p) => {
      const targetPort = targetOf(p, pod);
      return targetPort === undefined ? [] : [{ servicePort: p.port, targetPort }];
    });
    found.set(serviceKey(service, settings), ports);
  }
  for (const { slice, service } of inputs.slices) {
    if (isInMesh(service)) found.set(serviceKey(service, settings), slicePorts(slice, service));
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function serviceKey(service: KubeService, settings: MeshSettings): string {
  return `${service.metadata.namespace}/${hostnameOf(service, settings)}`;
}

/** undefined for a name that none of the pod's containers gives to a TCP port. */
function targetOf(port: ServicePort, pod: Pod): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target;
  const all = pod.spec.containers.flatMap((c) => c.ports ?? []);
  return all.find((p) => p.name === target && (p.protocol ?? 'TCP') === 'TCP')?.containerPort;
}

/** A slice's port belongs to the Service's port of the same name; without names there is one of each. */
function slicePorts(slice: EndpointSlice, service: KubeService): readonly PortMapping[] {
  return tcpPorts(service).flatMap((p) => {
    const port = slice.ports?.find((s) => (s.name ?? '') === (p.name ?? '') && (s.protocol ?? 'TCP') === 'TCP')?.port;
    return port === undefined ? [] : [{ servicePort: p.port, targetPort: port }];
  });
}

function localityOf(node: Node | undefined): Locality {
  const labels = node?.metadata.labels ?? {};
  return {
    region: labels['topology.kubernetes.io/region'] ?? '',
    zone: labels['topology.kubernetes.io/zone'] ?? '',
    subzone: labels['topology.istio.io/subzone'] ?? '',
  };
}

/** Endpoints of a Service that are no pods: reachable in plain text, without identity and policies. */
export function sliceWorkloads(
  slice: EndpointSlice,
  service: KubeService | undefined,
  settings: MeshSettings,
): readonly Workload[] {
  if (slice.addressType === 'FQDN') return [];
  const namespace = slice.metadata.namespace ?? 'default';
  const services =
    service !== undefined && isInMesh(service)
      ? new Map([[serviceKey(service, settings), slicePorts(slice, service)]])
      : new Map<string, readonly PortMapping[]>();
  return (slice.endpoints ?? [])
    .filter((e) => !isPodEndpoint(e))
    .flatMap((e) =>
      e.addresses.flatMap((text) => {
        const ip = parseIp(text);
        if (ip === undefined) return [];
        const workload: Workload = {
          kind: 'workload',
          uid: `${settings.clusterId}/discovery.k8s.io/EndpointSlice/${namespace}/${slice.metadata.name}/${ip}`,
          name: slice.metadata.name,
          namespace,
          addresses: [ip],
          hostname: '',
          network,
          tunnelProtocol: 'NONE',
          trustDomain: settings.trustDomain,
          serviceAccount: '',
          node: e.nodeName ?? '',
          canonicalName: slice.metadata.labels?.[serviceNameLabel] ?? slice.metadata.name,
          canonicalRevision: 'latest',
          workloadType: 'pod',
          workloadName: slice.metadata.name,
          nativeTunnel: false,
          services,
          authorizationPolicies: [],
          status: e.conditions?.ready === false ? 'UNHEALTHY' : 'HEALTHY',
          clusterId: settings.clusterId,
          locality: { region: '', zone: e.zone ?? '', subzone: '' },
          networkMode: 'HOST_NETWORK',
          capacity: 1,
        };
        return [workload];
      }),
    );
}

export function isPodEndpoint(e: EndpointSliceEndpoint): boolean {
  return e.targetRef?.kind === 'Pod';
}
