/** Pods, and endpoints without pods, to workloads of the mesh (ambient-wire 3.9). */
import { type Ip, parseIp } from '../../common/core/net.ts';
import type { Node, Pod } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice, EndpointSliceEndpoint } from '../../common/kube/kinds/discovery.ts';
import type { ApplicationTunnel, GatewayAddress, Locality, PortMapping, Workload } from '../../common/mesh/types.ts';
import { podNetwork } from './network.ts';
import type { Labels } from './selector.ts';
import type { NamedPort, ServiceInfo } from './service-info.ts';
import type { MeshSettings } from './settings.ts';

/** Written by the capture agent once capture stands; nothing else makes a pod HBONE. */
export const redirectionAnnotation = 'ambient.istio.io/redirection';
/** Contains `http` where the workload speaks HBONE itself. */
const tunnelLabel = 'networking.istio.io/tunnel';
export const serviceNameLabel = 'kubernetes.io/service-name';

/** What workloads of all sorts are made of besides themselves. */
export interface WorkloadInputs {
  /** Services that select it. */
  readonly services: readonly ServiceInfo[];
  /** `namespace/name` of the policies whose selector matches, and of what PeerAuthentications ask for. */
  readonly policies: readonly string[];
  /** Before what is addressed to the workload itself. */
  readonly waypoint?: GatewayAddress | undefined;
  /** Towards its network, where that is not the cluster's own. */
  readonly networkGateway?: GatewayAddress | undefined;
  /** Of an instance of a sandwiched waypoint. */
  readonly applicationTunnel?: ApplicationTunnel | undefined;
}

export interface PodInputs extends WorkloadInputs {
  readonly node: Node | undefined;
  /** Slices with an endpoint that names the pod, each with its Service, which has no selector. */
  readonly slices: readonly { readonly slice: EndpointSlice; readonly service: ServiceInfo }[];
}

/** undefined while the pod has no address, and once it has ended. */
export function podWorkload(pod: Pod, inputs: PodInputs, settings: MeshSettings): Workload | undefined {
  const { metadata, spec, status } = pod;
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return undefined;
  const addresses = addressesOf(pod);
  if (addresses.length === 0) return undefined;
  const namespace = metadata.namespace ?? 'default';
  const workloadName = ownerName(pod);
  return {
    kind: 'workload',
    uid: `${settings.clusterId}//Pod/${namespace}/${metadata.name}`,
    name: metadata.name,
    namespace,
    addresses,
    hostname: '',
    network: podNetwork(pod, settings),
    ...gatewaysOf(inputs),
    ...tunnelOf(metadata.labels, metadata.annotations),
    trustDomain: settings.trustDomain,
    serviceAccount: spec.serviceAccountName ?? 'default',
    node: spec.nodeName ?? '',
    ...canonicalOf(metadata.labels, workloadName),
    workloadType: 'pod',
    workloadName,
    services: podServices(pod, inputs),
    authorizationPolicies: inputs.policies,
    status: isReady(pod) ? 'HEALTHY' : 'UNHEALTHY',
    clusterId: settings.clusterId,
    locality: podLocality(pod, inputs.node),
    networkMode: spec.hostNetwork ? 'HOST_NETWORK' : 'STANDARD',
    capacity: 1,
  };
}

export function gatewaysOf({
  waypoint,
  networkGateway,
  applicationTunnel,
}: WorkloadInputs): Pick<Workload, 'waypoint' | 'networkGateway' | 'applicationTunnel'> {
  return {
    ...(waypoint && { waypoint }),
    ...(networkGateway && { networkGateway }),
    ...(applicationTunnel && { applicationTunnel }),
  };
}

export function tunnelOf(
  labels: Labels | undefined,
  annotations: Labels | undefined,
): Pick<Workload, 'tunnelProtocol' | 'nativeTunnel'> {
  const nativeTunnel = (labels?.[tunnelLabel] ?? '').split(',').includes('http');
  const isCaptured = annotations?.[redirectionAnnotation] === 'enabled';
  return { tunnelProtocol: nativeTunnel || isCaptured ? 'HBONE' : 'NONE', nativeTunnel };
}

export function canonicalOf(
  labels: Labels = {},
  workloadName: string,
): Pick<Workload, 'canonicalName' | 'canonicalRevision'> {
  return {
    canonicalName:
      labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? workloadName,
    canonicalRevision:
      labels['service.istio.io/canonical-revision'] ??
      labels['app.kubernetes.io/version'] ??
      labels['version'] ??
      'latest',
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

/** Labels by which controllers of ReplicaSets tell their generations apart: of Deployments, of Argo's Rollouts. */
const hashLabels = ['pod-template-hash', 'rollouts-pod-template-hash'];

/** The Deployment behind a ReplicaSet, the CronJob behind a Job, or the owner itself; the pod's name without one. */
export function ownerName({ metadata: { name, labels = {}, ownerReferences } }: Pod): string {
  const owner = ownerReferences?.find((o) => o.controller) ?? ownerReferences?.[0];
  if (owner === undefined) return name;
  switch (owner.kind) {
    case 'ReplicaSet': {
      const tail = hashLabels.map((l) => `-${labels[l] ?? ''}`).find((t) => t !== '-' && owner.name.endsWith(t));
      return tail === undefined ? owner.name : owner.name.slice(0, -tail.length);
    }
    // The CronJob controller appends the scheduled time in minutes.
    case 'Job':
      return owner.name.replace(/-\d{8,}$/, '');
    // OpenShift's DeploymentConfig stands behind it and names itself on the pods.
    case 'ReplicationController':
      return labels['deploymentconfig'] ?? owner.name;
    default:
      return owner.name;
  }
}

function podServices(pod: Pod, inputs: PodInputs): Workload['services'] {
  const found = new Map<string, readonly PortMapping[]>();
  for (const service of inputs.services)
    found.set(
      service.key,
      mapPorts(service, (port) => podPort(service, port, pod)),
    );
  for (const { slice, service } of inputs.slices) found.set(service.key, slicePorts(slice, service));
  return sorted(found);
}

/** By key, so that equal workloads have equal bytes. */
export function sorted(services: ReadonlyMap<string, readonly PortMapping[]>): Workload['services'] {
  return services.size < 2 ? services : new Map([...services].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Ports that the endpoint does not have are left out. */
export function mapPorts(
  service: ServiceInfo,
  targetOf: (port: NamedPort) => number | undefined,
): readonly PortMapping[] {
  return service.ports.flatMap((port) => {
    const targetPort = targetOf(port);
    return targetPort === undefined ? [] : [{ servicePort: port.servicePort, targetPort }];
  });
}

/** undefined for a name that none of the pod's containers gives to a TCP port. A ServiceEntry's port goes by its own name, where there is one. */
function podPort(service: ServiceInfo, port: NamedPort, pod: Pod): number | undefined {
  if (port.targetName !== undefined) return containerPort(pod, port.targetName);
  const own = service.kind === 'ServiceEntry' && port.name !== '' ? containerPort(pod, port.name) : undefined;
  return own ?? port.targetPort;
}

function containerPort(pod: Pod, name: string): number | undefined {
  // A native sidecar is an init container, and serves.
  for (const c of [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])]) {
    const port = c.ports?.find((p) => p.name === name && (p.protocol ?? 'TCP') === 'TCP');
    if (port) return port.containerPort;
  }
  return undefined;
}

/** A slice's port belongs to the Service's port of the same name; without names there is one of each. */
function slicePorts(slice: EndpointSlice, service: ServiceInfo): readonly PortMapping[] {
  return mapPorts(
    service,
    (p) => slice.ports?.find((s) => (s.name ?? '') === p.name && (s.protocol ?? 'TCP') === 'TCP')?.port,
  );
}

/** Its node's, or what its label istio-locality says: there "." stands for "/". */
function podLocality(pod: Pod, node: Node | undefined): Locality {
  const own = pod.metadata.labels?.['istio-locality'];
  if (own) return localityOf(own.replaceAll('.', '/'));
  const labels = node?.metadata.labels ?? {};
  return {
    region: labels['topology.kubernetes.io/region'] ?? '',
    zone: labels['topology.kubernetes.io/zone'] ?? '',
    subzone: labels['topology.istio.io/subzone'] ?? '',
  };
}

/** Whether the two nodes are of different localities. */
export function nodeDiffers(a: Node, b: Node): boolean {
  const [x, y] = [a, b].map(({ metadata: { labels = {} } }) => [
    labels['topology.kubernetes.io/region'],
    labels['topology.kubernetes.io/zone'],
    labels['topology.istio.io/subzone'],
  ]);
  return x!.some((label, i) => label !== y![i]);
}

/** `region/zone/subzone`. */
export function localityOf(text = ''): Locality {
  const [region = '', zone = '', subzone = ''] = text.split('/');
  return { region, zone, subzone };
}

/** Endpoints of a Service that are no pods: reachable in plain text, without identity and policies. */
export function sliceWorkloads(
  slice: EndpointSlice,
  behind: readonly ServiceInfo[],
  settings: MeshSettings,
): readonly Workload[] {
  const [first] = behind;
  if (slice.addressType === 'FQDN' || first === undefined) return [];
  const { name, namespace = 'default' } = slice.metadata;
  const services = sorted(new Map(behind.map((s) => [s.key, slicePorts(slice, s)])));
  const seen = new Set<Ip>();
  return (slice.endpoints ?? []).flatMap((e): readonly Workload[] => {
    const ip = parseIp(e.addresses[0] ?? '');
    // Others are not defined by Kubernetes; an address counts once.
    if (isPodEndpoint(e) || ip === undefined || seen.has(ip)) return [];
    seen.add(ip);
    return [
      {
        kind: 'workload',
        uid: `${settings.clusterId}/discovery.k8s.io/EndpointSlice/${namespace}/${name}/${ip}`,
        name,
        namespace,
        addresses: [ip],
        hostname: '',
        network: settings.network,
        tunnelProtocol: 'NONE',
        trustDomain: settings.trustDomain,
        serviceAccount: '',
        node: e.nodeName ?? '',
        canonicalName: first.service.name,
        canonicalRevision: 'latest',
        workloadType: 'pod',
        workloadName: name,
        nativeTunnel: false,
        services,
        authorizationPolicies: [],
        status: e.conditions?.ready === false ? 'UNHEALTHY' : 'HEALTHY',
        clusterId: settings.clusterId,
        locality: { region: '', zone: e.zone ?? '', subzone: '' },
        networkMode: 'HOST_NETWORK',
        capacity: 1,
      },
    ];
  });
}

export function isPodEndpoint(e: EndpointSliceEndpoint): boolean {
  return e.targetRef?.kind === 'Pod';
}
