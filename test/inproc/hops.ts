/** Scripted HBONE servers that stand where waypoints and network gateways do. */
import type { Socket } from 'node:net';
import { relay } from '../../common/hbone/relay.ts';
import type { ConnectRequest, InboundTunnel } from '../../common/hbone/types.ts';
import { identityOf } from '../../common/mesh/address.ts';
import type { Identity, Workload } from '../../common/mesh/types.ts';
import { nodeEngine } from '../../ztunnel/engine/node.ts';
import type { InprocMesh } from './mesh.ts';

export interface Seen extends ConnectRequest {
  readonly peer: Identity;
}

export interface Hop {
  /** CONNECTs in order. */
  readonly seen: Seen[];
  close(): void;
}

/** An HBONE server with the workload's identity at `port` of its first address, or of `at`. */
export function hopServer(
  mesh: InprocMesh,
  workload: Workload,
  onTunnel: (tunnel: InboundTunnel) => void,
  { port = 15_008, at = workload.addresses[0]! } = {},
): Hop {
  const seen: Seen[] = [];
  const server = nodeEngine.createServer({
    clock: mesh.runtime.clock,
    certificate: () => mesh.certificate(identityOf(workload)),
    onTunnel(tunnel) {
      seen.push({ ...tunnel.request, peer: tunnel.peer });
      onTunnel(tunnel);
    },
    onError: () => undefined,
  });
  mesh.net.listen(at, port, (socket, remote, local) => server.serve(socket, remote, local));
  return { seen, close: () => server.close() };
}

/** Answers as the app would: what comes in goes back, with a prefix that says who answered. */
export function echoing(prefix: string, baggage = ''): (tunnel: InboundTunnel) => void {
  return (tunnel) => {
    const stream = tunnel.accept(baggage === '' ? {} : { baggage });
    stream.on('error', () => undefined);
    stream.write(prefix);
    stream.pipe(stream);
  };
}

/** As an east-west gateway does: the tunnel's bytes go on to another TCP endpoint, unread. */
export function forwarding(dial: () => Promise<Socket>): (tunnel: InboundTunnel) => void {
  return (tunnel) => {
    void dial().then(
      (onwards) => void relay(tunnel.accept({}), onwards, { signal: tunnel.signal }),
      () => tunnel.refuse(503),
    );
  };
}
