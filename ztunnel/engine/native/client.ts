/** How the native engine makes a client connection; which tunnel it carries is the pool's decision (common/hbone/pool.ts). */

import type { CancelSignal } from '../../../common/core/cancel.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { type ClientConnection, type Establish, leavingPatience } from '../../../common/hbone/client-connection.ts';
import { closeAtExpiry, keepAlive } from '../../../common/hbone/session.ts';
import type { ConnectHeaders, OutboundTunnel } from '../../../common/hbone/types.ts';
import type { Identity } from '../../../common/mesh/types.ts';
import { verifyServer } from '../../../common/tls/verify.ts';
import type { EngineLoop } from '../../../native/engine.ts';
import type { Contexts } from './contexts.ts';
import { http2Name } from './stream.ts';
import { TcpStream } from './tcp.ts';
import { type AuthenticatedPeer, authenticate, type HeaderList, Tunnel, TunnelStream } from './tunnel.ts';

export function nativeEstablish(loop: EngineLoop, contexts: Contexts): Establish {
  return (raw, { options, wire, address, certificate, expected, signal, onAuthenticated, onClosed }) =>
    new Promise((resolve, reject) => {
      if (!(raw instanceof TcpStream)) throw new Error('the stream is not of this engine');
      if (signal.aborted || raw.destroyed) {
        raw.destroy();
        return reject(signal.aborted ? signal.reason : new MeshError('TLS_FAILED', 'the connection is closed'));
      }
      let context: number;
      try {
        context = contexts.get('client', certificate, wire);
      } catch (error) {
        raw.destroy();
        return reject(error);
      }
      let connection: ClientConnection | undefined;
      /** Each takes a CONNECT back. */
      const unanswered = new Set<() => void>();
      const tunnel = new Tunnel(loop, raw, context, {
        handshaken(chain, protocol) {
          const verify = (leaf: { identities: readonly Identity[] }) => verifyServer(leaf.identities, expected);
          const { revocation } = options;
          const peer = authenticate(tunnel, chain, protocol, certificate, 'source', revocation, verify);
          if (!peer) return;
          onAuthenticated();
          connection = clientConnection(loop, tunnel, address, peer, unanswered, () => options.clock.wall());
          keepAlive(tunnel, options.clock, () => tunnel.cut(new MeshError('H2_FAILED', `${address} answers no PING`)));
          closeAtExpiry(tunnel, options.clock, peer.expiresAt);
          tunnel.once(
            'close',
            peer.onRevoked((error) => tunnel.cut(error)),
          );
        },
        settings() {
          signal.removeEventListener('abort', onAbort);
          if (connection) resolve(connection);
        },
        request: (stream) => stream.destroy(),
        leaving() {
          const patience = options.clock.after(leavingPatience, () => {
            for (const takeBack of unanswered) takeBack();
          });
          tunnel.once('close', () => patience.cancel());
        },
        flooded: () => undefined,
        closed(error) {
          signal.removeEventListener('abort', onAbort);
          if (connection) onClosed(connection);
          reject(error ? named(address, error) : new MeshError('H2_FAILED', `HTTP/2 with ${address} failed: ${early}`));
        },
      });
      const onAbort = () => {
        reject(signal.reason);
        tunnel.cut(undefined);
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
}

const early = 'it closed the connection before its SETTINGS; it may have refused our certificate';

function named(address: string, error: MeshError): MeshError {
  if (error.code !== 'H2_FAILED') return error;
  return new MeshError('H2_FAILED', `HTTP/2 with ${address} failed: ${error.message}`, { cause: error });
}

function clientConnection(
  loop: EngineLoop,
  tunnel: Tunnel,
  address: string,
  { peer, expiresAt }: AuthenticatedPeer,
  unanswered: Set<() => void>,
  wall: () => number,
): ClientConnection {
  return {
    peer,
    get usable() {
      // A clock that was set is noticed here, before the timer of closeAtExpiry looks.
      return !tunnel.closed && !tunnel.destroyed && wall() < expiresAt;
    },
    get maxStreams() {
      return tunnel.maxStreams;
    },
    open(headers, signal, onStreamClosed) {
      const stream = new TunnelStream(loop);
      tunnel.adopt(stream);
      stream.open(tunnel.handle, connectFields(headers));
      return awaitResponse(
        stream,
        `the tunnel through ${address} to ${headers.authority}`,
        peer,
        signal,
        unanswered,
        onStreamClosed,
      );
    },
    finish: () => tunnel.close(),
    cut: () => tunnel.cut(undefined),
  };
}

function connectFields(headers: ConnectHeaders): string[] {
  const fields = [
    ...[':method', 'CONNECT', ':authority', headers.authority, 'baggage', headers.baggage],
    ...['forwarded', headers.forwarded, 'traceparent', headers.traceparent],
  ];
  if (headers.forwardedNetwork !== undefined) fields.push('x-forwarded-network', headers.forwardedNetwork);
  return fields;
}

/** 'unprocessed' when it may be sent again elsewhere: the peer has not acted on it (RFC 9113 8.7), or leaves without an answer. */
function awaitResponse(
  stream: TunnelStream,
  what: string,
  peer: Identity,
  signal: CancelSignal,
  unanswered: Set<() => void>,
  onStreamClosed: () => void,
): Promise<OutboundTunnel | 'unprocessed'> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined;
    stream.once('error', (error) => {
      failure = error;
    });
    const onAbort = () => {
      stream.cancel();
      reject(signal.reason);
    };
    const takeBack = () => {
      stream.cancel();
      resolve('unprocessed');
    };
    const settle = () => {
      unanswered.delete(takeBack);
      signal.removeEventListener('abort', onAbort);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    unanswered.add(takeBack);
    stream.onEnding = ({ code, unprocessed }) => {
      onStreamClosed();
      settle();
      if (unprocessed) return resolve('unprocessed');
      const reason = failure?.message ?? `reset with ${http2Name(code)}`;
      reject(
        failure instanceof MeshError
          ? failure
          : new MeshError('H2_FAILED', `${what} ended without an answer: ${reason}`),
      );
    };
    stream.onResponse = (status, headers) => {
      settle();
      if (status !== 200) {
        stream.cancel();
        reject(new MeshError('TUNNEL_REFUSED', `${what} was refused with status ${status}`));
        return;
      }
      resolve({
        stream,
        peer,
        get responseHeaders() {
          return plainHeaders(headers);
        },
      });
    };
  });
}

function plainHeaders(headers: HeaderList): Readonly<Record<string, string>> {
  const plain: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (!name.startsWith(':')) plain[name] = name in plain ? `${plain[name]},${headers[i + 1]}` : headers[i + 1]!;
  }
  return plain;
}
