/** The client's end of HTTP/2, by Node's. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../common/core/clock.ts';
import { resetStream } from '../../../common/hbone/reset-stream.ts';
import { createUnreadGuard, type UnreadGuard } from '../../../common/hbone/unread-guard.ts';
import type { ClientCodec, ClientHandler } from '../client-codec.ts';
import type { ClientExchange, HeaderList, RequestHead, ResponseReader } from '../message.ts';
import { readFields, trailerObject, writeFields } from './fields.ts';
import { pingRegularly } from './keepalive.ts';
import { type Http2Settings, resetCodes, sessionLimits } from './limits.ts';

const { NGHTTP2_FLAG_END_STREAM, NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_REFUSED_STREAM } =
  constants;

export class Http2Client implements ClientCodec {
  readonly #session: ClientHttp2Session;
  readonly #socket: Duplex;
  readonly #streams = new Set<ClientHttp2Stream>();
  readonly #scheme: 'http' | 'https';
  readonly #unread: UnreadGuard;
  #error: Error | undefined;

  /** `opened` is called once the peer's SETTINGS are there. */
  constructor(
    socket: Duplex,
    options: Http2Settings,
    scheme: 'http' | 'https',
    clock: Clock,
    opened: (streams: number) => void,
    handler: ClientHandler,
  ) {
    this.#socket = socket;
    this.#scheme = scheme;
    socket.once('end', () => socket.destroy());
    socket.once('close', () => {
      for (const stream of this.#streams) stream.destroy(new Error('the connection was lost'));
    });
    const session = connect(`${scheme}://upstream`, {
      createConnection: () => socket,
      ...sessionLimits,
      maxHeaderListPairs: options.count + 5,
      peerMaxConcurrentStreams: options.streams,
      settings: {
        enablePush: false,
        initialWindowSize: options.streamWindow,
        maxHeaderListSize: options.bytes,
        headerTableSize: options.headerTable,
      },
    });
    this.#session = session;
    const windows = { stream: options.streamWindow, connection: options.connectionWindow, frame: 16_384 };
    this.#unread = createUnreadGuard(session, this.#streams, windows, clock, () =>
      this.cut(new Error('the server sends more than its windows allow')),
    );
    session.once('connect', () => session.setLocalWindowSize(options.connectionWindow));
    let open = false;
    session.on('remoteSettings', ({ maxConcurrentStreams }) => {
      const streams = Math.min(options.streams, maxConcurrentStreams ?? Number.POSITIVE_INFINITY);
      if (open) handler.allowed(streams);
      else opened(streams);
      open = true;
    });
    session.on('goaway', () => handler.draining());
    session.on('error', (error) => {
      this.#error ??= error;
    });
    session.on('close', () => {
      setImmediate(() => socket.destroy());
      handler.closed(this.#error);
    });
    const { keepalive } = options;
    if (keepalive) {
      pingRegularly(session, keepalive, clock, () => this.cut(new Error('the server answers no PING')));
    }
  }

  drain(): void {
    this.#session.close();
  }

  cut(error: Error): void {
    this.#error ??= error;
    for (const stream of this.#streams) resetStream(stream, error, NGHTTP2_CANCEL);
    this.#session.destroy(undefined, NGHTTP2_NO_ERROR);
    setImmediate(() => this.#socket.destroy());
  }

  request(head: RequestHead, end: boolean, reader: ResponseReader): ClientExchange {
    const { method, upgrade, authority, path } = head;
    const pseudo =
      upgrade !== undefined
        ? [':method', 'CONNECT', ':protocol', upgrade, ':scheme', this.#scheme, ':authority', authority, ':path', path!]
        : method === 'CONNECT'
          ? [':method', method, ':authority', authority]
          : [':method', method, ':scheme', head.scheme ?? this.#scheme, ':authority', authority, ':path', path!];
    const fields = writeFields(pseudo, head.headers);
    const stream = this.#session.request(fields, { endStream: end, waitForTrailers: !end });
    this.#streams.add(stream);
    this.#unread.watch(stream);
    return new Exchange(stream, upgrade !== undefined, end, reader, () => this.#streams.delete(stream));
  }
}

class Exchange implements ClientExchange {
  readonly #stream: ClientHttp2Stream;
  readonly #reader: ResponseReader;
  /** A `drain` is awaited. */
  #full = false;
  #sent = false;
  #over = false;
  #trailers: HeaderList | undefined;
  #requestTrailers: HeaderList | undefined;

  constructor(stream: ClientHttp2Stream, upgrade: boolean, end: boolean, reader: ResponseReader, gone: () => void) {
    this.#stream = stream;
    this.#reader = reader;
    const headOf = (raw: readonly string[]) => {
      const { pseudo, headers } = readFields(raw);
      return { status: Number(pseudo.status), headers };
    };
    stream.on('headers', (_headers: unknown, _flags: unknown, raw: readonly string[] = []) => {
      if (!this.#over) reader.informational(headOf(raw));
    });
    stream.on('response', (_headers: unknown, flags: number, raw: readonly string[] = []) => {
      if (this.#over) return;
      // Not before: Node tells of the head in the next turn, and would tell of a body that came with it at once.
      stream.on('data', (chunk: Buffer) => {
        if (!this.#over) reader.data(chunk);
      });
      const head = headOf(raw);
      // Trailers that came along count for Node's endAfterHeaders, too.
      const end = (flags & NGHTTP2_FLAG_END_STREAM) !== 0;
      if (end) {
        this.#over = true;
        stream.resume();
      }
      reader.response(upgrade && head.status === 200 ? { ...head, status: 101 } : head, end);
    });
    stream.on('trailers', (_headers: unknown, _flags: unknown, raw: readonly string[] = []) => {
      const { headers } = readFields(raw);
      this.#trailers = headers.length === 0 ? undefined : headers;
    });
    stream.on('end', () => {
      if (this.#over || stream.aborted || stream.rstCode !== NGHTTP2_NO_ERROR) return;
      this.#over = true;
      reader.end(this.#trailers);
    });
    let failure = '';
    stream.on('error', (error) => {
      failure = error.message;
    });
    if (!end) {
      stream.on('wantTrailers', () => {
        if (!stream.destroyed) stream.sendTrailers(trailerObject(this.#requestTrailers ?? []));
      });
    }
    stream.on('close', () => {
      gone();
      if (this.#over) return;
      this.#over = true;
      const code = stream.rstCode;
      if (code === NGHTTP2_REFUSED_STREAM) reader.broke({ kind: 'refused' });
      else if (code === NGHTTP2_PROTOCOL_ERROR) reader.broke({ kind: 'protocol', detail: failure });
      else reader.broke({ kind: 'reset', detail: failure || `the server reset the stream (${code})` });
    });
  }

  write(chunk: Buffer): boolean {
    if (this.#sent || this.#stream.destroyed || this.#stream.write(chunk)) return true;
    if (!this.#full) {
      this.#full = true;
      this.#stream.once('drain', () => {
        this.#full = false;
        if (!this.#over) this.#reader.drained();
      });
    }
    return false;
  }

  end(trailers?: HeaderList): void {
    if (this.#sent || this.#stream.destroyed) return;
    this.#sent = true;
    this.#requestTrailers = trailers;
    this.#stream.end();
  }

  reset(why: 'cancel' | 'internal' | 'protocol'): void {
    this.#over = true;
    if (this.#stream.destroyed) return;
    resetStream(this.#stream, undefined, resetCodes[why]);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }
}
