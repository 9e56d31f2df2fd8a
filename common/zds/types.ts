/**
 * The two sockets between capture agent and ztunnel supervisor (DESIGN 8). ZDS is Istio's to the byte (ambient-wire 6.4);
 * steering is ours: JSON packets of the shapes below, on SOCK_SEQPACKET beside the ZDS socket.
 */
export interface WorkloadInfo {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Agent to ztunnel. `add` carries exactly one descriptor: the pod's network namespace. */
export type ZdsRequest =
  | { readonly kind: 'add'; readonly uid: string; readonly info: WorkloadInfo }
  | { readonly kind: 'keep'; readonly uid: string }
  | { readonly kind: 'del'; readonly uid: string }
  | { readonly kind: 'snapshotSent' };

/** ztunnel to agent; an empty error is success. */
export interface ZdsAck {
  readonly error: string;
}

/**
 * Supervisor to agent, before it acks a ZDS `add` (every one, also for a pod it serves already: the agent's pins may be new, or
 * another ztunnel's listeners may be in them): where captured traffic of this pod shall go. Sent again with new
 * descriptors when listeners are replaced. Descriptors, in this order: plaintext IPv4, plaintext IPv6, HBONE IPv4, HBONE IPv6
 * listeners, all listening in the pod's namespace; agent puts them into the `listeners` map.
 */
export interface SteerPod {
  readonly kind: 'steer';
  readonly id: number;
  readonly uid: string;
  /** Ports on 127.0.0.1 and ::1 of the pod's namespace. */
  readonly outbound: { readonly v4: number; readonly v6: number };
  readonly dnsUdp: { readonly v4: number; readonly v6: number };
  readonly dnsTcp: { readonly v4: number; readonly v6: number };
}

export interface SteerAck {
  readonly kind: 'steered';
  readonly id: number;
  /** Empty: capture stands. */
  readonly error: string;
}
