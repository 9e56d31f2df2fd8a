/** The client's end of an HTTP/1 connection: one request at a time. */
import type { ByteReader, ByteStream } from '../../net/byte-stream.ts';
import type { Departure } from '../../net/departure.ts';
import type { ClientCodec, ClientHandler } from '../client-codec.ts';
import type { Break, ClientExchange, HeaderList, RequestHead, ResponseReader } from '../message.ts';
import { type BodyEvents, type BodyParser, ChunkedBody, LengthBody, RestBody } from './body.ts';
import { FramedWriter, headerOf } from './framing.ts';
import { formatHead, type HeaderCase, type HeadLimits, inCase, Malformed } from './head.ts';
import { HeadCollector } from './heads.ts';
import { parseResponse } from './response.ts';

export interface Http1ClientOptions extends HeadLimits {
  readonly trailers: boolean;
  readonly headerCase: HeaderCase;
}

export class Http1Client implements ByteReader, ClientCodec {
  readonly #stream: ByteStream;
  readonly #options: Http1ClientOptions;
  readonly #handler: ClientHandler;
  readonly #heads: HeadCollector;
  #exchange: Exchange | undefined;
  #draining = false;
  #left: Departure | undefined;

  constructor(stream: ByteStream, options: Http1ClientOptions, handler: ClientHandler) {
    this.#stream = stream;
    this.#options = options;
    this.#handler = handler;
    this.#heads = new HeadCollector(options, 502);
    stream.attach(this);
  }

  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#handler.draining();
    if (!this.#exchange) this.leave();
  }

  cut(error: Error): void {
    this.leave(error);
  }

  /** Ends it from our side. */
  leave(error?: Error): void {
    this.#depart('us');
    this.#stream.destroy(error);
  }

  request(head: RequestHead, end: boolean, reader: ResponseReader): ClientExchange {
    const exchange = new Exchange(this, this.#stream, this.#options, head.method, reader);
    this.#exchange = exchange;
    exchange.start(head, end);
    return exchange.writer;
  }

  bytes(chunk: Buffer): void {
    let rest: Buffer | undefined = chunk;
    try {
      while (rest) {
        const exchange: Exchange | undefined = this.#exchange;
        // A server that speaks unasked answers a request that was never made.
        if (!exchange) throw new Malformed(502, 'an answer without a request');
        rest = exchange.body ? exchange.body.push(rest, exchange) : this.#head(exchange, rest);
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#fail({ kind: 'protocol', detail: error.message }, error);
    }
  }

  ended(): void {
    const exchange = this.#exchange;
    if (exchange?.body instanceof RestBody) {
      this.#left ??= { by: 'peer', isBusy: false };
      exchange.end();
      return;
    }
    this.#depart('peer');
    this.#fail({ kind: 'reset', detail: 'the server closed the connection' }, undefined);
  }

  closed(error: Error | undefined): void {
    this.#depart('peer');
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.broke({ kind: 'reset', detail: error?.message ?? 'the server closed the connection' });
    if (!this.#draining) {
      this.#draining = true;
      this.#handler.draining();
    }
    this.#handler.closed(error, this.#left!);
  }

  drained(): void {
    this.#exchange?.reader.drained();
  }

  done(reusable: boolean): void {
    const isLast = !reusable || this.#draining || this.#heads.begun;
    if (isLast) this.#depart('us');
    this.#exchange = undefined;
    if (isLast) {
      if (!this.#draining) {
        this.#draining = true;
        this.#handler.draining();
      }
      this.leave();
      return;
    }
    this.#stream.resume();
  }

  #head(exchange: Exchange, chunk: Buffer): Buffer | undefined {
    const head = this.#heads.push(chunk);
    if (!head) return undefined;
    exchange.answer(head.text);
    return head.rest;
  }

  /** The first word of it counts. */
  #depart(by: Departure['by']): void {
    this.#left ??= { by, isBusy: this.#exchange?.isOver === false };
  }

  #fail(why: Break, error: Error | undefined): void {
    this.leave(error);
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.broke(why);
  }
}

class Exchange implements BodyEvents {
  readonly #client: Http1Client;
  readonly #stream: ByteStream;
  readonly #options: Http1ClientOptions;
  readonly #method: string;
  readonly reader: ResponseReader;
  body: BodyParser | undefined;
  #writer: FramedWriter | undefined;
  #upgrade: string | undefined;
  #sent = false;
  #received = false;
  #reusable = true;
  #gone = false;
  /** A tunnel: both directions end on their own. */
  #tunnel = false;
  /** What is meant for a tunnel that has not been granted: a server that does not grant it would take it for its next request. */
  #early: { readonly chunks: Buffer[]; ended: boolean } | undefined;

  constructor(
    client: Http1Client,
    stream: ByteStream,
    options: Http1ClientOptions,
    method: string,
    reader: ResponseReader,
  ) {
    this.#client = client;
    this.#stream = stream;
    this.#options = options;
    this.#method = method;
    this.reader = reader;
  }

  start(head: RequestHead, end: boolean): void {
    const { method, upgrade } = head;
    this.#upgrade = upgrade;
    const connect = method === 'CONNECT';
    const target = connect ? head.authority : head.path;
    let last = '';
    const text = headerOf(head.headers, 'content-length');
    const length = text === undefined ? undefined : Number(text);
    let chunked = false;
    if (upgrade !== undefined) last = `connection: upgrade\r\nupgrade: ${upgrade}\r\n`;
    else if (!connect && length === undefined) {
      if (!end) {
        chunked = true;
        last = 'transfer-encoding: chunked\r\n';
      } else if (method === 'POST' || method === 'PUT' || method === 'PATCH') last = 'content-length: 0\r\n';
    }
    this.#writer = new FramedWriter(this.#stream, chunked, connect || upgrade !== undefined ? undefined : length);
    const first = `${method} ${target} HTTP/1.1\r\nhost: ${head.authority}\r\n`;
    this.#stream.write(inCase(formatHead(first, head.headers, last), this.#options.headerCase));
    if (connect || upgrade !== undefined) this.#early = { chunks: [], ended: false };
    else if (end) this.#sent = true;
  }

  answer(text: string): void {
    const parsed = parseResponse(text, this.#method, this.#options);
    const { head, framing } = parsed;
    if (head.status < 200 && head.status !== 101) {
      this.reader.informational(head);
      return;
    }
    if (head.status === 101) {
      if (this.#upgrade === undefined || parsed.upgrade !== this.#upgrade) {
        throw new Malformed(502, 'an upgrade that was not asked for');
      }
      this.#tunnel = true;
    } else if (framing.kind === 'rest' && this.#method === 'CONNECT') this.#tunnel = true;
    if (parsed.close || this.#tunnel || this.#upgrade !== undefined || this.#method === 'CONNECT')
      this.#reusable = false;
    if (this.#tunnel) {
      this.body = new RestBody();
      this.reader.response(head, false);
      this.#granted();
      return;
    }
    switch (framing.kind) {
      case 'none':
        this.#complete(() => this.reader.response(head, true));
        return;
      case 'length':
        this.body = new LengthBody(framing.bytes);
        break;
      case 'chunked':
        this.body = new ChunkedBody(this.#options);
        break;
      case 'rest':
        this.body = new RestBody();
    }
    this.reader.response(head, false);
  }

  /** Of the parser. */
  data(chunk: Buffer): void {
    if (!this.#gone) this.reader.data(chunk);
  }

  /** Of the parser. */
  end(trailers?: HeaderList): void {
    this.#complete(() => this.reader.end(this.#options.trailers ? trailers : undefined));
  }

  #complete(tell: () => void): void {
    this.#received = true;
    if (this.#gone) return;
    if (this.#tunnel) {
      tell();
      if (this.#sent) this.#finish(false);
      return;
    }
    // The connection is free before the answer is told, since who hears of it may ask for the next request.
    this.#gone = true;
    this.#client.done(this.#reusable && this.#sent);
    tell();
  }

  #finish(reusable: boolean): void {
    this.#gone = true;
    this.#client.done(reusable);
  }

  broke(why: Break): void {
    if (this.#gone) return;
    this.#gone = true;
    this.reader.broke(why);
  }

  readonly writer: ClientExchange = {
    write: (chunk) => {
      if (this.#gone) return true;
      if (!this.#early) return this.#writer!.write(chunk);
      this.#early.chunks.push(chunk);
      return false;
    },
    end: (trailers) => this.#endRequest(trailers),
    reset: () => this.#reset(),
    // Once this exchange is over, the connection is another one's.
    pause: () => {
      if (!this.#gone) this.#stream.pause();
    },
    resume: () => {
      if (!this.#gone) this.#stream.resume();
    },
  };

  #endRequest(trailers: HeaderList | undefined): void {
    if (this.#gone || this.#sent) return;
    if (this.#early) {
      this.#early.ended = true;
      return;
    }
    this.#sent = true;
    if (!this.#writer!.end(this.#options.trailers ? trailers : undefined, this.#options.headerCase)) {
      this.#reset();
      return;
    }
    if (this.#upgrade !== undefined || this.#method === 'CONNECT') {
      if (this.#received) this.#finish(false);
      else this.#stream.end();
    }
  }

  #granted(): void {
    const early = this.#early;
    this.#early = undefined;
    if (!early || this.#gone) return;
    for (const chunk of early.chunks) this.#writer!.write(chunk);
    if (early.ended) this.#endRequest(undefined);
    else this.reader.drained();
  }

  /** The answer is all there; as with Envoy, who asks for an upgrade never has it all. */
  get isOver(): boolean {
    return this.#received && this.#upgrade === undefined;
  }

  #reset(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#client.leave();
  }
}
