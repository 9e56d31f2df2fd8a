/** The server's end of an HTTP/1 connection: one request after the other, the next one only when the last was answered. */
import { STATUS_CODES } from '../../../common/core/node-http.ts';
import type { ByteReader, ByteStream } from '../../net/byte-stream.ts';
import type { Departure } from '../../net/departure.ts';
import type { BodyReader, Break, HeaderList, RequestHead, ResponseHead, ServerExchange } from '../message.ts';
import type { ServerCodec, ServerHandler } from '../server-codec.ts';
import { type BodyEvents, type BodyParser, ChunkedBody, LengthBody, RestBody } from './body.ts';
import { FramedWriter, headerOf } from './framing.ts';
import { formatHead, type HeaderCase, inCase, Malformed } from './head.ts';
import { HeadCollector } from './heads.ts';
import { chunkWork, headBytesWork, requestWork, turnWork } from './limits.ts';
import { type ParsedRequest, parseRequest, type RequestOptions } from './request.ts';

export interface Http1ServerOptions extends RequestOptions {
  /** Trailers of requests are passed on, and those of responses sent. */
  readonly trailers: boolean;
  readonly headerCase: HeaderCase;
}

export class Http1Server implements ByteReader, ServerCodec {
  readonly #stream: ByteStream;
  readonly #options: Http1ServerOptions;
  readonly #handler: ServerHandler;
  readonly #heads: HeadCollector;
  #exchange: Exchange | undefined;
  /** What came behind the request that is being answered. */
  #early: Buffer | undefined;
  #working = false;
  /** What was read since others had their turn, as limits.ts counts it. */
  #work = 0;
  /** Others have their turn: nothing is read, and what comes is kept. */
  #yielding = false;
  #endsLater = false;
  /** Who reads the request wants no more of it now. */
  #paused = false;
  #closing = false;
  /** The last request was answered: what else comes is none. */
  #over = false;
  #peerEnded = false;
  #left: Departure | undefined;

  constructor(stream: ByteStream, options: Http1ServerOptions, handler: ServerHandler) {
    this.#stream = stream;
    this.#options = options;
    this.#handler = handler;
    this.#heads = new HeadCollector(options, 431);
    stream.attach(this);
  }

  drain(): void {
    if (this.#closing) return;
    this.#closing = true;
    if (this.#exchange || this.#early || this.#heads.begun) return;
    this.#stream.end();
    this.#handler.ending();
  }

  cut(error: Error): void {
    this.leave(error);
  }

  /** Ends it from our side. */
  leave(error?: Error): void {
    this.#depart('us');
    this.#stream.destroy(error);
  }

  get draining(): boolean {
    return this.#closing;
  }

  bytes(chunk: Buffer): void {
    if (this.#early || this.#yielding) {
      this.#early = this.#early ? Buffer.concat([this.#early, chunk]) : chunk;
      this.#stream.pause();
    } else this.#take(chunk);
  }

  ended(): void {
    if (this.#yielding) {
      this.#endsLater = true;
      return;
    }
    this.#peerEnded = true;
    this.#depart('peer');
    const exchange = this.#exchange;
    if (exchange) exchange.peerEnded();
    else this.#stream.end();
  }

  closed(error: Error | undefined): void {
    this.#depart('peer');
    this.#early = undefined;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.broke({ kind: 'reset', detail: error?.message ?? 'the client closed the connection' });
    this.#handler.closed(error, this.#left!);
  }

  drained(): void {
    this.#exchange?.drained();
  }

  /** The exchange has been answered, and read or left. */
  next(reusable: boolean, isRead: boolean): void {
    this.#exchange = undefined;
    this.#paused = false;
    if (!reusable || this.#closing || this.#peerEnded) {
      // As Envoy, which waits for the client where it answers while it still reads.
      if (isRead && !this.#working) this.#depart('us');
      this.#over = true;
      this.#early = undefined;
      this.#stream.end();
      this.#handler.ending();
      // What the client still sends is read and dropped until it closes, or until whoever watches idle connections does.
      this.#stream.attach(new Discarding(this));
      this.#stream.resume();
      return;
    }
    this.#handler.idle();
    this.#goOn();
  }

  /** Reads on, with what came meanwhile first; while others have their turn, that waits for its end. */
  #goOn(): void {
    if (this.#yielding) return;
    this.#stream.resume();
    const early = this.#early;
    if (!early || this.#exchange?.waiting) return;
    this.#early = undefined;
    this.#take(early);
  }

  #yield(): void {
    this.#yielding = true;
    this.#stream.pause();
    setImmediate(() => {
      this.#yielding = false;
      this.#work = 0;
      if (!this.#paused) this.#goOn();
      if (this.#endsLater && !this.#yielding) this.ended();
    });
  }

  pause(): void {
    this.#paused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#goOn();
  }

  #take(first: Buffer): void {
    // An exchange that ends while its request is parsed calls next(), which must not nest.
    if (this.#working) {
      this.#early = first;
      return;
    }
    this.#working = true;
    let chunk: Buffer | undefined = first;
    try {
      while (chunk && !this.#over) {
        const exchange = this.#exchange;
        if (exchange) {
          const before = exchange.chunks;
          chunk = exchange.push(chunk);
          this.#work += (exchange.chunks - before) * chunkWork;
        } else {
          const head = this.#heads.push(chunk);
          if (!head) {
            this.#handler.begun();
            break;
          }
          this.#work += requestWork + head.text.length / headBytesWork;
          chunk = this.#begin(parseRequest(head.text, this.#options), head.rest);
        }
        if (this.#early) {
          chunk = chunk ? Buffer.concat([this.#early, chunk]) : this.#early;
          this.#early = undefined;
        }
        if (chunk && this.#exchange?.waiting) {
          this.#early = chunk;
          this.#stream.pause();
          break;
        }
        if (this.#work >= turnWork) {
          this.#early = chunk;
          this.#yield();
          break;
        }
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#refuse(error);
    } finally {
      this.#working = false;
    }
  }

  #begin(parsed: ParsedRequest, rest: Buffer | undefined): Buffer | undefined {
    if (this.#stream.destroyed) return undefined;
    const exchange = new Exchange(this, this.#stream, parsed, this.#options);
    this.#exchange = exchange;
    this.#handler.exchange(exchange);
    return rest;
  }

  #refuse(error: Malformed): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#early = undefined;
    this.#closing = true;
    if (exchange) {
      const answered = exchange.answered;
      exchange.broke({ kind: 'protocol', detail: error.message });
      if (answered) {
        this.leave(error);
        return;
      }
    }
    const { head, body } = this.#handler.malformed(error.status, error.message, exchange === undefined);
    const text = formatHead(statusLine(head.status), head.headers, 'connection: close\r\n');
    this.#stream.write(inCase(text, this.#options.headerCase));
    this.#stream.write(body);
    this.#stream.end();
    this.#handler.ending();
    this.#stream.attach(new Discarding(this));
  }

  /** The first word of it counts. */
  #depart(by: Departure['by']): void {
    this.#left ??= { by, isBusy: this.#exchange !== undefined };
  }

  /** Takes the accepted tunnel's bytes that waited. */
  release(): void {
    this.#goOn();
  }
}

/** Reads what nobody wants, so that the client reads our answer before a reset. */
class Discarding implements ByteReader {
  readonly #server: Http1Server;

  constructor(server: Http1Server) {
    this.#server = server;
  }

  bytes(): void {}
  ended(): void {}
  drained(): void {}
  closed(error: Error | undefined): void {
    this.#server.closed(error);
  }
}

function statusLine(status: number): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`;
}

class Exchange implements ServerExchange {
  readonly #server: Http1Server;
  readonly #stream: ByteStream;
  readonly #options: Http1ServerOptions;
  readonly request: RequestHead;
  readonly complete: boolean;
  /** A tunnel whose acceptance is awaited: nothing of it is given on before. */
  readonly #tunnel: boolean;
  #accepted = false;
  #reader: BodyReader | undefined;
  #body: BodyParser | undefined;
  readonly #events: BodyEvents = {
    data: (chunk) => {
      if (!this.#gone) this.#reader?.data(chunk);
    },
    end: (trailers) => this.#requestEnded(trailers),
  };
  #writer: FramedWriter | undefined;
  #read: boolean;
  #sent = false;
  #reusable: boolean;
  #gone = false;

  constructor(server: Http1Server, stream: ByteStream, parsed: ParsedRequest, options: Http1ServerOptions) {
    this.#server = server;
    this.#stream = stream;
    this.#options = options;
    this.request = parsed.head;
    this.#reusable = !parsed.close;
    const { framing, head } = parsed;
    this.#tunnel = head.method === 'CONNECT' || head.upgrade !== undefined;
    if (this.#tunnel) this.#body = new RestBody();
    else if (framing.kind === 'length') this.#body = new LengthBody(framing.bytes);
    else if (framing.kind === 'chunked') this.#body = new ChunkedBody(options);
    this.complete = this.#body === undefined;
    this.#read = this.complete;
  }

  get waiting(): boolean {
    return this.#read || (this.#tunnel && !this.#accepted);
  }

  get answered(): boolean {
    return this.#writer !== undefined;
  }

  /** Of its body so far. */
  get chunks(): number {
    return this.#body?.chunks ?? 0;
  }

  read(reader: BodyReader): void {
    this.#reader = reader;
  }

  /** Returns what belongs to the next request, or waits. */
  push(chunk: Buffer): Buffer | undefined {
    if (this.waiting) return chunk;
    return this.#body!.push(chunk, this.#events);
  }

  #requestEnded(trailers: HeaderList | undefined): void {
    this.#read = true;
    if (!this.#gone) this.#reader?.end(this.#options.trailers ? trailers : undefined);
    this.#finish();
  }

  peerEnded(): void {
    if (this.#read) {
      // A client that closes its half after its request may still wait for the answer; Envoy takes it for gone, and so do we.
      this.broke({ kind: 'reset', detail: 'the client closed the connection' });
      this.#stream.destroy();
      return;
    }
    if (this.#tunnel && this.#accepted) this.#requestEnded(undefined);
    else {
      this.broke({ kind: 'reset', detail: 'the client closed the connection within its request' });
      this.#stream.destroy();
    }
  }

  broke(why: Break): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#reader?.broke(why);
  }

  drained(): void {
    if (!this.#gone) this.#reader?.drained();
  }

  informational({ status, headers }: ResponseHead): void {
    if (this.#gone || this.request.version === 'HTTP/1.0') return;
    this.#stream.write(inCase(formatHead(statusLine(status), headers, ''), this.#options.headerCase));
  }

  respond({ status, headers }: ResponseHead, end: boolean): void {
    if (this.#gone) return;
    const { method, upgrade, version } = this.request;
    const accepted = this.#tunnel && (method === 'CONNECT' ? status >= 200 && status < 300 : status === 101);
    let chunked = false;
    let last = '';
    let length: number | undefined;
    if (accepted) {
      this.#accepted = true;
      this.#reusable = false;
      if (status === 101) last = `connection: upgrade\r\nupgrade: ${upgrade}\r\n`;
    } else {
      // As Envoy: what is left of a request that was answered early is not waited for.
      if (this.#tunnel || !this.#read || this.#server.draining) this.#reusable = false;
      const bodiless = method === 'HEAD' || status === 204 || status === 304;
      const text = headerOf(headers, 'content-length');
      length = text === undefined || bodiless ? undefined : Number(text);
      if (!bodiless && length === undefined) {
        if (end) last = 'content-length: 0\r\n';
        else if (version === 'HTTP/1.1') {
          chunked = true;
          last = 'transfer-encoding: chunked\r\n';
        } else this.#reusable = false;
      }
      if (!this.#reusable) last += 'connection: close\r\n';
    }
    const text = inCase(formatHead(statusLine(status), headers, last), this.#options.headerCase);
    this.#writer = new FramedWriter(this.#stream, chunked, end ? undefined : length);
    this.#stream.write(text);
    if (end) this.#answered();
    else if (accepted) this.#server.release();
  }

  write(chunk: Buffer): boolean {
    return this.#gone || this.#writer!.write(chunk);
  }

  end(trailers?: HeaderList): void {
    if (this.#gone) return;
    if (!this.#writer!.end(this.#options.trailers ? trailers : undefined, this.#options.headerCase)) {
      this.reset();
      return;
    }
    this.#answered();
  }

  #answered(): void {
    this.#sent = true;
    // A tunnel's other direction goes on.
    if (this.#accepted && !this.#read) this.#stream.end();
    else if (!this.#read) {
      // The rest of the request would have to be read before the next one; the client may not even send it.
      this.#gone = true;
      this.#server.next(false, false);
      return;
    }
    this.#finish();
  }

  #finish(): void {
    if (this.#gone || !this.#sent || !this.#read) return;
    this.#gone = true;
    this.#server.next(this.#reusable, true);
  }

  reset(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#server.leave();
  }

  pause(): void {
    if (!this.#gone) this.#server.pause();
  }

  resume(): void {
    if (!this.#gone) this.#server.resume();
  }
}
