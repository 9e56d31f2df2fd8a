/** The server's end of HTTP/2. */
import type { Clock, Timer } from '../../../common/core/clock.ts';
import { createResetGuard, type ResetGuard } from '../../../common/hbone/reset-guard.ts';
import type { ByteStream } from '../../net/byte-stream.ts';
import type { Departure } from '../../net/departure.ts';
import type { BodyReader, RequestHead, ResponseHead, ServerExchange } from '../message.ts';
import type { ServerCodec, ServerHandler } from '../server-codec.ts';
import { Endpoint } from './endpoint.ts';
import { MalformedHead, type ReadRequest, readRequest, readTrailers } from './heads.ts';
import type { FieldList } from './hpack/decoder.ts';
import {
  begunAtOnce,
  firstTrust,
  type Http2Settings,
  largeNuisance,
  lostAtOnce,
  mostTrust,
  patience,
} from './limits.ts';
import { Stream, type StreamHost } from './stream.ts';
import { ConnectionError, errorCode, maxWindow, preface, setting } from './wire.ts';

export interface Http2ServerOptions extends Http2Settings {
  /** Extended CONNECT (RFC 8441) is offered. */
  readonly connect: boolean;
}

/** `announced`: GOAWAY, by which no stream is refused yet; `final`: with the last one that is answered. */
type Drain = 'no' | 'announced' | 'final';

export class Http2Server extends Endpoint<ServerStream> implements ServerCodec {
  readonly #options: Http2ServerOptions;
  readonly #handler: ServerHandler;
  readonly #resets: ResetGuard = createResetGuard();
  protected readonly lostAtOnce = lostAtOnce;
  /** Requests that began since others had their turn, and those that wait for theirs. */
  #begun = 0;
  /** Requests that may yet begin beside others of their turn. */
  #trust = firstTrust;
  #waiting: ServerStream[] = [];
  #preface: Buffer | undefined = Buffer.alloc(0);
  #drain: Drain = 'no';
  #draining: Timer | undefined;

  constructor(stream: ByteStream, options: Http2ServerOptions, clock: Clock, handler: ServerHandler) {
    super(stream, options, clock);
    this.#options = options;
    this.#handler = handler;
    this.start(false, [
      [setting.maxConcurrentStreams, options.streams],
      ...(options.connect ? ([[setting.enableConnectProtocol, 1]] as const) : []),
    ]);
  }

  /** In two steps: a GOAWAY that refuses nothing, so that requests on their way still come, then one that names the last (RFC 9113 6.8). */
  drain(): void {
    if (this.#drain !== 'no' || this.over) return;
    this.#drain = 'announced';
    this.goaway(maxWindow, errorCode.noError, '');
    const last = () => this.#drainFinally();
    this.#draining = this.clock.after(patience, last);
    this.ping(last);
  }

  #drainFinally(): void {
    if (this.#drain === 'final' || this.over) return;
    this.#draining?.cancel();
    this.#drain = 'final';
    this.goaway(this.lastPeer, errorCode.noError, '');
    if (this.streams.size === 0) this.#finish();
  }

  #finish(): void {
    this.finish();
    this.#handler.ending();
  }

  protected override take(chunk: Buffer): void {
    if (!this.#preface) {
      super.take(chunk);
      return;
    }
    const seen = this.#preface.length === 0 ? chunk : Buffer.concat([this.#preface, chunk]);
    const compared = Math.min(seen.length, preface.length);
    if (seen.compare(preface, 0, compared, 0, compared) !== 0) {
      throw new ConnectionError(errorCode.protocol, 'the connection does not begin as HTTP/2');
    }
    if (seen.length < preface.length) {
      this.#preface = seen;
      return;
    }
    this.#preface = undefined;
    if (seen.length > preface.length) super.take(seen.subarray(preface.length));
  }

  protected onBlockBegins(id: number, complete: boolean): void {
    if (id % 2 === 0) throw new ConnectionError(errorCode.protocol, "a client's stream with an even number");
    if (!this.streams.has(id)) {
      if (id <= this.lastPeer) this.refuseClosed(id);
      else if (!complete && this.#drain !== 'final') this.#handler.begun();
    }
  }

  protected onBlock(id: number, list: FieldList, end: boolean, dependsOn: number | undefined): void {
    if (list.tooLarge) this.nuisance(largeNuisance);
    const stream = this.streams.get(id);
    if (stream) {
      stream.takeTrailers(list, end);
      return;
    }
    // Of a stream that we reset, or after the last one that is answered: it was read for the sake of the table alone.
    if (id <= this.lastPeer || this.#drain === 'final') return;
    this.lastPeer = id;
    if (this.streams.size >= this.#options.streams) {
      // Who has acknowledged the limit and goes beyond it does so by intent.
      this.nuisance(this.acknowledged ? 100 : 1);
      this.refuse(id, errorCode.refusedStream);
      return;
    }
    const [send, receive] = this.windows;
    const open = (read: ReadRequest | undefined) => {
      const opened = new ServerStream(this, id, this.clock.now(), send, receive, read, end);
      this.streams.set(id, opened);
      return opened;
    };
    const bad = list.tooLarge
      ? 'a head larger than allowed'
      : dependsOn === id
        ? 'a stream that depends on itself'
        : '';
    let read: ReadRequest;
    try {
      if (bad !== '') throw new MalformedHead(bad);
      read = readRequest(list.fields, this.#options.connect);
      if (end && read.length !== undefined && read.length > 0) throw new MalformedHead('content-length without a body');
    } catch (error) {
      if (!(error instanceof MalformedHead)) throw error;
      this.#handler.malformed(400, error.message, true);
      open(undefined).offend(list.tooLarge ? errorCode.enhanceYourCalm : errorCode.protocol, error.message);
      return;
    }
    const exchange = open(read);
    if (end) exchange.headEnded();
    this.#begin(exchange);
  }

  #begin(exchange: ServerStream): void {
    if (this.#begun === 0 || (this.#begun < begunAtOnce && this.#trust > 0)) {
      this.#begun++;
      if (this.#trust > 0) this.#trust--;
      this.#handler.exchange(exchange);
      return;
    }
    // Nobody reads it yet.
    exchange.pause();
    if (this.#waiting.push(exchange) === 1) setImmediate(() => this.#beginMore());
  }

  #beginMore(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#begun = 0;
    for (const exchange of waiting) {
      if (this.over || exchange.closed) continue;
      exchange.resume();
      this.#begin(exchange);
    }
  }

  /** As a stream sees it. */
  respond(id: number, status: number, headers: ResponseHead['headers'], end: boolean): void {
    if (status >= 200 && this.#trust < mostTrust) this.#trust++;
    if (!this.over) this.sendHeaders(id, [':status', String(status)], headers, end);
  }

  protected onSettings(): void {}

  /** A client's GOAWAY is about streams that a server opens, and we open none. */
  protected onGoaway(): void {}

  protected onReset(stream: ServerStream, code: number): void {
    stream.lost({ kind: 'reset', detail: `the client reset the stream (${code})` });
  }

  protected onStreamClosed(stream: ServerStream, byPeer: boolean): void {
    // Who got an answer paid for it: short tunnels are reset by habit.
    const premature = byPeer && !stream.answered;
    if (this.#resets.ended(stream.opened, this.clock.now(), premature) || this.over) return;
    this.fail(new ConnectionError(errorCode.enhanceYourCalm, 'the client opens and resets streams too fast'));
  }

  protected onEmpty(): void {
    if (this.over) return;
    if (this.#drain === 'final') this.#finish();
    else this.#handler.idle();
  }

  protected onClosed(error: Error | undefined, departure: Departure): void {
    this.#draining?.cancel();
    this.#handler.closed(error, departure);
  }

  protected isIdle(id: number): boolean {
    return id % 2 === 0 || id > this.lastPeer;
  }
}

class ServerStream extends Stream implements ServerExchange {
  readonly #server: Http2Server;
  readonly request: RequestHead;
  readonly complete: boolean;
  #responded = false;
  #tunnel = false;

  constructor(
    server: Http2Server & StreamHost,
    id: number,
    now: number,
    send: number,
    receive: number,
    read: ReadRequest | undefined,
    complete: boolean,
  ) {
    super(server, id, now, send, receive);
    this.#server = server;
    this.request = read?.head ?? nobody;
    this.complete = complete;
    // What follows a CONNECT is no body.
    if (this.request.method !== 'CONNECT' && this.request.upgrade === undefined) this.expect(read?.length);
    else this.hold();
  }

  get answered(): boolean {
    return this.#responded;
  }

  takeTrailers(list: FieldList, end: boolean): void {
    if (this.remoteEnded) this.offend(errorCode.streamClosed, 'HEADERS after the end of the stream');
    else if (!end) this.offend(errorCode.protocol, 'trailers without an end');
    else if (list.tooLarge) this.offend(errorCode.enhanceYourCalm, 'trailers larger than allowed');
    else this.#trailers(list);
  }

  #trailers(list: FieldList): void {
    try {
      if (!this.receiveEnd(readTrailers(list.fields))) {
        this.offend(errorCode.protocol, 'a body shorter than its Content-Length');
      }
    } catch (error) {
      if (!(error instanceof MalformedHead)) throw error;
      this.offend(errorCode.protocol, error.message);
    }
  }

  read(reader: BodyReader): void {
    this.attach(reader);
  }

  informational({ status, headers }: ResponseHead): void {
    if (!this.closed && !this.#responded) this.#server.respond(this.id, status, headers, false);
  }

  respond({ status, headers }: ResponseHead, end: boolean): void {
    if (this.closed || this.#responded) return;
    this.#responded = true;
    const { method, upgrade } = this.request;
    const granted = status === 101 && upgrade !== undefined;
    this.#tunnel = granted || (method === 'CONNECT' && status >= 200 && status < 300);
    this.#server.respond(this.id, granted ? 200 : status, headers, end);
    this.release();
    if (end) this.headSentEnd();
  }

  /** A client that still sends is told that there is no need to (RFC 9113 8.1). */
  protected override sent(): void {
    if (!this.remoteEnded && !this.#tunnel) this.finish(errorCode.noError);
  }

  protected broken(): boolean {
    return this.request !== nobody;
  }
}

const nobody: RequestHead = {
  method: '',
  path: undefined,
  authority: '',
  scheme: undefined,
  headers: [],
  upgrade: undefined,
  version: 'HTTP/2',
};
