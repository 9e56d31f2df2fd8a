/**
 * The only importer of the addon. Four groups: sock, netns, bpf, seqpacket. Numbers, bigints, strings and Uint8Arrays cross;
 * policy, configuration and logging do not. Every failure throws NativeError with the errno's name and the system call.
 *
 * Switching network namespaces happens on threads that the addon makes and ends, never on Node's.
 */
import type { Fd } from '../common/core/brand.ts';
import type { SocketAddr } from '../common/core/net.ts';

export interface NativeError extends Error {
  /** `EPERM`, `ENOENT`, ... */
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

/** A socket to be made inside a network namespace. Always CLOEXEC and non-blocking. */
export interface SocketSpec {
  readonly family: 4 | 6;
  readonly type: 'stream' | 'dgram';
  /** IP_TRANSPARENT and IP_FREEBIND (or the IPv6 forms): may be bound to the client's address. CAP_NET_ADMIN. */
  readonly transparent?: boolean;
  /** SO_MARK. CAP_NET_ADMIN. */
  readonly mark?: number;
  /** SO_REUSEADDR. */
  readonly reuseAddr?: boolean;
  /** SO_REUSEPORT. */
  readonly reusePort?: boolean;
  /** IPV6_V6ONLY; only for family 6. */
  readonly v6Only?: boolean;
  readonly bind?: SocketAddr;
  /** listen(2) with this backlog; only for streams. */
  readonly backlog?: number;
}

/** One packet of a SOCK_SEQPACKET connection. The receiver owns the descriptors. */
export interface Packet {
  readonly data: Uint8Array;
  readonly fds: readonly Fd[];
}

/** SOCK_SEQPACKET with SCM_RIGHTS, on Node's event loop. */
export interface SeqpacketConnection {
  /** At most 253 descriptors; they are duplicated into the packet, the caller keeps its own. Queues while the peer is slow. */
  send(data: Uint8Array, fds?: readonly Fd[]): void;
  onPacket(handler: (packet: Packet) => void): void;
  /** Called once, on end of file or an error; then nothing more arrives. */
  onClose(handler: (error: Error | undefined) => void): void;
  close(): void;
}

export interface SeqpacketListener {
  onConnection(handler: (connection: SeqpacketConnection) => void): void;
  close(): void;
}
