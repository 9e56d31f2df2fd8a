/** What came of a request's body while a filter held the request back, and who waits for it. */
import type { BodyAsked, Verdict } from '../../filters/filter.ts';
import type { HeaderList } from '../message.ts';

export class EarlyBody {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #wanted: BodyAsked | undefined;
  trailers: HeaderList | undefined;

  get chunks(): readonly Buffer[] {
    return this.#chunks;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0 && this.trailers === undefined;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  want(wanted: BodyAsked): void {
    this.#wanted = wanted;
  }

  /** What is decided by what has come; undefined: nobody asked, or more has to come. `ended`: nothing will. */
  decide(ended: boolean): Verdict | undefined {
    const wanted = this.#wanted;
    const isMore = this.#bytes > (wanted?.most ?? 0);
    if (!wanted || !(ended || isMore)) return undefined;
    this.#wanted = undefined;
    return wanted.then(Buffer.concat(this.#chunks), !isMore);
  }
}
