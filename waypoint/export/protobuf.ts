/**
 * Writes messages of protobuf's wire format field by field: exports are made for each request, and a library that goes through objects
 * takes ten times as long. What is empty or 0 is left out, as proto3 does.
 */

const enough = 1_024;

export class ProtoWriter {
  #bytes = Buffer.allocUnsafe(enough);
  #at = 0;

  /** What was written; the writer is empty again. */
  finish(): Buffer {
    return Buffer.from(this.lend());
  }

  /** As `finish`, but whoever wants to keep it copies it: it lasts until more is written. */
  lend(): Buffer {
    const made = this.#bytes.subarray(0, this.#at);
    this.#at = 0;
    return made;
  }

  text(field: number, value: string): void {
    if (value !== '') this.textAlways(field, value);
  }

  /** For members of a oneof, where an empty text says something. */
  textAlways(field: number, value: string): void {
    // No character takes more than 3 bytes of UTF-8.
    this.#reserve(value.length * 3 + 20);
    this.#varint((field << 3) | 2);
    const size = sizeOfLength(value.length);
    if (size === sizeOfLength(value.length * 3)) {
      // So many bytes the length takes, whatever the characters are.
      const written = this.#bytes.write(value, this.#at + size, 'utf8');
      this.#varint(written);
      this.#at += written;
      return;
    }
    this.#varint(Buffer.byteLength(value));
    this.#at += this.#bytes.write(value, this.#at, 'utf8');
  }

  bytes(field: number, value: Uint8Array): void {
    if (value.length === 0) return;
    this.#reserve(value.length + 20);
    this.#varint((field << 3) | 2);
    this.#varint(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** Fields that were written before, with their numbers. */
  fields(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Bytes as hex digits say them. */
  hex(field: number, digits: string): void {
    const length = digits.length / 2;
    if (length === 0) return;
    this.#reserve(length + 20);
    this.#varint((field << 3) | 2);
    this.#varint(length);
    this.#at += this.#bytes.write(digits, this.#at, 'hex');
  }

  /** Whole, from 0 to 2^53: uint32, uint64, int64, enums. */
  number(field: number, value: number): void {
    if (value !== 0) this.numberAlways(field, value);
  }

  numberAlways(field: number, value: number): void {
    this.#reserve(20);
    this.#varint((field << 3) | 0);
    this.#varint(value);
  }

  flag(field: number, value: boolean): void {
    if (value) this.number(field, 1);
  }

  double(field: number, value: number): void {
    if (value !== 0) this.doubleAlways(field, value);
  }

  doubleAlways(field: number, value: number): void {
    this.#reserve(20);
    this.#varint((field << 3) | 1);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  /** A time as fixed64 in ns, of whole us from 0 to 2^53: in two halves, for a BigInt is slow to make. */
  micros(field: number, micros: number): void {
    if (micros === 0) return;
    this.#reserve(20);
    this.#varint((field << 3) | 1);
    const low = (micros % 2 ** 32) * 1_000;
    const high = Math.floor(micros / 2 ** 32) * 1_000 + Math.floor(low / 2 ** 32);
    this.#at = this.#bytes.writeUInt32LE(low % 2 ** 32, this.#at);
    this.#at = this.#bytes.writeUInt32LE(high, this.#at);
  }

  fixed32(field: number, value: number): void {
    if (value === 0) return;
    this.#reserve(20);
    this.#varint((field << 3) | 5);
    this.#at = this.#bytes.writeUInt32LE(value, this.#at);
  }

  /** A message within, which is there also when nothing is written to it. */
  message(field: number, write: () => void): void {
    this.#reserve(20);
    this.#varint((field << 3) | 2);
    const start = this.#at + 1;
    this.#at = start;
    write();
    const length = this.#at - start;
    // Most take one byte for their length; what is longer moves up.
    const extra = sizeOfLength(length) - 1;
    if (extra > 0) {
      this.#reserve(extra);
      this.#bytes.copyWithin(start + extra, start, start + length);
    }
    this.#at = start - 1;
    this.#varint(length);
    this.#at = start + extra + length;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 127) {
      // Beyond 2^31 bits cannot be shifted.
      this.#bytes[this.#at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }

  #reserve(more: number): void {
    const needed = this.#at + more;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}

/** Bytes of a varint. */
function sizeOfLength(length: number): number {
  let size = 1;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) size++;
  return size;
}
