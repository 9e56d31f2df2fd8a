/** HBONE inside a tunnel: the second half of double HBONE (ambient-wire 1.6, 2.3), for one tunnel each. */

import type { Duplex } from 'node:stream';
import type { CancelSignal } from '../core/cancel.ts';
import { MeshError } from '../core/errors.ts';
import { type ClientConnection, startConnection } from './client-connection.ts';
import type { ConnectHeaders, HbonePoolOptions, InnerTarget, OutboundTunnel } from './types.ts';

/** `onStarted` and `onClosed` are called once each, the second also after a failure past the first. Never leaves the carrier open. */
export async function connectInner(
  options: Pick<HbonePoolOptions, 'clock' | 'certificate' | 'revocation' | 'wire'>,
  carrier: Duplex,
  target: InnerTarget,
  headers: ConnectHeaders,
  signal: CancelSignal,
  onStarted: (connection: ClientConnection) => void,
  onClosed: (connection: ClientConnection) => void,
): Promise<OutboundTunnel> {
  const name = `what is behind the gateway for ${headers.authority}`;
  const closed = (connection: ClientConnection) => {
    carrier.destroy();
    onClosed(connection);
  };
  try {
    const over = { address: name, get: async () => carrier, slow: 'TLS_FAILED' } as const;
    const connection = await startConnection(options, over, target, signal, closed);
    onStarted(connection);
    const tunnel = await connection.open(headers, signal, () => connection.finish());
    if (tunnel === 'unprocessed') throw new MeshError('H2_FAILED', `${name} takes no streams`);
    return tunnel;
  } catch (error) {
    carrier.destroy();
    throw error;
  }
}
