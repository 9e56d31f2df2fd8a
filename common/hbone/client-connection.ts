/** One client connection of the `node` engine: dial, TLS, HTTP/2, and a CONNECT on it. */

import type { OutgoingHttpHeaders } from 'node:http';
import { type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Duplex } from 'node:stream';
import { abortable } from '../core/abortable.ts';
import { Cancellation, type CancelSignal } from '../core/cancel.ts';
import type { Clock } from '../core/clock.ts';
import { MeshError } from '../core/errors.ts';
import { formatSocketAddr } from '../core/net.ts';
import { Roster } from '../core/roster.ts';
import { formatSpiffe } from '../identity/spiffe.ts';
import type { WorkloadCertificate } from '../identity/types.ts';
import type { Identity } from '../mesh/types.ts';
import { type AuthenticatedSocket, connectTls } from '../tls/connect.ts';
import type { AgainOutbound, Heirs } from './again.ts';
import { type Answer, Unanswered } from './answer.ts';
import type { Ahead } from './relay.ts';
import {
  clientSessionOptions,
  closeAtExpiry,
  cutSession,
  cutWhenRevoked,
  failStreamsWithSocket,
  type Http2Windows,
  handshakeTimeout,
  keepAlive,
  living,
  openConnectionWindow,
} from './session.ts';
import type { ConnectHeaders, DialTarget, HbonePoolOptions, InnerTarget, OutboundTunnel } from './types.ts';
import { createUnreadGuard } from './unread-guard.ts';
import { defaultWire, type WireSettings } from './wire.ts';

export interface ClientConnection {
  readonly peer: Identity;
  /** False once it takes no new stream: GOAWAY, a failure, an expired certificate or finish(). */
  readonly usable: boolean;
  /** What the peer's SETTINGS allow now. */
  readonly maxStreams: number;
  /** `onClosed` is called once, when the stream has gone or could not be opened. */
  open(
    headers: ConnectHeaders,
    signal: CancelSignal,
    onClosed: () => void,
    ahead?: Ahead,
  ): Promise<OutboundTunnel | 'unprocessed'>;
  /** As OutboundTunnel.again, at most `most` streams at a time; `onBegun` as each begins, and what that returns when it is over. */
  readonly keep?: (answer: AgainOutbound, heirs: Heirs, most: number, onBegun: () => () => void) => void;
  /** GOAWAY; closes when its streams have ended. */
  finish(): void;
  /** Cuts its streams. */
  cut(): void;
}

/** Rejects with MeshError CONNECT_TIMEOUT, TLS_FAILED, CERT_REVOKED or H2_FAILED, with what the ports reject with, or the signal's reason. */
export function dialConnection(
  options: HbonePoolOptions,
  target: DialTarget,
  signal: CancelSignal,
  onClosed: (connection: ClientConnection) => void,
  establish?: Establish,
): Promise<ClientConnection> {
  const dial = (either: CancelSignal) =>
    abortable(options.dial(target.address, either), either, (late) => {
      late.on('error', () => undefined);
      late.destroy();
    });
  const carrier = { address: formatSocketAddr(target.address), get: dial, slow: 'CONNECT_TIMEOUT' } as const;
  return startConnection(options, carrier, target, signal, onClosed, establish);
}

/** What a connection is made over. */
export interface Carrier {
  /** For messages. */
  readonly address: string;
  /** A stream that is connected already. */
  readonly get: (signal: CancelSignal) => Promise<Duplex>;
  /** What a deadline means that passes before it is there. */
  readonly slow: 'CONNECT_TIMEOUT' | 'TLS_FAILED';
}

/** What a connection is to be, for whoever makes TLS and HTTP/2 of a stream. */
export interface Establishing {
  readonly options: Pick<HbonePoolOptions, 'clock' | 'revocation'>;
  readonly wire: WireSettings;
  /** For messages. */
  readonly address: string;
  readonly certificate: WorkloadCertificate;
  readonly expected: readonly Identity[];
  readonly signal: CancelSignal;
  /** TLS stands. */
  readonly onAuthenticated: () => void;
  readonly onClosed: (connection: ClientConnection) => void;
}

/**
 * Takes the stream over; resolves with the peer's SETTINGS. MeshError TLS_FAILED, CERT_REVOKED, H2_FAILED, or the signal's reason.
 */
export type Establish = (raw: Duplex, establishing: Establishing) => Promise<ClientConnection>;

/** As `dialConnection`; the carrier is destroyed when this fails after it was there. */
export async function startConnection(
  options: Pick<HbonePoolOptions, 'clock' | 'certificate' | 'revocation' | 'wire'>,
  carrier: Carrier,
  target: InnerTarget,
  signal: CancelSignal,
  onClosed: (connection: ClientConnection) => void,
  establish: Establish = byNode,
): Promise<ClientConnection> {
  const { address } = carrier;
  const { wire = defaultWire } = options;
  const either = new Cancellation();
  let stage: Carrier['slow'] | 'H2_FAILED' = carrier.slow;
  const timer = options.clock.after(handshakeTimeout, () =>
    either.abort(new MeshError(stage, `no HBONE connection to ${address} within ${handshakeTimeout} ms`)),
  );
  const giveUp = () => either.abort(signal.reason);
  if (signal.aborted) giveUp();
  else signal.addEventListener('abort', giveUp, { once: true });
  try {
    const certificate = await abortable(options.certificate(target.source), either);
    const raw = await carrier.get(either);
    stage = 'TLS_FAILED';
    const onAuthenticated = () => {
      stage = 'H2_FAILED';
    };
    const { expected } = target;
    const parts = { options, wire, address, certificate, expected, signal: either, onAuthenticated, onClosed };
    return await establish(raw, parts);
  } catch (error) {
    if (error instanceof MeshError && (error.code === 'TLS_FAILED' || error.code === 'CERT_REVOKED')) {
      throw new MeshError(error.code, `${address}, as ${formatSpiffe(target.source)}: ${error.message}`, {
        cause: error,
      });
    }
    throw error;
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', giveUp);
  }
}

const byNode: Establish = async (raw, parts) => {
  const { options, wire, certificate, expected, signal } = parts;
  const authenticated = await connectTls(raw, certificate, expected, wire.tls, signal, options.revocation);
  parts.onAuthenticated();
  return startSession(options.clock, wire.windows, parts.address, authenticated, signal, parts.onClosed);
};

/** Resolves with the peer's SETTINGS: before them it may still be refusing our certificate, and its limits are unknown. */
function startSession(
  clock: Clock,
  windows: Http2Windows,
  address: string,
  authenticated: AuthenticatedSocket,
  signal: CancelSignal,
  onClosed: (connection: ClientConnection) => void,
): Promise<ClientConnection> {
  const { socket, peer, expiresAt } = authenticated;
  const streams = new Roster<ClientHttp2Stream>();
  failStreamsWithSocket(socket, streams);
  let tlsError: Error | undefined;
  socket.on('error', (error) => {
    tlsError = error;
  });
  // The authority only fills Node's bookkeeping: each CONNECT names its own.
  const session = connect('https://hbone', { ...clientSessionOptions(windows), createConnection: () => socket });
  openConnectionWindow(session, windows);
  keepAlive(living(session, socket), clock, () => {
    const error = new MeshError('H2_FAILED', `${address} answers no PING`);
    cutSession(session, socket, error, constants.NGHTTP2_NO_ERROR);
  });
  closeAtExpiry(session, clock, expiresAt);
  const unread = createUnreadGuard(session, streams, windows, clock, (code) => {
    const error = new MeshError('PROTOCOL', `${address} sends more than its windows allow`);
    cutSession(session, socket, error, code);
  });
  let goneAway = false;
  const unanswered = new Unanswered();
  session.once('goaway', () => {
    goneAway = true;
    unanswered.peerLeaves(session, clock);
  });
  const connection: ClientConnection = {
    peer,
    get usable() {
      // A clock that was set is noticed here, before the timer of closeAtExpiry looks.
      return !goneAway && !session.closed && !session.destroyed && clock.wall() < expiresAt;
    },
    get maxStreams() {
      // Node gives 2^32-1 where the peer sets no limit.
      return session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY;
    },
    open(headers, abort, onStreamClosed) {
      const stream = session.request(connectFields(headers), { endStream: false });
      const seat = streams.enter(stream);
      unread.watch(stream);
      stream.on('close', () => {
        streams.leave(seat);
        onStreamClosed();
      });
      const cancel = () => stream.close(constants.NGHTTP2_CANCEL);
      const answer = unanswered.wait(`the tunnel through ${address} to ${headers.authority}`, abort, cancel);
      awaitResponse(stream, answer, peer);
      return answer.tunnel;
    },
    finish: () => session.close(),
    cut: () => cutSession(session, socket, undefined, constants.NGHTTP2_NO_ERROR),
  };
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      cutSession(session, socket, undefined, constants.NGHTTP2_NO_ERROR);
      reject(signal.reason);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    session.once('remoteSettings', () => {
      signal.removeEventListener('abort', onAbort);
      resolve(connection);
    });
    let failure: Error | undefined;
    session.on('error', (error) => {
      failure = error;
    });
    session.once('close', () => {
      signal.removeEventListener('abort', onAbort);
      onClosed(connection);
      reject(sessionError(address, tlsError ?? failure));
    });
    cutWhenRevoked(session, authenticated);
  });
}

function connectFields(headers: ConnectHeaders): OutgoingHttpHeaders {
  return {
    ':method': 'CONNECT',
    ':authority': headers.authority,
    baggage: headers.baggage,
    forwarded: headers.forwarded,
    traceparent: headers.traceparent,
    ...(headers.forwardedNetwork !== undefined && { 'x-forwarded-network': headers.forwardedNetwork }),
  };
}

function awaitResponse(stream: ClientHttp2Stream, answer: Answer, peer: Identity): void {
  let failure: NodeJS.ErrnoException | undefined;
  stream.on('error', (error) => {
    failure = error;
  });
  const onClose = () => {
    const unprocessed = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || neverSent(failure);
    answer.ended(unprocessed, failure, `code ${stream.rstCode}`);
  };
  stream.on('close', onClose);
  stream.once('response', (response) => {
    stream.off('close', onClose);
    answer.came(response[':status'], () => ({
      stream,
      peer,
      get responseHeaders() {
        return plainHeaders(response);
      },
    }));
  });
}

function neverSent(error: NodeJS.ErrnoException | undefined): boolean {
  return error?.code === 'ERR_HTTP2_GOAWAY_SESSION' || error?.code === 'ERR_HTTP2_INVALID_SESSION';
}

function plainHeaders(response: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(response)
      .filter(([name]) => !name.startsWith(':'))
      .map(([name, value]) => [name, String(value)]),
  );
}

/** Why a peer without a word went away. */
export const closedEarly = 'it closed the connection before its SETTINGS; it may have refused our certificate';

/** A TLS 1.3 server judges our certificate only after our handshake is done, so its refusal arrives here. */
function sessionError(address: string, cause: Error | undefined): Error {
  if (cause instanceof MeshError) return cause;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  if (code?.startsWith('ERR_SSL')) {
    return new MeshError('TLS_FAILED', `${address} broke off TLS: ${cause!.message}`, { cause });
  }
  return new MeshError('H2_FAILED', `HTTP/2 with ${address} failed: ${cause?.message ?? closedEarly}`, { cause });
}
