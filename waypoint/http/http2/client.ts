/** The client's end of HTTP/2. */
import type { Clock } from '../../../common/core/clock.ts';
import type { ByteStream } from '../../net/byte-stream.ts';
import type { Departure } from '../../net/departure.ts';
import type { ClientCodec, ClientHandler } from '../client-codec.ts';
import type { ClientExchange, RequestHead, ResponseReader } from '../message.ts';
import { Endpoint } from './endpoint.ts';
import { MalformedHead, readResponse, readTrailers } from './heads.ts';
import type { FieldList } from './hpack/decoder.ts';
import { type Http2Settings, lastWords } from './limits.ts';
import { Stream, type StreamHost } from './stream.ts';
import { ConnectionError, errorCode, maxWindow, setting } from './wire.ts';

export class Http2Client extends Endpoint<ClientStream> implements ClientCodec {
  readonly #options: Http2Settings;
  readonly #scheme: 'http' | 'https';
  readonly #opened: (streams: number) => void;
  readonly #handler: ClientHandler;
  #next = 1;
  #draining = false;
  /** Who tries again must find the connection gone. */
  protected readonly lostAtOnce = Number.POSITIVE_INFINITY;

  /** `opened` is called once the peer's SETTINGS are there. */
  constructor(
    stream: ByteStream,
    options: Http2Settings,
    scheme: 'http' | 'https',
    clock: Clock,
    opened: (streams: number) => void,
    handler: ClientHandler,
  ) {
    super(stream, options, clock);
    this.#options = options;
    this.#scheme = scheme;
    this.#opened = opened;
    this.#handler = handler;
    this.start(true, [[setting.enablePush, 0]]);
  }

  drain(): void {
    this.#draining = true;
    if (this.streams.size === 0) this.#leave();
  }

  #leave(): void {
    if (this.over) return;
    this.goaway(0, errorCode.noError, '');
    this.finish();
    this.clock.after(lastWords, () => this.lose(new Error('the server did not close')));
  }

  request(head: RequestHead, end: boolean, reader: ResponseReader): ClientExchange {
    const { method, upgrade, authority, path } = head;
    const id = this.#next;
    this.#next += 2;
    const pseudo =
      upgrade !== undefined
        ? [':method', 'CONNECT', ':protocol', upgrade, ':scheme', this.#scheme, ':authority', authority, ':path', path!]
        : method === 'CONNECT'
          ? [':method', method, ':authority', authority]
          : [':method', method, ':scheme', head.scheme ?? this.#scheme, ':authority', authority, ':path', path!];
    const [send, receive] = this.windows;
    const stream = new ClientStream(this, id, this.clock.now(), send, receive, head, reader);
    if (this.over) {
      // Its end is told in a moment, by the connection's.
      this.streams.set(id, stream);
      return stream;
    }
    this.streams.set(id, stream);
    this.sendHeaders(id, pseudo, head.headers, end);
    stream.headSent(end);
    if (this.#next > maxWindow) this.#handler.draining();
    return stream;
  }

  protected onBlockBegins(id: number): void {
    if (!this.streams.has(id)) {
      if (this.isIdle(id)) throw new ConnectionError(errorCode.protocol, 'an answer to what was not asked');
      this.refuseClosed(id);
    }
  }

  protected onBlock(id: number, list: FieldList, end: boolean): void {
    const stream = this.streams.get(id);
    if (!stream) return;
    try {
      if (list.tooLarge) throw new MalformedHead('a head larger than allowed');
      stream.takeBlock(list, end);
    } catch (error) {
      if (!(error instanceof MalformedHead)) throw error;
      stream.offend(errorCode.protocol, error.message);
    }
  }

  protected override mayHaveData(stream: ClientStream): boolean {
    return stream.headed;
  }

  protected override checkPush(value: number): void {
    if (value !== 0) throw new ConnectionError(errorCode.protocol, 'SETTINGS_ENABLE_PUSH of a server');
  }

  protected onSettings(first: boolean, streams: number): void {
    if (!first && Number.isNaN(streams)) return;
    const allowed = Math.min(this.#options.streams, Number.isNaN(streams) ? Number.POSITIVE_INFINITY : streams);
    if (first) this.#opened(allowed);
    else this.#handler.allowed(allowed);
  }

  protected onGoaway(lastStream: number): void {
    this.#draining = true;
    this.#handler.draining();
    for (const stream of [...this.streams.values()]) if (stream.id > lastStream) stream.lost({ kind: 'refused' });
  }

  protected onReset(stream: ClientStream, code: number): void {
    if (code === errorCode.refusedStream) stream.lost({ kind: 'refused' });
    else if (code === errorCode.protocol) {
      stream.lost({ kind: 'protocol', detail: 'the server takes the request for no HTTP' });
    } else stream.lost({ kind: 'reset', detail: `the server reset the stream (${code})` });
  }

  protected onStreamClosed(): void {}

  protected onEmpty(): void {
    if (this.#draining) this.#leave();
  }

  protected onClosed(error: Error | undefined, departure: Departure): void {
    this.#handler.draining();
    this.#handler.closed(error, departure);
  }

  protected isIdle(id: number): boolean {
    return id % 2 === 0 || id >= this.#next;
  }
}

class ClientStream extends Stream {
  readonly #reader: ResponseReader;
  readonly #request: RequestHead;
  /** The final head has come. */
  headed = false;
  #tunnel = false;

  constructor(
    host: StreamHost,
    id: number,
    now: number,
    send: number,
    receive: number,
    request: RequestHead,
    reader: ResponseReader,
  ) {
    super(host, id, now, send, receive);
    this.#request = request;
    this.#reader = reader;
    this.attach(reader);
  }

  headSent(end: boolean): void {
    if (end) this.headSentEnd();
  }

  /** Throws MalformedHead. */
  takeBlock(list: FieldList, end: boolean): void {
    if (this.remoteEnded) {
      this.offend(errorCode.streamClosed, 'HEADERS after the end of the stream');
      return;
    }
    if (this.headed) {
      if (!end) throw new MalformedHead('trailers without an end');
      if (!this.receiveEnd(readTrailers(list.fields)))
        throw new MalformedHead('a body shorter than its Content-Length');
      return;
    }
    const { head, length } = readResponse(list.fields);
    if (head.status < 200) {
      if (end) throw new MalformedHead('an interim answer that is the end');
      if (!this.silent) this.#reader.informational(head);
      return;
    }
    this.headed = true;
    const { method, upgrade } = this.#request;
    const granted = upgrade !== undefined && head.status === 200;
    this.#tunnel = granted || (method === 'CONNECT' && head.status < 300);
    const bodiless = method === 'HEAD' || head.status === 304 || this.#tunnel;
    if (!bodiless) {
      if (end && length !== undefined && length > 0) throw new MalformedHead('content-length without a body');
      this.expect(length);
    }
    if (end) this.headEnded();
    if (!this.silent) this.#reader.response(granted ? { ...head, status: 101 } : head, end);
  }

  /** What is left of a request that is answered nobody waits for. */
  protected override received(): void {
    if (!this.localEnded && !this.#tunnel) this.abort(errorCode.cancel, false);
  }

  protected broken(): boolean {
    return true;
  }
}
