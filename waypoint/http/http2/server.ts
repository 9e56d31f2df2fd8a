/** The server's end of HTTP/2, by Node's. */
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../common/core/clock.ts';
import { createResetGuard, type ResetGuard } from '../../../common/hbone/reset-guard.ts';
import { resetStream } from '../../../common/hbone/reset-stream.ts';
import { createUnreadGuard, type UnreadGuard } from '../../../common/hbone/unread-guard.ts';
import { headerOf } from '../http1/framing.ts';
import type { BodyReader, Break, HeaderList, RequestHead, ResponseHead, ServerExchange } from '../message.ts';
import type { ServerCodec, ServerHandler } from '../server-codec.ts';
import { readFields, trailerObject, writeFields } from './fields.ts';
import { pingRegularly } from './keepalive.ts';
import { type Http2Settings, resetCodes, sessionLimits } from './limits.ts';

export interface Http2ServerOptions extends Http2Settings {
  /** Extended CONNECT (RFC 8441), and CONNECT. */
  readonly connect: boolean;
}

const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR } = constants;

/** Node's option against a `date` of its own; its types lack it. */
const noDate = { sendDate: false };

export class Http2Server implements ServerCodec {
  readonly #session: ServerHttp2Session;
  readonly #socket: Duplex;
  readonly #handler: ServerHandler;
  readonly #clock: Clock;
  readonly #streams = new Set<ServerHttp2Stream>();
  readonly #resets: ResetGuard = createResetGuard();
  readonly #unread: UnreadGuard;
  #error: Error | undefined;

  constructor(socket: Duplex, options: Http2ServerOptions, clock: Clock, handler: ServerHandler) {
    this.#socket = socket;
    this.#handler = handler;
    this.#clock = clock;
    // Node ends the streams of a lost connection as if the peer had ended them.
    socket.once('end', () => socket.destroy());
    socket.once('close', () => {
      for (const stream of this.#streams) stream.destroy(new Error('the connection was lost'));
    });
    const session = performServerHandshake(socket, {
      ...sessionLimits,
      maxHeaderListPairs: options.count + 5,
      settings: {
        enablePush: false,
        initialWindowSize: options.streamWindow,
        maxConcurrentStreams: options.streams,
        maxHeaderListSize: options.bytes,
        headerTableSize: options.headerTable,
        ...(options.connect && { enableConnectProtocol: true }),
      },
    });
    this.#session = session;
    const windows = { stream: options.streamWindow, connection: options.connectionWindow, frame: 16_384 };
    this.#unread = createUnreadGuard(session, this.#streams, windows, clock, (code) => this.#cut(code));
    session.setLocalWindowSize(options.connectionWindow);
    session.on('stream', (stream, _headers, flags, raw) => this.#onStream(stream, raw, flags));
    session.on('error', (error) => {
      this.#error ??= error;
    });
    session.on('close', () => {
      setImmediate(() => socket.destroy());
      handler.closed(this.#error);
    });
    const { keepalive } = options;
    if (keepalive) pingRegularly(session, keepalive, clock, () => this.#cut(NGHTTP2_NO_ERROR));
  }

  drain(): void {
    this.#session.close();
  }

  cut(error: Error): void {
    this.#error ??= error;
    for (const stream of this.#streams) resetStream(stream, error, NGHTTP2_CANCEL);
    this.#cut(NGHTTP2_NO_ERROR);
  }

  #cut(code: number): void {
    this.#session.destroy(undefined, code);
    setImmediate(() => this.#socket.destroy());
  }

  #onStream(stream: ServerHttp2Stream, raw: readonly string[], flags: number): void {
    const end = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const opened = this.#clock.now();
    this.#streams.add(stream);
    if (!end) this.#unread.watch(stream);
    const exchange = requestOf(raw);
    const one = exchange.kind === 'ok' ? new Exchange(stream, exchange.head, end) : undefined;
    let ours = false;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      ours ||= error.code !== 'ERR_HTTP2_STREAM_ERROR';
    });
    stream.on('close', () => {
      this.#streams.delete(stream);
      one?.closed(stream.rstCode);
      if (this.#streams.size === 0) this.#handler.idle();
      const resetByPeer = !ours && one?.over !== true;
      if (this.#resets.ended(opened, this.#clock.now(), resetByPeer) || this.#session.closed) return;
      this.#error ??= new Error('the client opens and resets streams too fast');
      this.#cut(NGHTTP2_ENHANCE_YOUR_CALM);
    });
    if (one) this.#handler.exchange(one);
    else if (exchange.kind === 'malformed') {
      this.#handler.malformed(400, exchange.detail, true);
      resetStream(stream, undefined, NGHTTP2_PROTOCOL_ERROR);
    }
  }
}

type Read =
  | { readonly kind: 'ok'; readonly head: RequestHead }
  | { readonly kind: 'malformed'; readonly detail: string };

/** nghttp2 has checked names, values, and which pseudo-headers there are. */
function requestOf(raw: readonly string[]): Read {
  const { pseudo, headers, host } = readFields(raw);
  const { method = '', path, scheme } = pseudo;
  const upgrade = pseudo.protocol?.toLowerCase();
  const authority = pseudo.authority ?? host ?? '';
  const plainConnect = method === 'CONNECT' && upgrade === undefined;
  if (!plainConnect && !(path?.startsWith('/') || (path === '*' && method === 'OPTIONS'))) {
    return { kind: 'malformed', detail: ':path' };
  }
  if (path !== undefined && !/^[\x21-\x7e]+$/.test(path)) return { kind: 'malformed', detail: ':path' };
  const asHttp1 = upgrade === undefined ? method : 'GET';
  return {
    kind: 'ok',
    head: { method: asHttp1, path, authority, scheme, headers, upgrade, version: 'HTTP/2' },
  };
}

class Exchange implements ServerExchange {
  readonly #stream: ServerHttp2Stream;
  readonly request: RequestHead;
  readonly complete: boolean;
  #reader: BodyReader | undefined;
  #trailers: HeaderList | undefined;
  #read: boolean;
  #sent = false;
  #gone = false;
  /** Bytes still owed by Content-Length; undefined: it is not known where the body ends. */
  #owed: number | undefined;
  /** A `drain` is awaited. */
  #full = false;

  constructor(stream: ServerHttp2Stream, request: RequestHead, end: boolean) {
    this.#stream = stream;
    this.request = request;
    this.complete = end;
    this.#read = this.complete;
  }

  /** Both directions came to their end, or we broke it off. */
  get over(): boolean {
    return this.#gone || (this.#read && this.#sent);
  }

  read(reader: BodyReader): void {
    this.#reader = reader;
    const stream = this.#stream;
    if (this.complete) {
      stream.resume();
      return;
    }
    stream.on('data', (chunk: Buffer) => {
      if (!this.#gone) reader.data(chunk);
    });
    stream.on('trailers', (_headers: unknown, _flags: unknown, raw: readonly string[] = []) => {
      const { headers } = readFields(raw);
      this.#trailers = headers.length === 0 ? undefined : headers;
    });
    stream.on('end', () => {
      if (this.#gone || stream.aborted) return;
      this.#read = true;
      reader.end(this.#trailers);
    });
  }

  closed(code: number): void {
    if (this.over) return;
    this.#gone = true;
    const why: Break =
      code === NGHTTP2_PROTOCOL_ERROR
        ? { kind: 'protocol', detail: 'the stream broke the rules of HTTP/2' }
        : { kind: 'reset', detail: `the client reset the stream (${code})` };
    this.#reader?.broke(why);
  }

  informational({ status, headers }: ResponseHead): void {
    if (this.#usable) this.#stream.additionalHeaders({ ':status': status, ...trailerObject(headers) });
  }

  respond({ status, headers }: ResponseHead, end: boolean): void {
    if (!this.#usable) return;
    const code = status === 101 && this.request.upgrade !== undefined ? 200 : status;
    const fields = writeFields([':status', String(code)], headers);
    const length = end ? undefined : headerOf(headers, 'content-length');
    const isTunnel = this.request.upgrade !== undefined || this.request.method === 'CONNECT';
    if (length !== undefined && !isTunnel) this.#owed = Number(length);
    const waitForTrailers = !end && length === undefined;
    if (end) this.#sent = true;
    this.#stream.respond(fields as unknown as Record<string, string>, { endStream: end, waitForTrailers, ...noDate });
    if (waitForTrailers) this.#stream.once('wantTrailers', () => this.#sendTrailers());
  }

  #responseTrailers: HeaderList | undefined;

  #sendTrailers(): void {
    // Node turns an empty list into the end of the stream.
    if (!this.#stream.destroyed) this.#stream.sendTrailers(trailerObject(this.#responseTrailers ?? []));
  }

  write(chunk: Buffer): boolean {
    if (!this.#usable) return true;
    if (this.#owed !== undefined) {
      this.#owed -= chunk.length;
      if (this.#owed === 0) {
        // The end goes with the last bytes instead of in a frame of its own.
        this.#sent = true;
        this.#stream.end(chunk);
        return true;
      }
    }
    if (this.#stream.write(chunk)) return true;
    if (!this.#full) {
      this.#full = true;
      this.#stream.once('drain', () => {
        this.#full = false;
        if (!this.#gone) this.#reader?.drained();
      });
    }
    return false;
  }

  end(trailers?: HeaderList): void {
    if (!this.#usable) return;
    this.#sent = true;
    this.#responseTrailers = trailers;
    this.#stream.end();
  }

  reset(why: 'cancel' | 'internal' | 'protocol'): void {
    if (this.#gone) return;
    this.#gone = true;
    resetStream(this.#stream, undefined, resetCodes[why]);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  get #usable(): boolean {
    return !this.#gone && !this.#sent && !this.#stream.destroyed && !this.#stream.closed;
  }
}
