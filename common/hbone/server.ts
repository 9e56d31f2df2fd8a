/** The server half of the `node` engine: TLS handshake, HTTP/2 session, one tunnel for each CONNECT. */

import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { abortable } from '../core/abortable.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { Cancellation, type CancelSignal } from '../core/cancel.ts';
import { MeshError } from '../core/errors.ts';
import { formatSocketAddr, type SocketAddr } from '../core/net.ts';
import { Roster } from '../core/roster.ts';
import type { Identity } from '../mesh/types.ts';
import { acceptTls } from '../tls/accept.ts';
import type { AuthenticatedSocket } from '../tls/connect.ts';
import { Emptying } from './emptying.ts';
import { offerTunnel, streamCut, streamGone } from './inbound.ts';
import { createResetGuard, type ResetGuard } from './reset-guard.ts';
import { resetStream } from './reset-stream.ts';
import {
  closeAtExpiry,
  cutSession,
  cutWhenRevoked,
  failStreamsWithSocket,
  handshakeTimeout,
  keepAlive,
  living,
  openConnectionWindow,
  serverSessionOptions,
} from './session.ts';
import type { HboneServer, HboneServerOptions } from './types.ts';
import { createUnreadGuard, type UnreadGuard } from './unread-guard.ts';
import { defaultWire } from './wire.ts';

/** Node's option against the `date` header, which no HBONE peer wants; its types lack it. */
const noDate = { sendDate: false };

/** What a stream needs to know of the connection that carries it. */
interface Connection {
  readonly session: ServerHttp2Session;
  readonly socket: TLSSocket;
  readonly peer: Identity;
  /** ms since the epoch; no stream is taken from then on. */
  readonly expiresAt: number;
  readonly remote: SocketAddr;
  readonly local: SocketAddr;
  readonly streams: Roster<ServerHttp2Stream>;
  readonly resets: ResetGuard;
  readonly unread: UnreadGuard;
}

export function createHboneServer(options: HboneServerOptions): HboneServer {
  const { clock, wire = defaultWire } = options;
  /** Sockets from serve() to their close, whatever became of them. */
  const sockets = new Set<ByteStream>();
  const connections = new Set<Connection>();
  const emptying = new Emptying(clock, () => sockets.size === 0);
  let draining = false;
  let closed = false;

  function serve(socket: ByteStream, remote: SocketAddr, local: SocketAddr): void {
    socket.on('error', () => undefined);
    if (closed || socket.destroyed) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      emptying.check();
    });
    const deadline = new AbortController();
    const timer = clock.after(handshakeTimeout, () =>
      deadline.abort(new MeshError('TLS_FAILED', `no HBONE handshake within ${handshakeTimeout} ms`)),
    );
    handshake(socket, deadline.signal)
      .then((authenticated) => startSession(authenticated, remote, local, deadline.signal))
      .catch((error: unknown) => {
        socket.destroy();
        if (!closed) options.onError(error instanceof Error ? error : new Error(String(error)), remote);
      })
      .finally(() => timer.cancel());
  }

  async function handshake(socket: ByteStream, signal: CancelSignal): Promise<AuthenticatedSocket> {
    const certificate = await abortable(options.certificate(), signal);
    return acceptTls(socket, certificate, wire.tls, signal, options.revocation);
  }

  /** Resolves once the peer's SETTINGS are there. */
  function startSession(
    authenticated: AuthenticatedSocket,
    remote: SocketAddr,
    local: SocketAddr,
    signal: CancelSignal,
  ): Promise<void> {
    const { socket, peer, expiresAt } = authenticated;
    if (closed || socket.destroyed) {
      throw new MeshError('TLS_FAILED', 'the peer closed the connection right after the handshake');
    }
    const streams = new Roster<ServerHttp2Stream>();
    failStreamsWithSocket(socket, streams);
    const session = performServerHandshake(socket, serverSessionOptions(wire.windows));
    const unread = createUnreadGuard(session, streams, wire.windows, clock, (code) => {
      const error = new MeshError('PROTOCOL', `${formatSocketAddr(remote)} sends more than its windows allow`);
      cutSession(session, socket, error, code);
    });
    const connection = { session, socket, peer, expiresAt, remote, local, streams, resets: createResetGuard(), unread };
    connections.add(connection);
    session.on('stream', (stream, headers) => onStream(connection, stream, headers));
    openConnectionWindow(session, wire.windows);
    keepAlive(living(session, socket), clock, () => {
      const error = new MeshError('H2_FAILED', `${formatSocketAddr(remote)} answers no PING`);
      cutSession(session, socket, error, constants.NGHTTP2_NO_ERROR);
    });
    closeAtExpiry(session, clock, expiresAt);
    return new Promise((resolve, reject) => {
      const abort = () => cutSession(session, socket, signal.reason as Error, constants.NGHTTP2_NO_ERROR);
      signal.addEventListener('abort', abort, { once: true });
      let settled = false;
      const ready = () => {
        settled = true;
        signal.removeEventListener('abort', abort);
        resolve();
      };
      session.once('remoteSettings', ready);
      let failure: Error | undefined;
      session.on('error', (error) => {
        failure = error;
        if (settled) options.onError(error instanceof MeshError ? error : protocolError(remote, error), remote);
      });
      session.once('close', () => {
        connections.delete(connection);
        // A peer that goes away without a word is a failure only while it still owes us its SETTINGS.
        if (!settled) reject(failure instanceof MeshError ? failure : protocolError(remote, failure));
      });
      cutWhenRevoked(session, authenticated);
    });
  }

  function onStream(connection: Connection, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const opened = clock.now();
    const gone = new Cancellation();
    let ours = false;
    const seat = connection.streams.enter(stream);
    connection.unread.watch(stream);
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // Any other error was given to destroy() on this side.
      ours ||= error.code !== 'ERR_HTTP2_STREAM_ERROR';
    });
    stream.on('close', () => {
      connection.streams.leave(seat);
      gone.abort(streamGone);
      // A reset with NO_ERROR, too, cuts our side short.
      const resetByPeer = !ours && (stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR);
      const { session, remote } = connection;
      if (connection.resets.ended(opened, clock.now(), resetByPeer) || session.closed) return;
      options.onError(
        new MeshError('PROTOCOL', `${formatSocketAddr(remote)} opens and resets streams too fast`),
        remote,
      );
      // Other clients' streams on it may finish.
      session.close();
    });
    // A connection that was accepted just before the drain: what it was opened for is served, nothing after it.
    if (draining) setImmediate(() => connection.session.close());
    if (stream.destroyed) return;
    // closeAtExpiry would come later where the clock was set.
    if (clock.wall() >= connection.expiresAt) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      connection.session.close();
      return;
    }
    offerTunnel(options, connection, {
      bytes: stream,
      field: (name) => text(headers[name]),
      respond(status, responseHeaders, end) {
        if (stream.destroyed || stream.closed || stream.headersSent) return;
        stream.respond({ ':status': status, ...responseHeaders }, { endStream: end, ...noDate });
      },
      signal: gone,
    });
  }

  function close(): void {
    closed = true;
    for (const { session, socket, streams } of connections) {
      // Node would end them in order, and what they carried would look complete.
      for (const stream of streams) resetStream(stream, streamCut);
      cutSession(session, socket, undefined, constants.NGHTTP2_NO_ERROR);
    }
    setImmediate(() => {
      for (const socket of sockets) socket.destroy();
    });
  }

  return {
    serve,
    close,
    drain(deadlineMs) {
      draining = true;
      for (const { session } of connections) session.close();
      return emptying.wait(deadlineMs, close);
    },
  };
}

/** Several instances of a header arrive joined by commas, which is how baggage lists its members anyway. */
function text(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}

function protocolError(remote: SocketAddr, cause: Error | undefined): MeshError {
  return new MeshError(
    'H2_FAILED',
    `HTTP/2 with ${formatSocketAddr(remote)} failed: ${cause?.message ?? 'it closed the connection before its SETTINGS'}`,
    { cause },
  );
}
