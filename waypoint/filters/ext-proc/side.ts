/** One direction of an exchange: what of it the service was sent, what waits for its answer, what goes on. */
import type { Headers } from '../../request/headers.ts';
import type { LocalReply } from '../filter.ts';
import type { Onward } from '../stream.ts';
import type { DirectionMode } from './config.ts';
import type { CommonAnswer, DirectionName, Part } from './messages.ts';
import { applyToBody, type HeaderMutation, type Target, trailersTarget } from './mutate.ts';

/** Bytes that are kept of one direction: as Envoy's buffers hold by default. */
export const mostKept = 1_048_576;

/** What a side asks of its exchange. */
export interface SideEvents {
  /** The service may be sent something, and no failure has ended that. */
  readonly isOpen: boolean;
  /** False: that failed; whatever follows of it was done already. */
  send(direction: DirectionName, part: Part): boolean;
  /** How long an answer may take begins anew; or none is awaited. */
  awaits(direction: DirectionName, isAwaited: boolean): void;
  /** What is wrong with it; undefined: it is done. */
  mutate(mutation: HeaderMutation, target: Target, replaces: boolean): string | undefined;
  clearsRoute(answer: CommonAnswer): void;
  reply(direction: DirectionName, reply: LocalReply): void;
}

/** What an answer of the service came to. */
export type Taken = 'ok' | 'spurious' | { readonly kind: 'invalid'; readonly why: string };

/** The answer that is awaited. */
type Awaited = 'nothing' | 'headers' | 'buffered' | 'streamed' | 'partial' | 'trailers';

interface Chunk {
  readonly bytes: readonly Buffer[];
  readonly ended: boolean;
}

export class Side {
  readonly #name: DirectionName;
  readonly #onward: Onward;
  readonly #events: SideEvents;
  #mode: DirectionMode;
  readonly #keepsLength: boolean;
  #target: Target | undefined;
  #awaited: Awaited = 'nothing';
  /** The head has not gone on. */
  #isHeld = true;
  #bodyless = false;
  /** Of the body, neither sent nor gone on. */
  #kept: Buffer[] = [];
  #keptBytes = 0;
  /** Sent, and not answered. */
  #sent: Chunk[] = [];
  #sentBytes = 0;
  #ended = false;
  #trailers: Headers | undefined;
  /** The service has put another body in its place: what comes of this one is dropped. */
  #replaced = false;
  /** What is left of the body goes on as it comes. */
  #passes = false;
  #isPaused = false;
  #finished = false;

  constructor(name: DirectionName, onward: Onward, mode: DirectionMode, keepsLength: boolean, events: SideEvents) {
    this.#name = name;
    this.#onward = onward;
    this.#mode = mode;
    this.#keepsLength = keepsLength;
    this.#events = events;
  }

  get awaited(): Awaited {
    return this.#awaited;
  }

  set mode(mode: DirectionMode) {
    this.#mode = mode;
  }

  get mode(): DirectionMode {
    return this.#mode;
  }

  head(target: Target, headers: readonly (readonly [string, string])[], ended: boolean): void {
    this.#target = target;
    this.#bodyless = ended;
    if (!this.#events.isOpen) {
      this.#passHead();
      return;
    }
    if (this.#mode.headers) {
      if (!this.#await('headers', { kind: 'headers', headers, ended })) return;
      this.#fitLength();
      return;
    }
    this.#fitLength();
    // Nobody changes it any more.
    this.#passHead();
  }

  data(chunk: Buffer): void {
    if (this.#replaced || this.#finished) return;
    if (this.#passes) {
      this.#onward.data(chunk);
      return;
    }
    this.#kept.push(chunk);
    this.#keptBytes += chunk.length;
    this.#go();
    this.#bound();
  }

  end(trailers: Headers | undefined): void {
    if (this.#replaced || this.#finished) return;
    this.#ended = true;
    this.#trailers = trailers;
    this.#go();
  }

  /** What waits to be decided, as far as it can be. */
  #go(): void {
    if (this.#awaited === 'headers' || this.#awaited === 'trailers' || this.#finished) return;
    if (!this.#events.isOpen || this.#passes) {
      this.#pass();
      return;
    }
    switch (this.#mode.body) {
      case 'none':
        this.#passKept();
        this.#tryEnd();
        return;
      case 'streamed':
        this.#stream();
        return;
      case 'buffered':
        this.#buffer();
        return;
      case 'partial':
        this.#part();
    }
  }

  #stream(): void {
    const last = this.#ended && this.#trailers === undefined;
    if (this.#keptBytes > 0 || last) {
      const chunk = this.#takeKept(last);
      this.#sent.push(chunk);
      this.#sentBytes += bytesOf(chunk);
      if (!this.#await('streamed', { kind: 'body', body: Buffer.concat(chunk.bytes), ended: last })) return;
    }
    this.#tryEnd();
  }

  #buffer(): void {
    if (this.#awaited !== 'nothing' || !this.#ended) return;
    if (this.#keptBytes > 0 || this.#trailers === undefined) this.#sendAll('buffered');
    else this.#tryEnd();
  }

  #part(): void {
    if (this.#awaited !== 'nothing') return;
    if (!this.#ended && this.#keptBytes <= mostKept) return;
    if (this.#keptBytes > 0 || this.#trailers === undefined) this.#sendAll('partial');
    else this.#tryEnd();
  }

  #sendAll(as: 'buffered' | 'partial'): void {
    const last = this.#ended && this.#trailers === undefined;
    const chunk = this.#takeKept(last);
    this.#sent.push(chunk);
    this.#sentBytes += bytesOf(chunk);
    this.#await(as, { kind: 'body', body: Buffer.concat(chunk.bytes), ended: last });
  }

  /** The end, once all of the body has gone on: by way of the service, where it wants the trailers. */
  #tryEnd(): void {
    if (!this.#ended || this.#sent.length > 0 || this.#finished) return;
    if (this.#trailers && this.#mode.trailers && this.#events.isOpen) {
      this.#await('trailers', { kind: 'trailers', trailers: this.#trailers });
      return;
    }
    this.#finish();
  }

  #await(what: Exclude<Awaited, 'nothing'>, part: Part): boolean {
    this.#awaited = what;
    if (!this.#events.send(this.#name, part)) return false;
    this.#events.awaits(this.#name, true);
    return true;
  }

  #answered(): void {
    this.#awaited = this.#sent.length > 0 ? this.#awaited : 'nothing';
    this.#events.awaits(this.#name, this.#sent.length > 0);
  }

  // What the service says.

  headersTold(answer: CommonAnswer): Taken {
    if (this.#awaited !== 'headers') return 'spurious';
    const wrong = answer.headers && this.#events.mutate(answer.headers, this.#target!, answer.replaces);
    if (wrong !== undefined) return { kind: 'invalid', why: wrong };
    this.#events.clearsRoute(answer);
    this.#answered();
    if (answer.replaces) this.#replace(answer);
    else this.#afterHead();
    return 'ok';
  }

  #replace({ body }: CommonAnswer): void {
    this.#mode = { ...this.#mode, body: 'none', trailers: false };
    if (body.kind === 'none') {
      this.#passHead();
      this.#go();
      return;
    }
    this.#target!.headers.remove('content-length');
    const bytes = applyToBody(body, []);
    this.#replaced = true;
    this.#kept = [];
    this.#isHeld = false;
    this.#onward.head(bytes.length === 0);
    for (const one of bytes) this.#onward.data(one);
    if (bytes.length > 0) this.#onward.end();
    this.#finished = true;
    this.#drain();
  }

  #afterHead(): void {
    const wantsBody = !this.#bodyless && this.#mode.body !== 'none';
    if (this.#bodyless || !wantsBody) {
      this.#passHead();
      if (!this.#bodyless) this.#go();
      return;
    }
    this.#fitLength();
    // All of it is there: it goes as one, and the head waits for that.
    if (this.#ended && this.#keptBytes > 0) {
      this.#sendAll('buffered');
      return;
    }
    if (this.#mode.body === 'streamed') this.#passHead();
    this.#go();
    this.#bound();
  }

  bodyTold(answer: CommonAnswer): Taken {
    const how = this.#awaited;
    if (how !== 'buffered' && how !== 'streamed' && how !== 'partial') return 'spurious';
    const chunk = this.#sent.shift()!;
    this.#sentBytes -= bytesOf(chunk);
    if (how !== 'streamed') {
      const { headers, body } = answer;
      if (headers && this.#isHeld) {
        const wrong = this.#events.mutate(headers, this.#target!, false);
        if (wrong !== undefined) return { kind: 'invalid', why: wrong };
      }
      const length = this.#isHeld ? this.#target!.headers.first('content-length') : undefined;
      if (how === 'buffered' && body.kind !== 'none' && length !== undefined) {
        const bytes = body.kind === 'replace' ? body.body.length : 0;
        if (String(bytes) !== length)
          return { kind: 'invalid', why: 'mismatch between content length and the length of the mutated body' };
      }
      this.#events.clearsRoute(answer);
    }
    this.#answered();
    const bytes = applyToBody(answer.body, chunk.bytes);
    this.#passHead();
    for (const one of bytes) this.#onward.data(one);
    if (how === 'partial') this.#passes = true;
    this.#drain();
    if (how === 'streamed') this.#tryEnd();
    else if (this.#passes) this.#pass();
    else this.#tryEnd();
    return 'ok';
  }

  trailersTold(headers: HeaderMutation | undefined): Taken {
    if (this.#awaited !== 'trailers') return 'spurious';
    const wrong = headers && this.#events.mutate(headers, trailersTarget(this.#trailers!), false);
    if (wrong !== undefined) return { kind: 'invalid', why: wrong };
    this.#answered();
    this.#finish();
    return 'ok';
  }

  /** The service is asked nothing any more: all that waits goes on as it is. */
  release(): void {
    if (!this.#target || this.#finished) return;
    this.#awaited = 'nothing';
    this.#events.awaits(this.#name, false);
    this.#passHead();
    if (this.#bodyless) return;
    const sent = this.#sent;
    this.#sent = [];
    for (const { bytes } of sent) for (const one of bytes) this.#onward.data(one);
    this.#pass();
    this.#drain();
  }

  #pass(): void {
    this.#passes = true;
    this.#passHead();
    this.#passKept();
    if (this.#ended) this.#tryEnd();
  }

  #passHead(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#onward.head(this.#bodyless);
    if (this.#bodyless) this.#finished = true;
  }

  #passKept(): void {
    this.#passHead();
    const kept = this.#kept;
    this.#kept = [];
    this.#keptBytes = 0;
    for (const chunk of kept) this.#onward.data(chunk);
  }

  #finish(): void {
    if (this.#finished) return;
    this.#passHead();
    if (this.#finished) return;
    this.#finished = true;
    this.#onward.end(this.#trailers);
  }

  #takeKept(ended: boolean): Chunk {
    const chunk = { bytes: this.#kept, ended };
    this.#kept = [];
    this.#keptBytes = 0;
    return chunk;
  }

  /** A body that changes has another length than was said; one that is kept whole is refused where it is too long. */
  #bound(): void {
    if (this.#keptBytes + this.#sentBytes <= mostKept) return;
    if (this.#mode.body === 'buffered' && this.#awaited === 'nothing' && this.#events.isOpen && !this.#passes) {
      this.#events.reply(this.#name, this.#name === 'request' ? requestTooLarge : responseTooLarge);
      return;
    }
    if (this.#passes || this.#isPaused) return;
    this.#isPaused = true;
    this.#onward.pause();
  }

  #drain(): void {
    if (!this.#isPaused || this.#keptBytes + this.#sentBytes > mostKept / 2) return;
    this.#isPaused = false;
    this.#onward.resume();
  }

  #fitLength(): void {
    const { body, headers } = this.#mode;
    const changes = body === 'streamed' || body === 'partial' || (body === 'buffered' && !headers);
    if (changes && !this.#keepsLength && !this.#bodyless) this.#target!.headers.remove('content-length');
  }
}

function bytesOf({ bytes }: Chunk): number {
  return bytes.reduce((sum, one) => sum + one.length, 0);
}

const requestTooLarge: LocalReply = {
  kind: 'reply',
  status: 413,
  headers: [],
  body: 'Payload Too Large',
  details: 'request_payload_too_large',
};
const responseTooLarge: LocalReply = {
  kind: 'reply',
  status: 500,
  headers: [],
  body: 'Internal Server Error',
  details: 'response_payload_too_large',
};
