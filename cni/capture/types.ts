/** How a pod's traffic is brought to the node proxy: by eBPF (cni/capture/ebpf) or by nftables (cni/capture/nft). */
import type { Fd, Millis, NetnsCookie } from '../../common/core/brand.ts';
import type { Ip, SocketAddr } from '../../common/core/net.ts';

/** What the owner of a pod may choose, by annotation (ambient-wire 9.1). */
export interface CaptureWishes {
  /** Whether DNS is captured. */
  readonly dns: boolean;
  /** `direct`: plain text that comes in goes straight to the app ("ingress mode"); HBONE is captured all the same. */
  readonly plaintext: 'captured' | 'direct';
  /** Interfaces of guests inside the pod (KubeVirt, Docker): what comes in by them counts as outbound. */
  readonly virtualInterfaces: readonly string[];
}

export interface CapturedPod {
  readonly uid: string;
  /** Open for as long as the call lasts; the backend duplicates what it keeps. */
  readonly netns: Fd;
  readonly cookie: NetnsCookie;
  /** One or two: what sk_lookup sees as local address, and what connect binds to. */
  readonly ips: readonly Ip[];
  readonly wishes: CaptureWishes;
}

/** Who may connect to whom past the proxy: the source's namespace to one port of the destination's. */
export interface DirectPair {
  readonly source: NetnsCookie;
  readonly destination: NetnsCookie;
  /** The destination pod's address. */
  readonly target: SocketAddr;
}

/** Both ends of a connection. */
export interface FlowEnds {
  readonly client: SocketAddr;
  readonly server: SocketAddr;
}

/** Of a connection that goes from pod to pod past the proxy. */
export interface DirectEvent extends FlowEnds {
  /** `reset`: closed without an orderly end of both directions; `failed`: it never stood. */
  readonly kind: 'opened' | 'closed' | 'reset' | 'failed';
  /** The client's namespace. */
  readonly netns: NetnsCookie;
  /** Since its SYN. */
  readonly ms: number;
  /** Bytes of the client that arrived at the server. */
  readonly sent: number;
  /** Bytes that arrived at the client. */
  readonly received: number;
}

export interface DirectWatcher {
  /** Of a pod that is captured; undefined while it is not known. Stays the caller's. */
  netnsOf(cookie: NetnsCookie): Fd | undefined;
  onEvent(event: DirectEvent): void;
}

/** The same-node fast path. Nothing is direct that nobody granted. */
export interface SameNode {
  /** Hears of direct connections from here on. Those that an agent before this one let begin are cut, now or once their pod is known. */
  watch(watcher: DirectWatcher): void;
  /** New connections of the pair go directly for `lifetime`, in ms, unless it is granted again. */
  grant(pair: DirectPair, lifetime: Millis): void;
  /** New connections go by the proxy when it returns, and open ones of the pair are reset and have been told of. */
  revoke(pair: DirectPair): void;
  revokeAll(): void;
  /** Cuts the connections of pairs that lapsed. */
  sweep(): void;
}

/** Which pod, for what concerns all of its capture. */
export type PodInNetns = Pick<CapturedPod, 'uid' | 'netns' | 'cookie'>;

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

/**
 * A pod goes through it in this order: enrol; when it leaves, setPlaintext 'direct', withdraw, remove. Each call may be repeated,
 * and each but enrol does nothing for a pod that is not there.
 */
export interface CaptureBackend {
  readonly kind: 'ebpf' | 'nft';
  /**
   * `steered`: the node proxy listens anywhere and says where, over the steering socket. `fixed`: it listens on the well-known
   * ports (ambient-wire 6.1), and there must be no steering socket.
   */
  readonly proxyPorts: 'steered' | 'fixed';
  /** Absent where this backend has none. Only between start and close. */
  readonly sameNode?: SameNode | undefined;
  /** Makes ready, or takes over what an earlier agent left standing. */
  start(): void;
  /**
   * This cgroup is a node proxy's: its processes, and those in cgroups below, are not captured for as long as it is there. Pods that
   * are enrolled already know it after `enrol` (a backend with fixed ports) or at once. MeshError when it is not there.
   */
  addProxy(cgroup: string): void;
  /**
   * Enrols, or changes a pod that is enrolled. When it returns, capture stands in both directions. Without targets a backend with
   * steered ports refuses all connections until it is called again with them; one with fixed ports needs none.
   */
  enrol(pod: CapturedPod, targets: SteeringTargets | undefined): void;
  /**
   * Where new connections in plain text go: to the proxy, or straight to the app, as the callers of a pod that leaves need it:
   * they have no identity any more. HBONE and outbound traffic stay captured.
   */
  setPlaintext(pod: CapturedPod, to: CaptureWishes['plaintext']): void;
  /** New connections go direct from here on, in both directions; open ones go on, and what they need stays. */
  withdraw(pod: CapturedPod): void;
  /** Undoes what the open connections needed: they stop working. The namespace is as it was before enrol. */
  remove(pod: PodInNetns): void;
  /** Uids that are captured, by an earlier agent too; until `remove` a backend may still count those that were withdrawn. */
  enrolled(): readonly string[];
  /** Whether this very namespace is captured for the pod. */
  stands(pod: PodInNetns): boolean;
  /** Drops what is left of pods that are gone; returns their uids. `isKnown`: there still is such a pod. */
  sweep(isKnown: (uid: string) => boolean): readonly string[];
  /** Monotonic counts since load, by name, for metrics. */
  counters(): Readonly<Record<string, number>>;
  /** What of these wishes this backend cannot do, for the log. */
  unmet(wishes: CaptureWishes): readonly string[];
  /** Gives descriptors back. Capture stands; start() takes it over again. */
  close(): void;
  /** Ends all capture of this node. Only for uninstall and for a lab's end: a restart must not call it. */
  destroy(): void;
}
