/**
 * What capture needs in the node's own namespace: which pods are captured, kept by the kernel so that a restarted agent knows them,
 * and a source address for the kubelet's probes by which the pods' rules know them (ambient-wire 6.2).
 *
 * The prober's cgroup can be told here only, where its sockets are, and its packets can be given another source only where they
 * leave. Between the two hooks a set remembers them, for marks belong to the node's other owners.
 */
import type { Fd } from '../../../common/core/brand.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { type Ip, isIpv6 } from '../../../common/core/net.ts';
import { nft } from '../../../native/index.ts';
import type { NftCgroup } from './cgroup.ts';
import { cgroupText } from './nft-text.ts';

export const nodeTable = 'aquifer-node';
/** Istio's addresses, which no host has (HOST_PROBE_SNAT_IP and _IPV6). */
export const probeSources = ['169.254.7.127', 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff'] as const;

/** Sets stay as they are. Without a `prober` probes are captured like all else. */
export function nodeTableText(prober: NftCgroup | undefined): string {
  return `table inet ${nodeTable} {
  set pods4 { type ipv4_addr; }
  set pods6 { type ipv6_addr; }
  set probes4 { type ipv4_addr . inet_service . ipv4_addr . inet_service; flags dynamic, timeout; size 65535; timeout 10s; }
  set probes6 { type ipv6_addr . inet_service . ipv6_addr . inet_service; flags dynamic, timeout; size 65535; timeout 10s; }
  chain notice { type filter hook output priority -150; }
  chain disguise { type nat hook postrouting priority 90; }
}
flush table inet ${nodeTable}
table inet ${nodeTable} {
  chain notice {
${prober === undefined ? '' : [4, 6].map((f) => `    ${notice(f, prober)}\n`).join('')}  }
  chain disguise {
    ip saddr . tcp sport . ip daddr . tcp dport @probes4 counter snat ip to ${probeSources[0]}
    ip6 saddr . tcp sport . ip6 daddr . tcp dport @probes6 counter snat ip6 to ${probeSources[1]}
  }
}
`;
}

function notice(family: number, prober: NftCgroup): string {
  const ip = family === 4 ? 'ip' : 'ip6';
  return (
    `${ip} daddr @pods${family} tcp flags & (fin | syn | rst | ack) == syn ${cgroupText(prober)} ` +
    `add @probes${family} { ${ip} saddr . tcp sport . ${ip} daddr . tcp dport }`
  );
}

export interface PodAddress {
  readonly ip: Ip;
  readonly uid: string;
}

/** An element's comment cannot be changed: an address that another pod had is to be deleted first. */
export function addAddressText({ ip, uid }: PodAddress): string {
  return `add element inet ${nodeTable} ${setOf(ip)} { ${ip} comment "${uid}" }\n`;
}

export function deleteAddressText({ ip }: PodAddress): string {
  return `delete element inet ${nodeTable} ${setOf(ip)} { ${ip} }\n`;
}

/** One at a time: nft 1.0 finds only one of two sets that one input lists. */
export const listAddressesTexts = ['pods4', 'pods6'].map((set) => `list set inet ${nodeTable} ${set}\n`);

export function addressesIn(listing: string): readonly PodAddress[] {
  return [...listing.matchAll(/([0-9a-f.:]+) comment "([^"]+)"/g)].map(([, ip, uid]) => ({ ip: ip as Ip, uid: uid! }));
}

const setOf = (ip: Ip) => (isIpv6(ip) ? 'pods6' : 'pods4');

/** Whether an agent captures by nftables here. False where there is no nftables at all. */
export function hasNodeTable(node: Fd): boolean {
  try {
    return nft(node, 'list tables inet\n').split('\n').includes(`table inet ${nodeTable}`);
  } catch (e) {
    if (e instanceof MeshError) return false;
    throw e;
  }
}
