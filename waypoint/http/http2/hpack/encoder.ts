/**
 * Writes header blocks (RFC 7541). Values that come again are put into the dynamic table, one for each name at a time; a name whose values
 * did not come again is written out from then on. Strings are not Huffman coded: it would cost more CPU than the bytes are worth.
 */
import { fieldOverhead } from './field.ts';
import { staticTable } from './static-table.ts';

/** Bytes of the dynamic table that we use where the peer allows as much. */
const tableBytes = 4_096;
/** Names of one connection that are remembered: peers choose them. */
const namesKept = 256;
/** Values put into the table for a name without one of them coming again, after which no more are. */
const patience = 4;

/** Never in a table, here or further on: who can make requests on the same connection could guess at them (RFC 7541 7.1). */
const secret = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie']);
/** Have another value each time. */
const fleeting = new Set([':path', 'content-length', 'x-request-id', 'traceparent']);
/** Of a connection, for which HTTP/2 has no place (RFC 9113 8.2.2). */
const ofConnection = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host']);

interface StaticName {
  readonly index: number;
  /** Index by value. */
  readonly values: Map<string, number>;
}

const staticNames = new Map<string, StaticName>();
for (const [i, [name, value]] of staticTable.entries()) {
  const known = staticNames.get(name) ?? { index: i + 1, values: new Map<string, number>() };
  staticNames.set(name, known);
  if (value !== '') known.values.set(value, i + 1);
}

type Way = 'index' | 'literal' | 'never' | 'drop';

interface Name {
  readonly static: StaticName | undefined;
  way: Way;
  /** The value in the dynamic table, and how many insertions there were with it. */
  value: string | undefined;
  inserted: number;
  unused: number;
}

function nameOf(name: string): Name {
  const way = ofConnection.has(name) ? 'drop' : secret.has(name) ? 'never' : fleeting.has(name) ? 'literal' : 'index';
  return { static: staticNames.get(name), way, value: undefined, inserted: 0, unused: 0 };
}

export class HpackEncoder {
  readonly #names = new Map<string, Name>();
  #capacity = tableBytes;
  /** To be told at the beginning of the next block: the least that it was meanwhile, and what it is. */
  #resized: { least: number } | undefined;
  /** Sizes of the entries in the order of their insertion, from `#oldest`. */
  #sizes: number[] = [];
  #oldest = 0;
  #bytes = 0;
  #insertions = 0;
  /** What has been written is `out` up to `length`. */
  out: Buffer = Buffer.allocUnsafeSlow(1_024);
  length = 0;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  limit(size: number): void {
    const capacity = Math.min(size, tableBytes);
    if (capacity === this.#capacity && !this.#resized) return;
    this.#resized = { least: Math.min(this.#resized?.least ?? this.#capacity, capacity) };
    this.#capacity = capacity;
    this.#evict(0);
  }

  begin(): void {
    this.length = 0;
    if (!this.#resized) return;
    const { least } = this.#resized;
    this.#resized = undefined;
    this.#room(16);
    if (least < this.#capacity) this.#integer(0x20, 0x1f, least);
    this.#integer(0x20, 0x1f, this.#capacity);
  }

  /** Names in lower case. Headers of a connection are left out, and TE but for `trailers`. */
  field(name: string, value: string): void {
    const known = this.#name(name);
    if (known.way === 'drop' || (name === 'te' && value !== 'trailers')) return;
    this.#room(name.length + value.length + 16);
    const fixed = known.static?.values.get(value);
    if (fixed !== undefined) {
      this.#integer(0x80, 0x7f, fixed);
      return;
    }
    const present = known.value !== undefined && this.#insertions - known.inserted < this.#sizes.length - this.#oldest;
    const newest = staticTable.length + 1;
    if (present && known.value === value) {
      known.unused = 0;
      this.#integer(0x80, 0x7f, newest + this.#insertions - known.inserted);
      return;
    }
    const named = known.static?.index ?? (present ? newest + this.#insertions - known.inserted : 0);
    if (known.way === 'index') {
      this.#integer(0x40, 0x3f, named);
      this.#insert(known, name, value);
    } else this.#integer(known.way === 'never' ? 0x10 : 0, 0x0f, named);
    if (named === 0) this.#text(name);
    this.#text(value);
  }

  #name(name: string): Name {
    let known = this.#names.get(name);
    if (known) return known;
    known = nameOf(name);
    if (this.#names.size < namesKept) this.#names.set(name, known);
    else if (known.way === 'index') known.way = 'literal';
    return known;
  }

  #insert(known: Name, name: string, value: string): void {
    const size = name.length + value.length + fieldOverhead;
    this.#evict(size);
    if (++known.unused >= patience) known.way = 'literal';
    known.value = undefined;
    if (size > this.#capacity) return;
    this.#sizes.push(size);
    this.#bytes += size;
    known.value = value;
    known.inserted = ++this.#insertions;
  }

  #evict(room: number): void {
    while (this.#oldest < this.#sizes.length && this.#bytes + room > this.#capacity) {
      this.#bytes -= this.#sizes[this.#oldest++]!;
    }
    if (this.#oldest > 256) {
      this.#sizes = this.#sizes.slice(this.#oldest);
      this.#oldest = 0;
    }
  }

  /** `out` has room for so many bytes more. */
  #room(bytes: number): void {
    if (this.length + bytes <= this.out.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * (this.length + bytes));
    this.out.copy(larger, 0, 0, this.length);
    this.out = larger;
  }

  #integer(pattern: number, mask: number, value: number): void {
    if (value < mask) {
      this.out[this.length++] = pattern | value;
      return;
    }
    this.out[this.length++] = pattern | mask;
    let rest = value - mask;
    for (; rest >= 128; rest >>>= 7) this.out[this.length++] = (rest & 0x7f) | 0x80;
    this.out[this.length++] = rest;
  }

  #text(text: string): void {
    this.#integer(0, 0x7f, text.length);
    // A call of Node's costs more than a short loop.
    if (text.length > 24) this.length += this.out.write(text, this.length, 'latin1');
    else for (let i = 0; i < text.length; i++) this.out[this.length++] = text.charCodeAt(i);
  }
}
