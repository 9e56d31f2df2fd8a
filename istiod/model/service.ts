/** Kubernetes Services to services of the mesh (ambient-wire 3.9). */
import { parseIp } from '../../common/core/net.ts';
import type { Service as KubeService, Namespace, ServicePort } from '../../common/kube/kinds/core.ts';
import type { LbScope, LoadBalancing, PortMapping, Service } from '../../common/mesh/types.ts';
import { type MeshSettings, network } from './settings.ts';
import type { Binding } from './waypoint.ts';

export const trafficDistributionAnnotation = 'networking.istio.io/traffic-distribution';

export function hostnameOf(service: KubeService, settings: MeshSettings): string {
  return `${service.metadata.name}.${service.metadata.namespace}.svc.${settings.domain}`;
}

/** ExternalName is an alias in DNS and nothing that the mesh could carry. */
export function isInMesh(service: KubeService): boolean {
  return service.spec.type !== 'ExternalName';
}

/** Ports that a proxy of TCP can serve. */
export function tcpPorts(service: KubeService): readonly ServicePort[] {
  return (service.spec.ports ?? []).filter((p) => (p.protocol ?? 'TCP') === 'TCP');
}

export function serviceOf(
  service: KubeService,
  namespace: Namespace | undefined,
  settings: MeshSettings,
  { waypoint, weighted }: Pick<Binding, 'waypoint' | 'weighted'> = { weighted: [] },
  subjectAltNames: readonly string[] = [],
): Service | undefined {
  if (!isInMesh(service)) return undefined;
  const loadBalancing = loadBalancingOf(service, namespace);
  return {
    kind: 'service',
    name: service.metadata.name,
    namespace: service.metadata.namespace ?? 'default',
    hostname: hostnameOf(service, settings),
    addresses: clusterIps(service).flatMap((text) => {
      const ip = parseIp(text);
      return ip === undefined ? [] : [{ network, ip }];
    }),
    ports: tcpPorts(service).map(portOf),
    subjectAltNames,
    ...(waypoint && { waypoint }),
    weightedWaypoints: weighted,
    ...(loadBalancing === undefined ? {} : { loadBalancing }),
    ipFamilies: familiesOf(service),
    canonical: true,
    visibility: 'PUBLIC',
  };
}

function clusterIps({ spec }: KubeService): readonly string[] {
  const ips = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  return ips.filter((ip) => ip !== 'None' && ip !== '');
}

/** A named target is 0: each endpoint says what the name means to it. */
function portOf(port: ServicePort): PortMapping {
  const target = port.targetPort ?? port.port;
  return { servicePort: port.port, targetPort: typeof target === 'number' ? target : 0 };
}

function familiesOf({ spec }: KubeService): Service['ipFamilies'] {
  const families = new Set(spec.ipFamilies ?? []);
  if (families.size === 2) return 'DUAL';
  if (families.has('IPv4')) return 'IPV4_ONLY';
  return families.has('IPv6') ? 'IPV6_ONLY' : 'AUTOMATIC';
}

function loadBalancingOf(service: KubeService, namespace: Namespace | undefined): LoadBalancing | undefined {
  const healthPolicy = service.spec.publishNotReadyAddresses ? 'ALLOW_ALL' : 'ONLY_HEALTHY';
  if (service.spec.internalTrafficPolicy === 'Local') {
    return { routingPreference: ['NODE'], mode: 'STRICT', healthPolicy };
  }
  const routingPreference = preferenceOf(distributionOf(service, namespace));
  if (routingPreference.length > 0) return { routingPreference, mode: 'FAILOVER', healthPolicy };
  if (healthPolicy === 'ONLY_HEALTHY') return undefined;
  return { routingPreference: [], mode: 'UNSPECIFIED_MODE', healthPolicy };
}

function distributionOf(service: KubeService, namespace: Namespace | undefined): string {
  return (
    service.spec.trafficDistribution ??
    service.metadata.annotations?.[trafficDistributionAnnotation] ??
    namespace?.metadata.annotations?.[trafficDistributionAnnotation] ??
    ''
  ).toLowerCase();
}

function preferenceOf(distribution: string): readonly LbScope[] {
  switch (distribution) {
    case 'preferclose':
    case 'prefersamezone':
      return ['NETWORK', 'REGION', 'ZONE'];
    case 'prefersamenode':
      return ['NETWORK', 'REGION', 'ZONE', 'SUBZONE', 'NODE'];
    default:
      return [];
  }
}
