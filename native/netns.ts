/** Linux network namespaces. Every call that enters one does so on a thread of its own which then ends. */
import type { Fd, NetnsCookie } from '../common/core/brand.ts';
import { addon } from './addon.ts';

/** Opens `/proc/PID/ns/net` or a bind mount of one. The caller owns the descriptor, which keeps the namespace alive. */
export function openNetns(path: string): Fd {
  return addon().openNetns(path) as Fd;
}

/** A new, empty namespace that lives as long as the descriptor; its loopback is down. For trying out programs. */
export function newNetns(): Fd {
  return addon().newNetns() as Fd;
}

/** SO_NETNS_COOKIE of a socket inside (Linux 5.14). Never reused while the machine is up. */
export function netnsCookie(netns: Fd): NetnsCookie {
  return addon().netnsCookie(netns) as NetnsCookie;
}

/** Two descriptors with the same identity are the same namespace. Inodes are reused after the namespace is gone. */
export function netnsIdentity(netns: Fd): { readonly dev: bigint; readonly ino: bigint } {
  return addon().netnsIdentity(netns);
}

export interface PodRouting {
  /** Packets with it stay in the namespace. */
  readonly mark: number;
  /** Routing table, 1 to 252 by custom; ours is 100. */
  readonly table: number;
  readonly ipv6: boolean;
}

/**
 * Mark and table of Istio (ambient-wire 6.2), for both kinds of capture. With eBPF the proxy's dial to the app carries the mark
 * itself, and tcp_fwmark_accept passes it on to the app's replies. With nftables the dial carries `proxyMark`, as that of any
 * ztunnel does, and conntrack marks the replies.
 */
export const podRouting = { mark: 0x111, table: 100 } as const;

/** What a ztunnel with the well-known ports marks its sockets with, if nothing else is set (PACKET_MARK, ambient-wire 6.1). */
export const proxyMark = 0x539;

/**
 * Lets the proxy dial the app from the client's address (ebpf-datapath 4, variant B): packets with the mark, and the replies to
 * them, stay in the pod. A rule and a route a family, tcp_fwmark_accept and fwmark_reflect. A route to ::1 an interface lets the kernel
 * answer for connections to the proxy that the app has closed. Calling it again changes nothing.
 * IPv6 is skipped where the kernel or the namespace has it off. Needs CAP_NET_ADMIN over the namespace and CAP_SYS_ADMIN.
 */
export function setUpPodRouting(netns: Fd, routing: PodRouting): void {
  addon().setUpPodRouting(netns, routing.mark, routing.table, routing.ipv6);
}

/** Undoes setUpPodRouting. Connections that the proxy made from a client's address stop working: call it once they are closed. */
export function tearDownPodRouting(netns: Fd, routing: Omit<PodRouting, 'ipv6'>): void {
  addon().tearDownPodRouting(netns, routing.mark, routing.table);
}
