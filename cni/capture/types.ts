/** How a pod's traffic is brought to the node proxy: eBPF (cni/capture/ebpf) today, nftables with the next issue. */
import type { Fd, NetnsCookie } from '../../common/core/brand.ts';
import type { Ip } from '../../common/core/net.ts';

export interface CapturedPod {
  readonly uid: string;
  /** Open for as long as the call lasts; the backend duplicates what it keeps. */
  readonly netns: Fd;
  readonly cookie: NetnsCookie;
  /** One or two: what sk_lookup sees as local address, and what connect binds to. */
  readonly ips: readonly Ip[];
}

export interface SteeringTargets {
  readonly outbound: { readonly v4: number; readonly v6: number };
  /** Absent: DNS is not captured for this pod. */
  readonly dnsUdp?: { readonly v4: number; readonly v6: number };
  readonly dnsTcp?: { readonly v4: number; readonly v6: number };
  /** Listening sockets inside the pod's namespace. */
  readonly listeners: {
    readonly plaintext4: Fd;
    readonly plaintext6: Fd;
    readonly hbone4: Fd;
    readonly hbone6: Fd;
  };
}

export interface CaptureBackend {
  readonly kind: 'ebpf' | 'nftables';
  /** Loads and attaches, or adopts what an earlier agent pinned and replaces its programs in place. */
  start(): void;
  /** Enrols, or retargets a pod that is enrolled. When it returns, capture stands in both directions. */
  enrol(pod: CapturedPod, targets: SteeringTargets): void;
  /**
   * New connections go direct from here on; open ones go on. So the pod's routing (native/netns.ts), which they need, stays: it
   * is undone once they are closed. Does nothing for a pod that is not enrolled.
   */
  withdraw(pod: CapturedPod): void;
  /** Uids that are captured now, also those that an earlier agent enrolled. */
  enrolled(): readonly string[];
  /** Drops pins and map entries of namespaces that no longer exist; returns their uids. */
  sweep(): readonly string[];
  /** Monotonic counts since load, by name, for metrics. */
  counters(): Readonly<Record<string, number>>;
  /** Detaches everything and removes the pins. Only for uninstall and for a lab's end: a restart must not call it. */
  destroy(): void;
}

export type { NetnsCookie };
