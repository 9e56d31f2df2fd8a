/** One direction of an exchange through the filters that take part in bodies, with back-pressure; exists only where there is one. */
import type { LocalReply } from '../../filters/filter.ts';
import type { Onward, RequestStage, ResponseStage } from '../../filters/stream.ts';
import { Headers } from '../../request/headers.ts';
import type { HeaderList } from '../message.ts';

/** Where a direction begins and ends. */
export interface LineEnds {
  data(chunk: Buffer): void;
  end(trailers: HeaderList | undefined): void;
  reply(reply: LocalReply): void;
  /** Who takes what comes out has enough for now. */
  isFull(): boolean;
  /** `isHeld` has changed: the source is to be held back, or not any more. */
  held(): void;
}

type AnyStage = RequestStage | ResponseStage;

export class Line<S extends AnyStage> {
  readonly #ends: LineEnds;
  /** In the order of the flow. */
  readonly #links: Link<S>[] = [];
  readonly #holders = new Set<Link<S>>();
  #closed = false;

  constructor(ends: LineEnds) {
    this.#ends = ends;
  }

  get isEmpty(): boolean {
    return this.#links.length === 0;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** A stage holds the source back. */
  get isHeld(): boolean {
    return this.#holders.size > 0;
  }

  /** Not in the flow before it has `joined`. */
  link(passHead: (ended: boolean) => void): Link<S> {
    return new Link(this, this.#ends, passHead);
  }

  join(link: Link<S>, where: 'first' | 'last'): void {
    if (where === 'first') this.#links.unshift(link);
    else this.#links.push(link);
  }

  data(chunk: Buffer): void {
    this.give(chunk, 0);
  }

  end(trailers: HeaderList | undefined): void {
    this.giveEnd(trailers && new Headers([...trailers]), 0);
  }

  /** To the stage at that place, or out. */
  give(chunk: Buffer, to: number): void {
    if (this.#closed || chunk.length === 0) return;
    for (let i = to; i < this.#links.length; i++) {
      const { stage } = this.#links[i]!;
      if (!stage?.data) continue;
      stage.data(chunk);
      return;
    }
    this.#ends.data(chunk);
  }

  giveEnd(trailers: Headers | undefined, to: number): void {
    if (this.#closed) return;
    for (let i = to; i < this.#links.length; i++) {
      const { stage } = this.#links[i]!;
      if (!stage?.end) continue;
      stage.end(trailers);
      return;
    }
    this.#ends.end(trailers?.toRaw());
  }

  placeOf(link: Link<S>): number {
    return this.#links.indexOf(link);
  }

  /** For all but itself. */
  isFullFor(link: Link<S>): boolean {
    if (this.#ends.isFull()) return true;
    return this.#holders.size > (this.#holders.has(link) ? 1 : 0);
  }

  hold(link: Link<S>): void {
    if (this.#closed || this.#holders.has(link)) return;
    this.#holders.add(link);
    if (this.#holders.size === 1) this.#ends.held();
  }

  release(link: Link<S>): void {
    if (!this.#holders.delete(link) || this.#closed) return;
    this.drained();
    if (!this.#closed && this.#holders.size === 0) this.#ends.held();
  }

  /** Who takes what comes out takes more, or a stage does: those who wait for it are told, the last first. */
  drained(): void {
    for (let i = this.#links.length - 1; i >= 0 && !this.#closed; i--) {
      const link = this.#links[i]!;
      if (link.stage?.drained && !this.isFullFor(link)) link.stage.drained();
    }
  }

  close(): void {
    this.#closed = true;
    this.#holders.clear();
  }
}

export class Link<S extends AnyStage> implements Onward {
  readonly #line: Line<S>;
  readonly #ends: LineEnds;
  readonly #passHead: (ended: boolean) => void;
  stage: S | undefined;

  constructor(line: Line<S>, ends: LineEnds, passHead: (ended: boolean) => void) {
    this.#line = line;
    this.#ends = ends;
    this.#passHead = passHead;
  }

  head(ended: boolean): void {
    if (!this.#line.isClosed) this.#passHead(ended);
  }

  data(chunk: Buffer): void {
    this.#line.give(chunk, this.#line.placeOf(this) + 1);
  }

  end(trailers?: Headers): void {
    this.#line.giveEnd(trailers, this.#line.placeOf(this) + 1);
  }

  get isFull(): boolean {
    return this.#line.isFullFor(this);
  }

  pause(): void {
    this.#line.hold(this);
  }

  resume(): void {
    this.#line.release(this);
  }

  reply(reply: LocalReply): void {
    if (!this.#line.isClosed) this.#ends.reply(reply);
  }
}
