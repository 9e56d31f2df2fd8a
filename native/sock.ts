/** Sockets made in other network namespaces, and the few socket calls that Node does not offer. */
import type { Fd } from '../common/core/brand.ts';
import type { SocketAddr } from '../common/core/net.ts';
import { addon, type RawSocketSpec } from './addon.ts';

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
  /**
   * Takes all new connections and datagrams over from one older socket on the same address, which keeps what it has; both need
   * `reusePort`, `bind` and the same user. Of three, the one in the middle gets them until the oldest is closed.
   */
  readonly takeOver?: boolean;
  /** IPV6_V6ONLY; only for family 6. */
  readonly v6Only?: boolean;
  readonly bind?: SocketAddr;
  /** listen(2) with this backlog; only for streams. */
  readonly backlog?: number;
  /** TCP_NODELAY; connections that a listener accepts inherit it. */
  readonly noDelay?: boolean;
  /** SO_KEEPALIVE; connections that a listener accepts inherit it. */
  readonly keepAlive?: KeepAlive;
  /** TCP_USER_TIMEOUT in ms; connections that a listener accepts inherit it. */
  readonly userTimeout?: number;
  /** User and group that netfilter takes for the socket's owner (`meta skuid`). Default this process's. CAP_SETUID and CAP_SETGID. */
  readonly owner?: number;
}

export interface KeepAlive {
  /** Seconds without traffic before the first probe, at least 1. */
  readonly idle: number;
  /** Seconds between probes, at least 1. */
  readonly interval: number;
  /** Unanswered probes that end the connection, 1 to 127. */
  readonly probes: number;
}

/**
 * Makes `count` equal sockets inside the namespace (1 to 1,024), in one thread: all of them or none. About 50 us and 3 us a
 * socket. The caller owns the descriptors.
 */
export function socketsInNetns(netns: Fd, spec: SocketSpec, count: number): Fd[] {
  return addon().socketsInNetns(netns, raw(spec), count) as Fd[];
}

/** The same in this process's own namespace, which takes no capability for entering it. */
export function socketsHere(spec: SocketSpec, count: number): Fd[] {
  return addon().socketsInNetns(-1, raw(spec), count) as Fd[];
}

function raw(spec: SocketSpec): RawSocketSpec {
  return {
    family: spec.family,
    stream: spec.type === 'stream',
    transparent: spec.transparent ?? false,
    mark: spec.mark ?? 0,
    reuseAddr: spec.reuseAddr ?? false,
    reusePort: spec.reusePort ?? false,
    takeOver: spec.takeOver ?? false,
    v6Only: spec.v6Only ?? false,
    bind: spec.bind,
    backlog: spec.backlog ?? 0,
    noDelay: spec.noDelay ?? false,
    keepAliveIdle: spec.keepAlive?.idle ?? 0,
    keepAliveInterval: spec.keepAlive?.interval ?? 0,
    keepAliveProbes: spec.keepAlive?.probes ?? 0,
    userTimeout: spec.userTimeout ?? 0,
    owner: spec.owner ?? -1,
  };
}

/**
 * bind(2). A foreign address needs no capability if the socket was made `transparent`. With port 0 the port is chosen only at
 * connect (IP_BIND_ADDRESS_NO_PORT, Linux 4.2), so that a port may serve several destinations.
 */
export function bindSocket(fd: Fd, address: SocketAddr): void {
  addon().bindSocket(fd, address);
}

/**
 * Where the client wanted to go before its connection was captured: SO_ORIGINAL_DST, answered by our getsockopt program or by
 * conntrack. Undefined when the connection was not captured: the caller must drop it, it came to the proxy's port by itself.
 */
export function originalDestination(fd: Fd): SocketAddr | undefined {
  return addon().originalDestination(fd);
}

export function socketName(fd: Fd): SocketAddr {
  return addon().socketName(fd);
}

export function peerName(fd: Fd): SocketAddr {
  return addon().peerName(fd);
}

export function closeFd(fd: Fd): void {
  addon().closeFd(fd);
}

/** A second descriptor of the same open file, CLOEXEC. */
export function dupFd(fd: Fd): Fd {
  return addon().dupFd(fd) as Fd;
}
