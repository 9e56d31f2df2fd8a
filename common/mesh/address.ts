/** What both directions ask of a workload: who it proves to be, which of its addresses is dialled, what an address is. */
import { type Ip, isIpv6, type Port } from '../core/net.ts';
import { parseSpiffe, sameIdentity } from '../identity/spiffe.ts';
import type { MeshReader } from './store.ts';
import type { Identity, MeshAddress, Service, Workload } from './types.ts';

/** Ports of the proxy itself: never a destination (ambient-wire 1.1). */
export const proxyPorts: ReadonlySet<number> = new Set([15_001, 15_006, 15_008]);
/** Where every ztunnel accepts HBONE. */
export const hbonePort = 15_008 as Port;

export function identityOf(w: Workload): Identity {
  return { trustDomain: w.trustDomain, namespace: w.namespace, serviceAccount: w.serviceAccount };
}

/** The service's SANs that are SPIFFE ids, and the workload's own identity. */
export function expectedIdentities(workload: Workload, service: Service | undefined): readonly Identity[] {
  const own = identityOf(workload);
  return [...serviceIdentities(service).filter((id) => !sameIdentity(id, own)), own];
}

/** The service's SANs that are SPIFFE ids. */
export function serviceIdentities(service: Service | undefined): readonly Identity[] {
  return (service?.subjectAltNames ?? []).flatMap((san) => parseSpiffe(san) ?? []);
}

/** The original address if it is the workload's, else its first one that the service allows, same family first. */
export function workloadIp(w: Workload, service: Service | undefined, original: Ip): Ip | undefined {
  if (w.addresses.includes(original)) return original;
  const allowed = w.addresses.filter((ip) => allowsFamily(service, isIpv6(ip)));
  return allowed.find((ip) => isIpv6(ip) === isIpv6(original)) ?? allowed[0];
}

export function allowsFamily(service: Service | undefined, ipv6: boolean): boolean {
  return service?.ipFamilies !== (ipv6 ? 'IPV4_ONLY' : 'IPV6_ONLY');
}

/** What an address is, workload before VIP: for telemetry and `aquifer why`. Upstream selection asks in the other order. */
export function findAddress(
  store: MeshReader,
  network: string,
  ip: Ip,
  clientNamespace: string,
): MeshAddress | undefined {
  return store.workloadByIp(network, ip) ?? store.serviceByVip(network, ip, clientNamespace);
}

export function workloadName(w: Workload): string {
  return `workload ${w.namespace}/${w.name || w.uid}`;
}
