/** Reads header blocks (RFC 7541) into fields. What breaks its rules ends the connection, since both ends' tables would differ. */
import { ConnectionError, errorCode } from '../wire.ts';
import { type Field, fieldOf, fieldOverhead } from './field.ts';
import { huffmanDecode } from './huffman.ts';
import { staticTable } from './static-table.ts';

const staticFields: readonly Field[] = staticTable.map(([name, value]) => fieldOf(name, value));

/** The fields of one block, as far as the limits let them be kept. */
export class FieldList {
  readonly #maxBytes: number;
  readonly #maxCount: number;
  readonly fields: Field[] = [];
  /** Counted as SETTINGS_MAX_HEADER_LIST_SIZE does, also of what is not kept. */
  #bytes = 0;
  tooLarge = false;

  constructor(maxBytes: number, maxCount: number) {
    this.#maxBytes = maxBytes;
    this.#maxCount = maxCount;
  }

  clear(): void {
    this.fields.length = 0;
    this.#bytes = 0;
    this.tooLarge = false;
  }

  /** Of a block of so many bytes, before it is read: a field may take a single byte of it. */
  mayOverflow(blockBytes: number): boolean {
    return blockBytes * fieldOverhead > this.#maxBytes;
  }

  /** There are at least so many bytes and fields. */
  overflows(bytes: number, count: number): boolean {
    if (bytes > this.#maxBytes || count > this.#maxCount) this.tooLarge = true;
    return this.tooLarge;
  }

  add(field: Field): void {
    if (this.tooLarge) return;
    this.#bytes += field.size;
    if (this.#bytes > this.#maxBytes || this.fields.length >= this.#maxCount) this.tooLarge = true;
    else this.fields.push(field);
  }
}

export class HpackDecoder {
  /** What SETTINGS_HEADER_TABLE_SIZE of ours allows. */
  #allowed = 4_096;
  /** What the peer's encoder uses of it. */
  #capacity = 4_096;
  /** The peer has learnt of less than it uses, and must say that it uses less. */
  #mustShrink = false;
  /** A ring: the newest entry is at `#head`. */
  #ring: (Field | undefined)[] = new Array<Field | undefined>(16).fill(undefined);
  #head = 0;
  #count = 0;
  #bytes = 0;
  #at = 0;
  #end = 0;
  #block: Buffer = Buffer.alloc(0);

  /** The peer acknowledged this size. */
  allow(size: number): void {
    this.#allowed = size;
    this.#mustShrink = size < this.#capacity;
  }

  decode(block: Buffer, into: FieldList): void {
    this.#block = block;
    this.#at = 0;
    this.#end = block.length;
    if (into.mayOverflow(block.length)) this.#measure(into);
    let first = true;
    while (this.#at < this.#end) {
      const byte = block[this.#at]!;
      if ((byte & 0xe0) === 0x20) {
        // Only at the beginning (RFC 7541 4.2).
        if (!first) throw broken('a size of the table within a block');
        this.#resize(this.#integer(0x1f));
        continue;
      }
      if (this.#mustShrink) throw broken('the table is larger than allowed');
      first = false;
      if (byte & 0x80) into.add(this.#lookup(this.#integer(0x7f)));
      else if (byte & 0x40) {
        const field = this.#literal(0x3f);
        this.#insert(field);
        into.add(field);
      } else if (into.tooLarge) this.#skipLiteral();
      else into.add(this.#literal(0x0f));
    }
    this.#block = nothing;
  }

  #resize(size: number): void {
    if (size > this.#allowed) throw broken('a table larger than allowed');
    this.#capacity = size;
    this.#mustShrink = false;
    this.#evict(0);
  }

  #lookup(index: number): Field {
    if (index === 0) throw broken('the index 0');
    if (index <= staticFields.length) return staticFields[index - 1]!;
    const at = index - staticFields.length - 1;
    if (at >= this.#count) throw broken('an index beyond the tables');
    return this.#ring[(this.#head + at) & (this.#ring.length - 1)]!;
  }

  #literal(mask: number): Field {
    const index = this.#integer(mask);
    const name = index === 0 ? this.#text() : this.#lookup(index).name;
    return fieldOf(name, this.#text());
  }

  /**
   * What the block comes to at least, by its lengths alone: what is too large is known to be before a text of it is made and judged, which is
   * most of the work.
   */
  #measure(into: FieldList): void {
    const block = this.#block;
    let bytes = 0;
    let count = 0;
    while (this.#at < this.#end && !into.overflows(bytes, count)) {
      const byte = block[this.#at]!;
      if ((byte & 0xe0) === 0x20) {
        this.#integer(0x1f);
        continue;
      }
      count++;
      bytes += fieldOverhead;
      if (byte & 0x80) this.#integer(0x7f);
      else {
        if (this.#integer(byte & 0x40 ? 0x3f : 0x0f) === 0) bytes += this.#leastText();
        bytes += this.#leastText();
      }
    }
    into.overflows(bytes, count);
    this.#at = 0;
  }

  #leastText(): number {
    const coded = (this.#block[this.#at]! & 0x80) !== 0;
    const start = this.#skipText();
    const length = this.#at - start;
    return coded ? Math.floor(length / mostCoded) : length;
  }

  /** Of a block that is refused, what the table does not keep is not even read. */
  #skipLiteral(): void {
    const index = this.#integer(0x0f);
    if (index === 0) this.#skipText();
    else this.#lookup(index);
    this.#skipText();
  }

  #insert(field: Field): void {
    const size = field.size;
    this.#evict(size);
    if (size > this.#capacity) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = field;
    this.#count++;
    this.#bytes += size;
  }

  /** Makes room for so many bytes; more than there are empties the table (RFC 7541 4.4). */
  #evict(room: number): void {
    while (this.#count > 0 && this.#bytes + room > this.#capacity) {
      const last = (this.#head + this.#count - 1) & (this.#ring.length - 1);
      this.#bytes -= this.#ring[last]!.size;
      this.#ring[last] = undefined;
      this.#count--;
    }
  }

  #grow(): void {
    const old = this.#ring;
    this.#ring = new Array<Field | undefined>(old.length * 2).fill(undefined);
    for (let i = 0; i < this.#count; i++) this.#ring[i] = old[(this.#head + i) & (old.length - 1)];
    this.#head = 0;
  }

  /** With a prefix of the bits of `mask` (RFC 7541 5.1). */
  #integer(mask: number): number {
    const prefix = this.#block[this.#at++]! & mask;
    if (prefix < mask) return prefix;
    let value = mask;
    // Four more bytes are 2^28: beyond everything that is allowed.
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.#at >= this.#end) throw broken('a number is cut off');
      const byte = this.#block[this.#at++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken('a number is too large');
  }

  /** Returns where it begins; `#at` is behind it. */
  #skipText(): number {
    if (this.#at >= this.#end) throw broken('a string is missing');
    const length = this.#integer(0x7f);
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#end) throw broken('a string is cut off');
    return start;
  }

  #text(): string {
    const coded = (this.#block[this.#at]! & 0x80) !== 0;
    const start = this.#skipText();
    if (!coded) return this.#block.toString('latin1', start, this.#at);
    const text = huffmanDecode(this.#block, start, this.#at);
    if (text === undefined) throw broken("a string's coding");
    return text;
  }
}

const nothing = Buffer.alloc(0);
/** Bytes that one character takes at most in the code: its longest is of 30 bits (RFC 7541 appendix B). */
const mostCoded = 4;

function broken(detail: string): ConnectionError {
  return new ConnectionError(errorCode.compression, `HPACK: ${detail}`);
}
