/** Server side of a mesh TLS handshake on an accepted socket. */

import type { Duplex } from 'node:stream';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { CancelSignal } from '../core/cancel.ts';
import { MeshError } from '../core/errors.ts';
import type { WorkloadCertificate } from '../identity/types.ts';
import type { AuthenticatedSocket } from './connect.ts';
import { alpn, keptFor, secureOptions } from './context.ts';
import { readLeaf } from './leaf.ts';
import type { TlsPolicy } from './policy.ts';
import { type Revocation, sentBehind, unrevoked } from './revocation.ts';
import { verifyClient } from './verify.ts';

interface Handshake {
  succeed(socket: TLSSocket): void;
  fail(reason: string, cause?: unknown): void;
}

const handshakes = new WeakMap<object, Handshake>();

/**
 * A client certificate is mandatory. The socket is destroyed on failure. MeshError TLS_FAILED, CERT_REVOKED; the signal's reason
 * when it aborts, which is also how the caller sets a deadline.
 */
export function acceptTls(
  raw: Duplex,
  certificate: WorkloadCertificate,
  policy: TlsPolicy,
  signal: CancelSignal,
  revocation?: Revocation,
): Promise<AuthenticatedSocket> {
  return new Promise((resolve, reject) => {
    const end = (error: unknown) => {
      signal.removeEventListener('abort', onAbort);
      handshakes.delete(raw);
      raw.destroy();
      reject(error);
    };
    const fail = (reason: string, cause?: unknown) =>
      end(new MeshError('TLS_FAILED', `TLS with the peer failed: ${reason}`, { cause }));
    const onAbort = () => end(signal.reason);
    if (signal.aborted) return onAbort();
    if (raw.destroyed) return fail('the connection is closed');
    signal.addEventListener('abort', onAbort, { once: true });
    raw.on('error', (error) => fail(error.message, error));
    raw.once('close', () => fail('the connection was closed during the handshake'));
    const succeed = (socket: TLSSocket) => {
      // Node reports a forged record but leaves the connection open.
      socket.on('error', () => socket.destroy());
      try {
        const presented = socket.getPeerX509Certificate();
        if (!socket.authorized || !presented) return fail('its certificate was not verified');
        if (socket.alpnProtocol !== alpn) return fail(`it does not speak ${alpn}`);
        const leaf = readLeaf(presented.raw);
        const verdict = verifyClient(leaf.identities, certificate.identity.trustDomain);
        if (verdict.kind === 'refused') return fail(verdict.reason);
        const onRevoked = unrevoked(revocation, presented, sentBehind(presented), certificate, 'destination');
        signal.removeEventListener('abort', onAbort);
        handshakes.delete(raw);
        resolve({ socket, peer: verdict.peer, expiresAt: Math.min(certificate.notAfter, leaf.notAfter), onRevoked });
      } catch (error) {
        if (error instanceof MeshError) end(error);
        else fail('its certificate cannot be read', error);
      }
    };
    handshakes.set(raw, { succeed, fail });
    serverFor(certificate, policy).emit('connection', raw);
  });
}

/** Never listening: sockets are handed to it, which is how Node sets its checks up. */
const serverFor = keptFor((certificate, policy): Server => {
  const server = createServer({
    ...secureOptions(certificate, policy),
    ALPNProtocols: [alpn],
    requestCert: true,
    rejectUnauthorized: true,
    // The caller's signal is the deadline, on its own clock; this one must only not come first.
    handshakeTimeout: 600_000,
  });
  server.on('secureConnection', (socket) => {
    const handshake = handshakes.get(underlying(socket));
    if (handshake) handshake.succeed(socket);
    else socket.destroy();
  });
  server.on('tlsClientError', (error, socket) => {
    socket.destroy();
    handshakes.get(underlying(socket))?.fail(error.message, error);
  });
  return server;
});

/** The socket that was handed in. Node has no public name for it; without it every handshake is refused. */
function underlying(socket: TLSSocket): object {
  return (socket as TLSSocket & { readonly _parent?: Duplex })._parent ?? socket;
}
