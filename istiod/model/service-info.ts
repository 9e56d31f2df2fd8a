/** A service of the mesh with what workloads need to know of it, whichever kind of object it comes from. */
import { firstOf, isIpv6, parseCidr, parseIp } from '../../common/core/net.ts';
import type { Namespace } from '../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type {
  LbScope,
  LoadBalancing,
  NetworkAddress,
  PortMapping,
  PortProtocol,
  Service,
} from '../../common/mesh/types.ts';
import { type Labels, selectsLabels } from './selector.ts';
import type { MeshSettings } from './settings.ts';
import type { Binding } from './waypoint.ts';

export const trafficDistributionAnnotation = 'networking.istio.io/traffic-distribution';

export interface ServiceInfo {
  readonly kind: 'Service' | 'ServiceEntry';
  /** `namespace/hostname`. */
  readonly key: string;
  /** Canonical where it is a Service; a ServiceEntry may yet become it. */
  readonly service: Service;
  readonly object: KubeObject;
  /** Empty: it selects nothing. */
  readonly selector: Labels;
  readonly ports: readonly NamedPort[];
  /** Other networks may reach it. */
  readonly isGlobal: boolean;
  readonly binding: Binding;
  /** The same one is there for another namespace, too. */
  readonly isCopy: boolean;
  readonly inputs: readonly (KubeObject | undefined)[];
  /** Equal texts: workloads see no difference. */
  readonly view: string;
}

export interface NamedPort {
  readonly servicePort: number;
  /** 0 where `targetName` says it. */
  readonly targetPort: number;
  readonly name: string;
  /** Name of a container's port. */
  readonly targetName?: string;
  readonly appProtocol?: PortProtocol;
}

function serviceInfo(given: Omit<ServiceInfo, 'key' | 'view'>): ServiceInfo {
  const { service, selector, ports, binding, isGlobal } = given;
  const key = `${service.namespace}/${service.hostname}`;
  // Who asks how far a ServiceEntry has got looks at its workloads, too.
  const { generation, namespace } = given.object.metadata;
  const asked = given.kind === 'ServiceEntry' ? generation : 0;
  // Whose it is, too: one that was exported here goes when the namespace has its own of that name.
  return {
    ...given,
    key,
    view: JSON.stringify([given.kind, namespace, service.name, asked, selector, ports, binding.waypointId, isGlobal]),
  };
}

export function portMappings(ports: readonly NamedPort[]): readonly PortMapping[] {
  return ports.map(({ servicePort, targetPort, appProtocol }) => ({
    servicePort,
    targetPort,
    ...(appProtocol && appProtocol !== 'GRPC_WEB' && { appProtocol }),
  }));
}

/** What a Service's spec, its annotation or its namespace's says of which endpoints are better. */
export function preferenceOf(
  own: string | undefined,
  object: KubeObject,
  namespace: Namespace | undefined,
): readonly LbScope[] {
  const text =
    own ??
    object.metadata.annotations?.[trafficDistributionAnnotation] ??
    namespace?.metadata.annotations?.[trafficDistributionAnnotation] ??
    '';
  switch (text.toLowerCase()) {
    case 'preferclose':
    case 'prefersamezone':
      return ['NETWORK', 'REGION', 'ZONE'];
    case 'prefersamenode':
      return ['NETWORK', 'REGION', 'ZONE', 'SUBZONE', 'NODE'];
    default:
      return [];
  }
}

/** undefined: any healthy endpoint. */
export function loadBalancing(
  routingPreference: readonly LbScope[],
  healthPolicy: LoadBalancing['healthPolicy'],
): LoadBalancing | undefined {
  if (routingPreference.length > 0) return { routingPreference, mode: 'FAILOVER', healthPolicy };
  return healthPolicy === 'ONLY_HEALTHY'
    ? undefined
    : { routingPreference: [], mode: 'UNSPECIFIED_MODE', healthPolicy };
}

/** An address or a CIDR; undefined for anything else. A CIDR of one address is that address. */
export function networkAddress(text: string, network: string): NetworkAddress | undefined {
  const ip = parseIp(text);
  if (ip !== undefined) return { network, ip };
  const cidr = parseCidr(text);
  if (cidr === undefined) return undefined;
  const { ip: first, length } = firstOf(cidr);
  return { network, ip: first, ...(length < (isIpv6(first) ? 128 : 32) && { length }) };
}

/** Namespaces whose workloads see a service. */
export type Reach = 'all' | readonly string[];

/** Whom exportTo lets see it; its own namespace first, where that is among them. */
export function reachOf(exportTo: readonly string[] | undefined, own: string, settings: MeshSettings): Reach {
  const names = exportTo === undefined || exportTo.length === 0 ? settings.exportTo : exportTo;
  if (names.includes('*')) return 'all';
  const listed = new Set(names.flatMap((n) => (n === '~' ? [] : [n === '.' ? own : n])));
  return listed.has(own) ? [...new Set([own, ...listed])] : [...listed];
}

/**
 * The service as those see it. Node proxies know two sorts, one for all and one for the service's own namespace: what is for several
 * namespaces is a service of each of them, with the same addresses.
 */
export function exported(
  given: Omit<ServiceInfo, 'key' | 'view' | 'isCopy' | 'service'> & { readonly service: Omit<Service, 'visibility'> },
  reach: Reach,
): readonly ServiceInfo[] {
  const { service } = given;
  if (reach === 'all') return [serviceInfo({ ...given, isCopy: false, service: { ...service, visibility: 'PUBLIC' } })];
  return reach.map((namespace, i) => {
    const canonical = service.canonical && namespace === service.namespace;
    const seen: Service = { ...service, namespace, canonical, visibility: 'NAMESPACE' };
    return serviceInfo({ ...given, isCopy: i > 0, service: seen });
  });
}

/** Whether Services of these labels are for other networks, too. */
export function isGlobal(object: KubeObject, namespace: Namespace | undefined, settings: MeshSettings): boolean {
  return settings.serviceScopes.some(
    (s) =>
      s.scope === 'GLOBAL' &&
      (isEmpty(s.namespaces) || selectsLabels(s.namespaces, namespace?.metadata.labels)) &&
      (isEmpty(s.services) || selectsLabels(s.services, object.metadata.labels)),
  );
}

function isEmpty(selector: MeshSettings['serviceScopes'][number]['services']): boolean {
  return (
    selector === undefined ||
    (Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0)
  );
}
