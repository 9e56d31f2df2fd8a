/** How the native engine makes a client connection; which tunnel it carries is the pool's decision (common/hbone/pool.ts). */

import type { Clock } from '../../../common/core/clock.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { formatSocketAddr } from '../../../common/core/net.ts';
import { type Answer, Unanswered } from '../../../common/hbone/answer.ts';
import { type ClientConnection, closedEarly, type Establish } from '../../../common/hbone/client-connection.ts';
import { closeAtExpiry, keepAlive } from '../../../common/hbone/session.ts';
import type { ConnectHeaders } from '../../../common/hbone/types.ts';
import type { Identity } from '../../../common/mesh/types.ts';
import { verifyServer } from '../../../common/tls/verify.ts';
import { command, type EngineLoop } from '../../../native/engine.ts';
import type { Contexts } from './contexts.ts';
import type { PlanMemory } from './memory.ts';
import { relayAhead } from './relay.ts';
import { http2Name } from './stream.ts';
import { TcpStream } from './tcp.ts';
import { type AuthenticatedPeer, authenticate, byName, type HeaderList, Tunnel, TunnelStream } from './tunnel.ts';

export function nativeEstablish(loop: EngineLoop, contexts: Contexts, memory: PlanMemory): Establish {
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
      const unanswered = new Unanswered();
      const tunnel = new Tunnel(
        loop,
        { tcp: raw, context },
        {
          handshaken(chain, protocol) {
            const verify = (leaf: { identities: readonly Identity[] }) => verifyServer(leaf.identities, expected);
            const { revocation } = options;
            const peer = authenticate(tunnel, chain, protocol, certificate, 'source', revocation, verify);
            if (!peer) return;
            tunnel.facts = { role: 'client', remote: address, chain: chain.map((der) => Uint8Array.from(der)) };
            onAuthenticated();
            connection = clientConnection(loop, memory, tunnel, address, peer, unanswered, options.clock);
            keepAlive(tunnel, options.clock, () =>
              tunnel.cut(new MeshError('H2_FAILED', `${address} answers no PING`)),
            );
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
          leaving: () => unanswered.peerLeaves(tunnel, options.clock),
          flooded: () => undefined,
          closed(error) {
            signal.removeEventListener('abort', onAbort);
            if (connection) onClosed(connection);
            reject(
              error
                ? named(address, error)
                : new MeshError('H2_FAILED', `HTTP/2 with ${address} failed: ${closedEarly}`),
            );
          },
        },
      );
      const onAbort = () => {
        reject(signal.reason);
        tunnel.cut(undefined);
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
}

function named(address: string, error: MeshError): MeshError {
  if (error.code !== 'H2_FAILED') return error;
  return new MeshError('H2_FAILED', `HTTP/2 with ${address} failed: ${error.message}`, { cause: error });
}

function clientConnection(
  loop: EngineLoop,
  memory: PlanMemory,
  tunnel: Tunnel,
  address: string,
  { peer, expiresAt }: AuthenticatedPeer,
  unanswered: Unanswered,
  clock: Clock,
): ClientConnection {
  return {
    peer,
    get usable() {
      // A clock that was set is noticed here, before the timer of closeAtExpiry looks.
      return !tunnel.closed && !tunnel.destroyed && clock.wall() < expiresAt;
    },
    get maxStreams() {
      return tunnel.maxStreams;
    },
    open(headers, signal, onStreamClosed, ahead) {
      const stream = new TunnelStream(loop);
      tunnel.adopt(stream);
      stream.open(tunnel.handle, connectFields(headers));
      if (ahead) relayAhead(stream, ahead);
      const what = `the tunnel through ${address} to ${headers.authority}`;
      const answer = unanswered.wait(what, signal, () => stream.cancel());
      awaitResponse(stream, answer, peer, onStreamClosed);
      return answer.tunnel;
    },
    keep({ asOf, downstream, source, target, highestFd, headers, host }, heirs, most, onBegun) {
      if (!(downstream instanceof TcpStream && downstream.listener)) return;
      const { slot, generation } = tunnel.handle;
      const pieces = [
        ...[source, target.ip, `${target.port}`, `${slot}`, `${generation}`, `${highestFd}`],
        ...[host === undefined ? '' : `;host=${host}`, ':method', 'CONNECT', ':authority', headers.authority],
        ...['baggage', headers.baggage],
      ];
      const term = { asOf, expiresIn: expiresAt - clock.wall(), clock };
      const key = `${source}>${formatSocketAddr(target)}`;
      memory.keep(
        command.planOut,
        downstream.listener,
        key,
        `${slot}|${generation}`,
        most,
        term,
        pieces,
        heirs,
        (begun) => {
          const release = onBegun();
          const leave = tunnel.begun(begun);
          return () => {
            leave();
            release();
          };
        },
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

function awaitResponse(stream: TunnelStream, answer: Answer, peer: Identity, onStreamClosed: () => void): void {
  let failure: Error | undefined;
  stream.once('error', (error) => {
    failure = error;
  });
  stream.onEnding = ({ code, unprocessed }) => {
    onStreamClosed();
    answer.ended(unprocessed, failure, http2Name(code));
  };
  stream.onResponse = (status, headers) =>
    answer.came(status, () => ({
      stream,
      peer,
      get responseHeaders() {
        return plainHeaders(headers);
      },
    }));
}

function plainHeaders(headers: HeaderList): Readonly<Record<string, string>> {
  return Object.fromEntries([...byName(headers)].filter(([name]) => !name.startsWith(':')));
}
