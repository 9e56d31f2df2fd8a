/** Ends sockets of other processes, by sock_diag. */
import type { Fd } from '../common/core/brand.ts';
import type { SocketAddr } from '../common/core/net.ts';
import { isIpv6 } from '../common/core/net.ts';
import { addon } from './addon.ts';

export interface TcpSocket {
  readonly local: SocketAddr;
  readonly remote: SocketAddr;
  /** SO_COOKIE: another socket that has been given the same ends meanwhile is left alone. */
  readonly cookie: bigint;
}

/**
 * Resets a TCP socket inside the namespace, as `ss -K` does: both ends get an error. An IPv6 socket that speaks IPv4 is found too. False: there
 * is no such socket. NativeError EOPNOTSUPP where the kernel was built without CONFIG_INET_DIAG_DESTROY. CAP_NET_ADMIN in the namespace.
 */
export function destroyTcpSocket(netns: Fd, { local, remote, cookie }: TcpSocket): boolean {
  return addon().destroyTcpSocket(netns, {
    family: isIpv6(local.ip) ? 6 : 4,
    local: local.ip,
    localPort: local.port,
    remote: remote.ip,
    remotePort: remote.port,
    cookie,
  });
}
