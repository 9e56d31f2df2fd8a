/** Kubernetes Services to services of the mesh (ambient-wire 3.9). */
import { parseIp } from '../../common/core/net.ts';
import type { Service as KubeService, Namespace, ServicePort } from '../../common/kube/kinds/core.ts';
import type { LoadBalancing, Service } from '../../common/mesh/types.ts';
import { appProtocolOf } from './app-protocol.ts';
import {
  exported,
  isGlobal,
  loadBalancing,
  type NamedPort,
  portMappings,
  preferenceOf,
  reachOf,
  type ServiceInfo,
} from './service-info.ts';
import type { MeshSettings } from './settings.ts';
import { bindService, ingressUsesWaypoint, type WaypointScope } from './waypoint.ts';

const exportToAnnotation = 'networking.istio.io/exportTo';

export function hostnameOf(name: string, namespace: string, { domain }: MeshSettings): string {
  return `${name}.${namespace}.svc.${domain}`;
}

/** One for each namespace where it is for some alone; none of those that the mesh does not carry: aliases in DNS. */
export function servicesOf(service: KubeService, scope: WaypointScope): readonly ServiceInfo[] {
  const { settings, namespace } = scope;
  const { name, namespace: ns = 'default', annotations } = service.metadata;
  const reach = reachOf(listOf(annotations?.[exportToAnnotation]), ns, settings);
  if (service.spec.type === 'ExternalName') return [];
  const binding = bindService(service, scope, reach !== 'all');
  const ports = (service.spec.ports ?? []).filter((p) => (p.protocol ?? 'TCP') === 'TCP').map(portOf);
  const balancing = balancingOf(service, namespace);
  const mesh: Omit<Service, 'visibility'> = {
    kind: 'service',
    name,
    namespace: ns,
    hostname: hostnameOf(name, ns, settings),
    addresses: clusterIps(service).flatMap((text) => {
      const ip = parseIp(text);
      return ip === undefined ? [] : [{ network: settings.network, ip }];
    }),
    ports: portMappings(ports),
    subjectAltNames: [],
    ...(binding.waypoint && { waypoint: binding.waypoint }),
    weightedWaypoints: binding.weighted,
    ...(balancing && { loadBalancing: balancing }),
    ipFamilies: familiesOf(service),
    canonical: true,
    ...(binding.waypoint && ingressUsesWaypoint(service, namespace) && { ingressUseWaypoint: true }),
  };
  return exported(
    {
      kind: 'Service',
      service: mesh,
      object: service,
      selector: service.spec.selector ?? {},
      ports,
      isGlobal: isGlobal(service, namespace, settings),
      binding,
      inputs: [service, namespace, ...binding.from],
    },
    reach,
  );
}

function listOf(text: string | undefined): readonly string[] | undefined {
  const names = text?.split(',').map((t) => t.trim());
  return names?.filter((n) => n !== '');
}

function clusterIps({ spec }: KubeService): readonly string[] {
  const ips = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  return ips.filter((ip) => ip !== 'None' && ip !== '');
}

/** A named target is 0: each endpoint says what the name means to it. */
function portOf(port: ServicePort): NamedPort {
  const target = port.targetPort ?? port.port;
  const appProtocol = appProtocolOf(port, port.port);
  return {
    servicePort: port.port,
    name: port.name ?? '',
    ...(typeof target === 'number' ? { targetPort: target } : { targetPort: 0, targetName: target }),
    ...(appProtocol && { appProtocol }),
  };
}

function familiesOf({ spec }: KubeService): Service['ipFamilies'] {
  const families = new Set(spec.ipFamilies ?? []);
  if (families.size === 2) return 'DUAL';
  if (families.has('IPv4')) return 'IPV4_ONLY';
  return families.has('IPv6') ? 'IPV6_ONLY' : 'AUTOMATIC';
}

function balancingOf(service: KubeService, namespace: Namespace | undefined): LoadBalancing | undefined {
  const healthPolicy = service.spec.publishNotReadyAddresses ? 'ALLOW_ALL' : 'ONLY_HEALTHY';
  if (service.spec.internalTrafficPolicy === 'Local') {
    return { routingPreference: ['NODE'], mode: 'STRICT', healthPolicy };
  }
  return loadBalancing(preferenceOf(service.spec.trafficDistribution, service, namespace), healthPolicy);
}
