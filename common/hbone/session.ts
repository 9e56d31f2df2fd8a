/** The parameters of an HBONE connection, both roles (ambient-wire 1.6), and what keeps a silent or hostile peer in bounds. */
import {
  type ClientHttp2Session,
  type ClientSessionOptions,
  constants,
  type Http2Session,
  type ServerHttp2Session,
  type ServerOptions,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { millis } from '../core/brand.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { MeshError } from '../core/errors.ts';
import type { AuthenticatedSocket } from '../tls/connect.ts';

const mebibyte = 1024 * 1024;

export interface Http2Windows {
  /** Bytes a peer may send on one stream before we have read them, 1 to 2^31-1. */
  readonly stream: number;
  /** The same for the whole connection, 65,535 to 2^31-1. */
  readonly connection: number;
  /** Bytes of the largest frame that a peer may send, 16,384 to 2^24-1. */
  readonly frame: number;
}

export const defaultWindows: Http2Windows = { stream: 4 * mebibyte, connection: 16 * mebibyte, frame: mebibyte };

/** Time for TCP (client only), TLS and the peer's SETTINGS together. */
export const handshakeTimeout = millis(10_000);
export const serverMaxStreams = 200;
/** Streams that a pool opens on one connection, if the peer allows as many. */
export const defaultMaxStreams = 100;

const pingInterval = millis(10_000);
const pingTimeout = millis(20_000);
/** Between looks whether anything came from a peer that owes an answer. */
const silenceLook = millis(2_000);
/** Timers do not notice that the machine slept or that its clock was set. */
const expiryLook = millis(60_000);

const limits = {
  // Counts every queued frame; a connection of 200 streams with full windows must fit.
  maxSessionMemory: 64,
  maxHeaderListPairs: 64,
  maxSettings: 16,
  maxSessionInvalidFrames: 10,
  // Clients that break connections send a reset each, so the default of 33 a second would cut honest peers off.
  streamResetBurst: 1_000,
  streamResetRate: 1_000,
} as const;

export function clientSessionOptions(windows: Http2Windows): ClientSessionOptions {
  return { ...limits, settings: { ...settings(windows), maxHeaderListSize: 16 * 1024 } };
}

export function serverSessionOptions(windows: Http2Windows): ServerOptions {
  const bounds = { maxHeaderListSize: 64 * 1024, maxConcurrentStreams: serverMaxStreams };
  return { ...limits, settings: { ...settings(windows), ...bounds } };
}

function settings({ stream, frame }: Http2Windows) {
  return { initialWindowSize: stream, maxFrameSize: frame, enablePush: false };
}

/**
 * To be called before the session is made of the socket. Node ends the streams of a lost connection as if the peer had
 * ended them; a transfer that was cut must not look complete, so they are destroyed with an error first.
 */
export function failStreamsWithSocket(socket: TLSSocket, streams: Iterable<{ destroy(error: Error): unknown }>): void {
  // A socket made with allowHalfOpen stays open when its peer has ended; HTTP/2 has no use for half of a connection.
  socket.once('end', () => socket.destroy());
  socket.once('close', () => {
    for (const stream of streams) stream.destroy(new MeshError('H2_FAILED', 'the HBONE connection was lost'));
  });
}

export function openConnectionWindow(
  session: ClientHttp2Session | ServerHttp2Session,
  { connection }: Http2Windows,
): void {
  session.setLocalWindowSize(connection);
}

/** An HTTP/2 connection of either engine, as far as clocks rule it. */
export interface LivingSession {
  /** Gone. */
  readonly destroyed: boolean;
  /** Takes no more streams. */
  readonly closed: boolean;
  /** GOAWAY; its streams may finish. */
  close(): void;
  ping(onAnswer: () => void): unknown;
  /** Calls back, now or soon, if bytes came from the peer since the last ping, or since this was asked last. */
  heard(listener: () => void): void;
  once(event: 'close', listener: () => void): unknown;
}

/** A session of Node's, with what its socket alone knows. */
export function living(session: Http2Session, socket: TLSSocket): LivingSession {
  let read = 0;
  return {
    get destroyed() {
      return session.destroyed;
    },
    get closed() {
      return session.closed;
    },
    close: () => session.close(),
    ping(onAnswer) {
      read = socket.bytesRead;
      session.ping(onAnswer);
    },
    heard(listener) {
      if (socket.bytesRead > read) listener();
      read = socket.bytesRead;
    },
    once: (event, listener) => session.once(event, listener),
  };
}

/**
 * First PING 10 s after the start, then 10 s after each answer; `onDead` when one stays unanswered and nothing else comes for
 * 20 s (on a link that loses packets a PING waits behind megabytes of data), or when the session is destroyed and yet its
 * socket lingers, because Node waits for a peer that reads nothing.
 */
export function keepAlive(session: LivingSession, clock: Clock, onDead: () => void): void {
  const ping = () => {
    if (session.destroyed) return onDead();
    if (session.closed) {
      // Node sends no PING on a session that is closing; its streams have the drain's deadline.
      timer = clock.after(pingInterval, ping);
      return;
    }
    let silent = 0;
    const look = () => {
      silent += silenceLook;
      if (silent >= pingTimeout || session.destroyed) return onDead();
      session.heard(() => {
        silent = 0;
      });
      timer = clock.after(silenceLook, look);
    };
    timer = clock.after(silenceLook, look);
    session.ping(() => {
      timer.cancel();
      timer = clock.after(pingInterval, ping);
    });
  };
  let timer = clock.after(pingInterval, ping);
  session.once('close', () => timer.cancel());
}

/**
 * Ends a session gracefully once the wall clock has reached `expiresAt` (ms since the epoch): GOAWAY, no new stream; open ones
 * may finish.
 */
export function closeAtExpiry(session: Pick<LivingSession, 'close' | 'once'>, clock: Clock, expiresAt: number): void {
  let timer: Timer | undefined;
  const look = () => {
    const left = expiresAt - clock.wall();
    if (left <= 0) session.close();
    else timer = clock.after(millis(Math.min(left, expiryLook)), look);
  };
  look();
  session.once('close', () => timer?.cancel());
}

/** Ends a session when its peer's certificate is revoked: GOAWAY with NO_ERROR, and its streams fail with CERT_REVOKED. */
export function cutWhenRevoked(session: Http2Session, { socket, onRevoked }: AuthenticatedSocket): void {
  session.once(
    'close',
    onRevoked((error) => cutSession(session, socket, error, constants.NGHTTP2_NO_ERROR)),
  );
}

/** Ends a session now, without waiting for what the peer would have to read first. */
export function cutSession(session: Http2Session, socket: TLSSocket, error: Error | undefined, code: number): void {
  if (error) session.destroy(error, code);
  else session.destroy();
  // The GOAWAY was handed to the kernel by destroy(), if the kernel had room.
  setImmediate(() => socket.destroy());
}
