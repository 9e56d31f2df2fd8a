/** An HBONE connection of the native engine, and its streams, as JavaScript sees them: names, and what happened. */
import { X509Certificate } from 'node:crypto';
import { MeshError } from '../../../common/core/errors.ts';
import type { LivingSession } from '../../../common/hbone/session.ts';
import type { WorkloadCertificate } from '../../../common/identity/types.ts';
import type { Identity } from '../../../common/mesh/types.ts';
import { alpn } from '../../../common/tls/context.ts';
import { type Leaf, readLeaf } from '../../../common/tls/leaf.ts';
import { type Revocation, type RevocationSide, unrevoked } from '../../../common/tls/revocation.ts';
import type { Verdict } from '../../../common/tls/verify.ts';
import {
  command,
  type EngineEvent,
  type EngineLoop,
  event,
  type Handle,
  type Receiver,
  readPieces,
  tunnelFailure,
  writePieces,
} from '../../../native/engine.ts';
import type { MovedTunnel } from '../../handover/unit.ts';
import { http2Code, NativeStream, resetError } from './stream.ts';
import type { TcpStream } from './tcp.ts';

/** Of TLS (RFC 8446 6). */
const alert = { badCertificate: 42, certificateRevoked: 44, accessDenied: 49, noApplicationProtocol: 120 } as const;

/** Name and value behind each other. */
export type HeaderList = readonly string[];

/** Several instances are joined by commas (RFC 9110 5.3). */
export function byName(headers: HeaderList): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const before = fields.get(name);
    fields.set(name, before === undefined ? headers[i + 1]! : `${before},${headers[i + 1]}`);
  }
  return fields;
}

export interface StreamEnding {
  readonly code: number;
  readonly byPeer: boolean;
  /** The peer has certainly not acted on it. */
  readonly unprocessed: boolean;
}

export class TunnelStream extends NativeStream {
  onResponse: ((status: number, headers: HeaderList) => void) | undefined;
  /** Once, when the stream is gone, in whatever way. */
  onEnding: ((ending: StreamEnding) => void) | undefined;

  constructor(loop: EngineLoop, named?: { readonly slot: number; readonly generation: number }) {
    // As those of node:http2: who has read all of it may still write.
    super(loop, named, { autoDestroy: false });
    const onHalf = () => {
      if (this.readableEnded && this.writableFinished) this.destroy();
    };
    this.once('end', onHalf);
    this.once('finish', onHalf);
  }

  override receive(e: EngineEvent): void {
    switch (e.type) {
      case event.response:
        this.stands(e.b !== 0);
        this.onResponse?.(e.a, texts(e.bytes));
        break;
      case event.refused:
        this.#ended({ code: http2Code.refusedStream, byPeer: true, unprocessed: true });
        break;
      case event.streamClosed:
        this.#ended({ code: e.a, byPeer: e.b !== 0, unprocessed: e.c !== 0 });
        break;
      default:
        super.receive(e);
    }
  }

  /** That carries it. */
  tunnel: Tunnel | undefined;

  #ended(ending: StreamEnding): void {
    const { code } = ending;
    const ordinary = code === http2Code.noError || code === http2Code.cancel;
    this.closedByLoop(ordinary ? undefined : resetError(code));
    this.done();
    this.onEnding?.(ending);
  }

  protected override get keepsReceiving(): boolean {
    return true;
  }

  open({ slot, generation }: Handle, headers: HeaderList): void {
    this.send(command.open, slot, generation, 0, writePieces(headers));
  }

  respond(status: number, headers: HeaderList, end: boolean): void {
    this.send(command.respond, status, end ? 1 : 0, 0, writePieces(headers));
  }

  /** RST_STREAM with a code of its own. */
  refuseWith(code: number): void {
    this.send(command.reset, code);
    this.closedByLoop(undefined);
  }

  /** RST_STREAM with CANCEL: nobody waits for it any more. */
  cancel(): void {
    this.destroy();
  }
}

/** What whoever made a tunnel is told. */
export interface TunnelEvents {
  /** The peer's chain, which leads to one of our roots. */
  handshaken(chain: readonly Buffer[], protocol: string): void;
  /** The first SETTINGS. */
  settings(): void;
  request(stream: TunnelStream, headers: HeaderList): void;
  /** The peer's first GOAWAY. */
  leaving(): void;
  /** It opens and resets streams too fast; it was sent GOAWAY. */
  flooded(): void;
  /** Once. `error`: what broke it, if it was broken. */
  closed(error: MeshError | undefined): void;
}

export class Tunnel implements LivingSession, Receiver {
  readonly handle: Handle;
  /** What is cut with it. */
  readonly streams = new Set<{ destroy(error: Error): unknown }>();
  /** What another process must know to take it over; undefined until the peer is known. */
  facts: MovedTunnel | undefined;
  /** As the peer allows; 0 before its SETTINGS. */
  maxStreams = 0;
  closed = false;
  destroyed = false;
  readonly #loop: EngineLoop;
  readonly #events: TunnelEvents;
  readonly #onClose: (() => void)[] = [];
  #onPong: (() => void) | undefined;
  #onHeard: (() => void) | undefined;
  #authenticated = false;
  #settled = false;
  #left = false;

  /** Takes the connection over: to make a tunnel on it, or one that the loop has restored from another process. */
  constructor(
    loop: EngineLoop,
    from: { tcp: TcpStream; context: number } | { restored: Handle },
    events: TunnelEvents,
  ) {
    this.#loop = loop;
    this.#events = events;
    if ('restored' in from) {
      this.handle = loop.adopt(from.restored.slot, from.restored.generation, this);
      // Handshake and SETTINGS were there.
      this.#authenticated = true;
      this.#settled = true;
      return;
    }
    const { tcp, context } = from;
    this.handle = loop.name(this);
    loop.send(command.tunnel, this.handle, tcp.handle.slot, tcp.handle.generation, context);
    tcp.becameTunnel();
  }

  receive(e: EngineEvent): void {
    switch (e.type) {
      case event.handshaken: {
        const [protocol, ...chain] = readPieces(e.bytes);
        this.#events.handshaken(chain, protocol!.toString('latin1'));
        break;
      }
      case event.settings: {
        // The loop's numbers have a sign.
        const limit = e.a >>> 0;
        this.maxStreams = limit === 0xffff_ffff ? Number.POSITIVE_INFINITY : limit;
        if (this.#settled) break;
        this.#settled = true;
        this.#events.settings();
        break;
      }
      case event.pong:
        this.#onPong?.();
        break;
      case event.heard:
        this.#onHeard?.();
        break;
      case event.goaway:
        this.closed = true;
        if (!this.#left) this.#events.leaving();
        this.#left = true;
        break;
      case event.request: {
        const stream = new TunnelStream(this.#loop, { slot: e.a, generation: e.b });
        this.adopt(stream);
        this.#events.request(stream, texts(e.bytes));
        break;
      }
      case event.flooded:
        this.closed = true;
        this.#events.flooded();
        break;
      case event.failed:
        this.#over(this.#failure(e));
        break;
      case event.closed:
        this.#over(undefined);
        break;
    }
  }

  adopt(stream: TunnelStream): void {
    stream.tunnel = this;
    this.streams.add(stream);
    stream.once('close', () => this.streams.delete(stream));
  }

  /** As `adopt`, of what a plan began; returns how to leave. */
  begun(relay: { tunnel: Tunnel | undefined; destroy(error: Error): unknown }): () => void {
    relay.tunnel = this;
    this.streams.add(relay);
    return () => void this.streams.delete(relay);
  }

  accept(): void {
    this.#authenticated = true;
    this.#loop.send(command.accepted, this.handle);
  }

  /** Before accept(); `closed` is told at once. */
  refuse(code: number, error: MeshError): void {
    if (this.destroyed) return;
    this.#loop.send(command.refuse, this.handle, code, 0, 0, Buffer.from(error.message));
    this.#over(error);
  }

  close(): void {
    if (this.closed || this.destroyed) return;
    this.closed = true;
    this.#loop.send(command.goaway, this.handle, http2Code.noError, 1);
  }

  ping(onAnswer: () => void): void {
    this.#onPong = onAnswer;
    this.#loop.send(command.ping, this.handle);
  }

  heard(listener: () => void): void {
    this.#onHeard = listener;
    this.#loop.send(command.heard, this.handle);
  }

  once(_event: 'close', listener: () => void): void {
    this.#onClose.push(listener);
  }

  /** Ends it now. Its streams fail, so that what they carried does not look complete. */
  cut(error: MeshError | undefined): void {
    if (this.destroyed) return;
    const lost = error ?? new MeshError('H2_FAILED', 'the HBONE connection was lost');
    for (const stream of this.streams) stream.destroy(lost);
    this.#loop.send(command.goaway, this.handle, http2Code.noError, 0);
    this.#over(error);
  }

  /** It goes on in another process, with its streams, which are told by themselves. */
  moved(): void {
    this.#over(undefined);
  }

  #over(error: MeshError | undefined): void {
    if (this.destroyed) return;
    this.closed = true;
    this.destroyed = true;
    this.#loop.forget(this.handle);
    for (const listener of this.#onClose) listener();
    this.#events.closed(error);
  }

  #failure({ a: kind, b: code, bytes }: EngineEvent): MeshError {
    const reason = bytes.toString();
    if (!this.#authenticated) return new MeshError('TLS_FAILED', `TLS with the peer failed: ${reason}`);
    // A TLS 1.3 server judges our certificate only after our handshake is done.
    if (kind === tunnelFailure.tls) return new MeshError('TLS_FAILED', `the peer broke off TLS: ${reason}`);
    if (kind === tunnelFailure.peerFlood) return new MeshError('PROTOCOL', reason);
    return new MeshError('H2_FAILED', reason, { cause: { kind, code } });
  }
}

export interface AuthenticatedPeer {
  readonly peer: Identity;
  /** When the first of both leaf certificates expires, ms since the epoch. */
  readonly expiresAt: number;
  readonly onRevoked: (cut: (error: MeshError) => void) => () => void;
}

/** Judges the peer of a handshake: undefined when it was refused, which the tunnel's `closed` is told. */
export function authenticate(
  tunnel: Tunnel,
  chain: readonly Buffer[],
  protocol: string,
  certificate: WorkloadCertificate,
  side: RevocationSide,
  revocation: Revocation | undefined,
  verify: (leaf: Leaf) => Verdict,
): AuthenticatedPeer | undefined {
  const refuse = (code: number, reason: string, cause?: unknown) =>
    tunnel.refuse(code, new MeshError('TLS_FAILED', `TLS with the peer failed: ${reason}`, { cause }));
  if (protocol !== alpn) {
    refuse(alert.noApplicationProtocol, `it does not speak ${alpn}`);
    return undefined;
  }
  try {
    const [own, ...others] = chain;
    const leaf = readLeaf(own!);
    const verdict = verify(leaf);
    if (verdict.kind === 'refused') {
      refuse(alert.accessDenied, verdict.reason);
      return undefined;
    }
    const parse = (der: Buffer) => new X509Certificate(der);
    const onRevoked = revocation
      ? unrevoked(revocation, parse(own!), others.map(parse), certificate, side)
      : () => () => undefined;
    tunnel.accept();
    return { peer: verdict.peer, expiresAt: Math.min(certificate.notAfter, leaf.notAfter), onRevoked };
  } catch (error) {
    if (error instanceof MeshError) tunnel.refuse(alert.certificateRevoked, error);
    else refuse(alert.badCertificate, 'its certificate cannot be read', error);
    return undefined;
  }
}

function texts(bytes: Buffer): string[] {
  return readPieces(bytes).map((piece) => piece.toString('latin1'));
}
