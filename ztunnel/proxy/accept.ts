/** First stage: takes connections off a listener that the supervisor made, and asks the kernel where they wanted to go. */
import { createServer, type Server, type Socket } from 'node:net';
import type { Fd } from '../../common/core/brand.ts';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import type { Ip, Port, SocketAddr } from '../../common/core/net.ts';

/** Node calls listen(2) again, which would cut the supervisor's backlog to 511. */
const backlog = 4096;

export interface Accepted {
  /** Paused: nothing is read until a permit is there. */
  readonly socket: ByteStream;
  readonly fd: Fd;
  readonly remote: SocketAddr;
  /** Where the connection arrived; with sk_lookup that is where it was meant to go. */
  readonly local: SocketAddr;
}

/** Accepts until closed. The listener's descriptor is taken over; TCP_NODELAY and keep-alive are inherited from it. */
export function acceptFrom(fd: Fd, onAccepted: (accepted: Accepted) => void): Server {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    const accepted = describe(socket);
    // Gone between accept and now.
    if (accepted) onAccepted(accepted);
    else socket.destroy();
  });
  // With a descriptor Node reads the backlog from the second argument only, which its types do not know (v26, lib/net.js).
  const listen: (options: { readonly fd: Fd }, backlog: number) => unknown = server.listen.bind(server);
  listen({ fd }, backlog);
  return server;
}

function describe(socket: Socket): Accepted | undefined {
  const fd = descriptorOf(socket);
  const { remoteAddress, remotePort } = socket;
  if (fd === undefined || remoteAddress === undefined) return undefined;
  return {
    socket,
    fd,
    remote: { ip: fromKernel(remoteAddress), port: remotePort as Port },
    // A system call that captured connections mostly need not make.
    get local() {
      return { ip: fromKernel(socket.localAddress ?? '::'), port: (socket.localPort ?? 0) as Port };
    },
  };
}

/** Node keeps the descriptor in its internal handle, in versions 20 to 26 (ebpf-datapath 3). */
export function descriptorOf(socket: Socket): Fd | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle: { readonly fd: number } | null };
  return handle && handle.fd >= 0 ? (handle.fd as Fd) : undefined;
}

/** The kernel's text is canonical already, but for IPv4 on a socket of both families. */
function fromKernel(address: string): Ip {
  return (address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address) as Ip;
}

/** Ends a connection that is refused: the client sees a reset, not an orderly end. */
export function refuse(socket: ByteStream): void {
  // The handle is paused and nobody listens for errors of a connection that is thrown away.
  socket.on('error', () => undefined);
  socket.resetAndDestroy();
}
