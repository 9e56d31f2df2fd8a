/** Client side of a mesh TLS handshake on a connected socket, or on the stream of a tunnel. */

import type { Duplex } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import type { CancelSignal } from '../core/cancel.ts';
import { MeshError } from '../core/errors.ts';
import type { WorkloadCertificate } from '../identity/types.ts';
import type { Identity } from '../mesh/types.ts';
import { alpn, clientContext } from './context.ts';
import { readLeaf } from './leaf.ts';
import type { TlsPolicy } from './policy.ts';
import { type Revocation, sentBehind, unrevoked } from './revocation.ts';
import { verifyServer } from './verify.ts';

export interface AuthenticatedSocket {
  readonly socket: TLSSocket;
  readonly peer: Identity;
  /** When the first of both leaf certificates expires, ms since the epoch. TLS looks at that in the handshake only. */
  readonly expiresAt: number;
  /** `cut` is called once, at once or later, when the peer's certificate is revoked. Returns how to stop. */
  readonly onRevoked: (cut: (error: MeshError) => void) => () => void;
}

/**
 * No SNI, no resumption, no name check: the peer's SPIFFE ids decide. The socket is destroyed on failure.
 * MeshError TLS_FAILED, CERT_REVOKED; the signal's reason when it aborts.
 */
export function connectTls(
  raw: Duplex,
  certificate: WorkloadCertificate,
  expected: readonly Identity[],
  policy: TlsPolicy,
  signal: CancelSignal,
  revocation?: Revocation,
): Promise<AuthenticatedSocket> {
  return new Promise((resolve, reject) => {
    // After the promise is settled the owner's listeners see errors too; this one only keeps them from being unhandled.
    raw.on('error', () => undefined);
    const socket = connect({
      socket: raw,
      secureContext: clientContext(certificate, policy),
      ALPNProtocols: [alpn],
      rejectUnauthorized: true,
      checkServerIdentity: () => undefined,
    });
    const fail = (error: unknown) => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      raw.destroy();
      reject(error);
    };
    const refuse = (reason: string, cause?: unknown) =>
      fail(new MeshError('TLS_FAILED', `TLS with the peer failed: ${reason}`, { cause }));
    const onAbort = () => fail(signal.reason);
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', (error) => refuse(error.message, error));
    socket.once('close', () => refuse('the connection was closed during the handshake'));
    socket.once('secureConnect', () => {
      try {
        const presented = socket.getPeerX509Certificate();
        if (!socket.authorized || !presented) return refuse('its certificate was not verified');
        if (socket.alpnProtocol !== alpn) return refuse(`it does not speak ${alpn}`);
        const leaf = readLeaf(presented.raw);
        const verdict = verifyServer(leaf.identities, expected);
        if (verdict.kind === 'refused') return refuse(verdict.reason);
        const onRevoked = unrevoked(revocation, presented, sentBehind(presented), certificate, 'source');
        signal.removeEventListener('abort', onAbort);
        resolve({ socket, peer: verdict.peer, expiresAt: Math.min(certificate.notAfter, leaf.notAfter), onRevoked });
      } catch (error) {
        if (error instanceof MeshError) fail(error);
        else refuse('its certificate cannot be read', error);
      }
    });
  });
}
