/** The elements of a JSON array as its text comes in pieces: what a stream of requests is in JSON. */

export class ArrayElements {
  readonly #most: number;
  #text = '';
  #at = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #state: 'before' | 'within' | 'after' = 'before';
  /** A comma came last. */
  #wants = false;
  #any = false;

  /** `most`: characters of an element that is not complete. */
  constructor(most: number) {
    this.#most = most;
  }

  get isComplete(): boolean {
    return this.#state === 'after';
  }

  /** Their texts. Throws Error: it is no array of objects, or one is too long. */
  push(text: string): readonly string[] {
    this.#text += text;
    const out: string[] = [];
    for (; this.#at < this.#text.length; this.#at++) {
      const element = this.#step(this.#text[this.#at]!);
      if (element !== undefined) out.push(element);
    }
    if (this.#text.length > this.#most) throw new TooLong(`an element is longer than ${this.#most} characters`);
    return out;
  }

  #step(char: string): string | undefined {
    if (this.#depth > 0) return this.#within(char);
    const isBlank = char === ' ' || char === '\t' || char === '\n' || char === '\r';
    if (!isBlank) this.#between(char);
    if (this.#depth === 0) this.#drop();
    return undefined;
  }

  #between(char: string): void {
    if (this.#state === 'before' && char === '[') this.#state = 'within';
    else if (this.#state === 'within' && char === '{' && (!this.#any || this.#wants)) {
      this.#depth = 1;
      this.#any = true;
      this.#wants = false;
    } else if (this.#state === 'within' && char === ',' && this.#any && !this.#wants) this.#wants = true;
    else if (this.#state === 'within' && char === ']' && !this.#wants) this.#state = 'after';
    else throw new Error('the body is no JSON array of objects');
  }

  #within(char: string): string | undefined {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (char === '\\') this.#escaped = true;
      else if (char === '"') this.#inString = false;
      return undefined;
    }
    if (char === '"') this.#inString = true;
    else if (char === '{' || char === '[') this.#depth++;
    else if (char === '}' || char === ']') this.#depth--;
    if (this.#depth > 0) return undefined;
    const element = this.#text.slice(0, this.#at + 1);
    this.#drop();
    return element;
  }

  #drop(): void {
    this.#text = this.#text.slice(this.#at + 1);
    this.#at = -1;
  }
}

/** An element has no end within what may be kept. */
export class TooLong extends Error {}
