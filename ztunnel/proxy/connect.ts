/** Fourth stage: the connection onwards, always from a socket that was made inside the pod's namespace. */

import type { Fd } from '../../common/core/brand.ts';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import type { CancelSignal } from '../../common/core/cancel.ts';
import { MeshError } from '../../common/core/errors.ts';
import { type Ip, isIpv6, type Port, type SocketAddr } from '../../common/core/net.ts';
import type { SocketSource } from '../../common/hbone/again.ts';
import type { Ahead } from '../../common/hbone/relay.ts';
import type { SocketKind } from '../control/messages.ts';
import { type Dial, dialTimeout } from './dial.ts';
import type { ProxiedPod } from './pod.ts';

export interface ConnectTools {
  readonly dial: Dial;
  /** bind(2); throws NativeError. */
  readonly bindSocket: (fd: Fd, address: SocketAddr) => void;
  readonly closeFd: (fd: Fd) => void;
  /** Whether the app shall see the client's address. */
  readonly originalSource: 'always' | 'never' | 'auto';
  /** With `auto`: this pod's app sees the pod's own address, because the client's could not be bound. For each connection. */
  readonly sourceLost: (uid: string, cause: Error) => void;
}

/** ms. A collision of port numbers shows as silence; a second socket gets another port. */
const firstAttempt = 3_000;

/** Plain TCP from the pod to anywhere. MeshError. */
export async function connectFromPod(
  pod: ProxiedPod,
  to: SocketAddr,
  tools: ConnectTools,
  signal: CancelSignal,
  ahead?: Ahead,
): Promise<ByteStream> {
  const fd = await pod.socket(isIpv6(to.ip) ? 'outbound6' : 'outbound4', signal);
  return tools.dial(fd, to, signal, dialTimeout, ahead);
}

function showsClient(pod: ProxiedPod, client: Ip, to: SocketAddr, { originalSource }: ConnectTools): boolean {
  const hidden = pod.hidesClients || originalSource === 'never';
  // A pod that calls itself has its own address anyway, and the kernel would route the reply past us.
  return !hidden && client !== to.ip && isIpv6(client) === isIpv6(to.ip);
}

/** How `connectToApp` goes where nothing goes wrong, for an engine that does so by itself. */
export function wayToApp(
  pod: ProxiedPod,
  client: Ip,
  to: SocketAddr,
  tools: ConnectTools,
): { readonly bind: Ip | undefined; readonly sockets: SocketSource } {
  const family = isIpv6(to.ip) ? 6 : 4;
  const shown = showsClient(pod, client, to, tools);
  return { bind: shown ? client : undefined, sockets: pod.spares(`${shown ? 'inbound' : 'outbound'}${family}`) };
}

/** To the app inside the pod, from the client's address where that is wanted and possible. MeshError. */
export async function connectToApp(
  pod: ProxiedPod,
  client: Ip,
  to: SocketAddr,
  tools: ConnectTools,
  signal: CancelSignal,
  ahead?: Ahead,
): Promise<ByteStream> {
  if (!showsClient(pod, client, to, tools)) return connectFromPod(pod, to, tools, signal, ahead);
  try {
    return await dialFrom(pod, client, to, tools, signal, firstAttempt, ahead);
  } catch (e) {
    if (!isPortCollision(e)) throw e;
    return dialFrom(pod, client, to, tools, signal, dialTimeout - firstAttempt, ahead);
  }
}

async function dialFrom(
  pod: ProxiedPod,
  client: Ip,
  to: SocketAddr,
  tools: ConnectTools,
  signal: CancelSignal,
  timeoutMs: number,
  ahead: Ahead | undefined,
): Promise<ByteStream> {
  const kind: SocketKind = isIpv6(to.ip) ? 'inbound6' : 'inbound4';
  const fd = await pod.socket(kind, signal);
  try {
    tools.bindSocket(fd, { ip: client, port: 0 as Port });
  } catch (cause) {
    tools.closeFd(fd);
    if (tools.originalSource === 'auto') {
      tools.sourceLost(pod.uid, cause as Error);
      return connectFromPod(pod, to, tools, signal, ahead);
    }
    throw new MeshError('KERNEL', `the client's address ${client} cannot be used towards the app`, { cause });
  }
  return tools.dial(fd, to, signal, timeoutMs, ahead);
}

function isPortCollision(e: unknown): boolean {
  if (!(e instanceof MeshError)) return false;
  const errno = (e.cause as NodeJS.ErrnoException | undefined)?.code;
  return e.code === 'CONNECT_TIMEOUT' || errno === 'EADDRINUSE' || errno === 'EADDRNOTAVAIL';
}
