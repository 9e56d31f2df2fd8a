/** The elements of a JSON array as its text comes in pieces: what a stream of requests is in JSON. */

export class ArrayElements {
  readonly #most: number;
  /** Of the element that is open. Only added to, so that many small pieces cost no more than few. */
  #kept = '';
  #depth = 0;
  #inString = false;
  #escaped = false;
  #state: 'before' | 'within' | 'after' = 'before';
  /** A comma came last. */
  #wants = false;
  #any = false;

  /** `most`: characters of an element. */
  constructor(most: number) {
    this.#most = most;
  }

  get isComplete(): boolean {
    return this.#state === 'after';
  }

  /** Their texts. Throws Error: it is no array of objects; TooLong. */
  push(text: string): readonly string[] {
    const out: string[] = [];
    let from = 0;
    for (let at = 0; at < text.length; at++) {
      const char = text[at]!;
      if (this.#depth === 0) {
        this.#between(char);
        if (this.#depth > 0) from = at;
        continue;
      }
      this.#within(char);
      if (this.#depth > 0) continue;
      this.#keep(text.slice(from, at + 1));
      out.push(this.#kept);
      this.#kept = '';
    }
    if (this.#depth > 0) this.#keep(text.slice(from));
    return out;
  }

  #keep(text: string): void {
    this.#kept += text;
    if (this.#kept.length > this.#most) throw new TooLong(`an element is longer than ${this.#most} characters`);
  }

  #between(char: string): void {
    if (char === ' ' || char === '\t' || char === '\n' || char === '\r') return;
    if (this.#state === 'before' && char === '[') this.#state = 'within';
    else if (this.#state === 'within' && char === '{' && (!this.#any || this.#wants)) {
      this.#depth = 1;
      this.#any = true;
      this.#wants = false;
    } else if (this.#state === 'within' && char === ',' && this.#any && !this.#wants) this.#wants = true;
    else if (this.#state === 'within' && char === ']' && !this.#wants) this.#state = 'after';
    else throw new Error('the body is no JSON array of objects');
  }

  #within(char: string): void {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (char === '\\') this.#escaped = true;
      else if (char === '"') this.#inString = false;
    } else if (char === '"') this.#inString = true;
    else if (char === '{' || char === '[') this.#depth++;
    else if (char === '}' || char === ']') this.#depth--;
  }
}

/** An element is longer than may be kept. */
export class TooLong extends Error {}
