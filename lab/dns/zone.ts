/** The names of a cluster (Kubernetes DNS-based service discovery 1.1.0), from Services and EndpointSlices. Pure. */

import type { Service } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice } from '../../common/kube/kinds/discovery.ts';
import { clusterDomain } from '../addresses.ts';
import { clusterIps, serviceNameLabel } from '../services/backends.ts';

export type DnsRecord =
  | { readonly type: 'A' | 'AAAA' | 'PTR'; readonly value: string }
  | { readonly type: 'CNAME'; readonly value: string }
  | { readonly type: 'SRV'; readonly port: number; readonly target: string };

/** Lower-case name without the final dot -> its records; an empty list is a name that exists for its descendants. */
export type Zone = Readonly<Record<string, readonly DnsRecord[]>>;

export function buildZone(services: Iterable<Service>, slices: Iterable<EndpointSlice>): Zone {
  const records = new Map<string, DnsRecord[]>();
  const add = (name: string, record: DnsRecord) => {
    const list = records.get(name) ?? [];
    if (!list.some((r) => JSON.stringify(r) === JSON.stringify(record))) list.push(record);
    records.set(name, list);
  };
  const byService = Map.groupBy(slices, (s) => `${s.metadata.namespace}/${s.metadata.labels?.[serviceNameLabel]}`);
  for (const service of services) {
    const { name, namespace } = service.metadata;
    addService(service, byService.get(`${namespace}/${name}`) ?? [], add);
  }
  addParents(records);
  return Object.fromEntries(records);
}

type Add = (name: string, record: DnsRecord) => void;

function addService(service: Service, slices: readonly EndpointSlice[], add: Add): void {
  const { name, namespace } = service.metadata;
  const host = `${name}.${namespace}.svc.${clusterDomain}`;
  if (service.spec.type === 'ExternalName') {
    add(host, { type: 'CNAME', value: service.spec.externalName ?? '' });
    return;
  }
  const ips = clusterIps(service);
  for (const ip of ips) {
    add(host, addressRecord(ip));
    add(reverseName(ip), { type: 'PTR', value: host });
  }
  if (ips.length > 0) {
    for (const port of service.spec.ports ?? []) {
      if (port.name === undefined) continue;
      add(srvName(port.name, port.protocol, host), { type: 'SRV', port: port.port, target: host });
    }
  } else {
    for (const slice of slices) addHeadless(slice, host, add);
  }
}

/** Ready endpoints by the Service's own name, and each by its host name (default: its address with dashes). */
function addHeadless(slice: EndpointSlice, host: string, add: Add): void {
  if (slice.addressType === 'FQDN') return;
  for (const endpoint of slice.endpoints ?? []) {
    if (endpoint.conditions?.ready === false) continue;
    for (const ip of endpoint.addresses) {
      const own = `${endpoint.hostname ?? ip.replace(/[.:]/g, '-')}.${host}`;
      add(host, addressRecord(ip));
      add(own, addressRecord(ip));
      add(reverseName(ip), { type: 'PTR', value: own });
      for (const port of slice.ports ?? []) {
        if (!port.name || port.port === undefined) continue;
        add(srvName(port.name, port.protocol, host), { type: 'SRV', port: port.port, target: own });
      }
    }
  }
}

function srvName(port: string, protocol: string | undefined, host: string): string {
  return `_${port}._${(protocol ?? 'TCP').toLowerCase()}.${host}`;
}

function addressRecord(ip: string): DnsRecord {
  return { type: ip.includes(':') ? 'AAAA' : 'A', value: ip };
}

/** RFC 1035 section 3.5, RFC 3596 section 2.5. */
export function reverseName(ip: string): string {
  if (!ip.includes(':')) return `${ip.split('.').reverse().join('.')}.in-addr.arpa`;
  const [head = '', tail] = ip.split('::');
  const left = head.split(':').filter((g) => g !== '');
  const right = (tail ?? '').split(':').filter((g) => g !== '');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...new Array<string>(zeros).fill('0'), ...right];
  const nibbles = groups.map((g) => g.padStart(4, '0')).join('');
  return `${[...nibbles].reverse().join('.')}.ip6.arpa`;
}

/** A name above an existing one exists too (RFC 8020): asking for it gives no data, not NXDOMAIN. */
function addParents(records: Map<string, DnsRecord[]>): void {
  for (const name of [...records.keys(), `svc.${clusterDomain}`]) {
    const labels = name.split('.');
    for (let i = 1; i < labels.length; i++) {
      const parent = labels.slice(i).join('.');
      if (!records.has(parent)) records.set(parent, []);
    }
  }
}
