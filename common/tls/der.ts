/** DER (X.690), as far as certificates, their requests and revocation lists need it: definite lengths, tags of one byte. */
import { MeshError } from '../core/errors.ts';

export const tag = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  boolean: 0x01,
  /** `[0] EXPLICIT` and `[3] EXPLICIT`. */
  explicit0: 0xa0,
  explicit3: 0xa3,
} as const;

/** One element of the encoding; all are views of the same bytes. */
export interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length, as it is signed and compared. */
  readonly whole: Buffer;
}

/** Walks the elements that stand one after the other. Everything throws MeshError PROTOCOL. */
export class DerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Tag of what comes next; undefined at the end. */
  get next(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** The next element, which must have this tag. */
  take(expected: number): Element {
    const start = this.#at;
    const found = this.#byte();
    if (found !== expected) throw malformed(`tag ${found} where ${expected} belongs`);
    const length = this.#length();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw malformed('an element is longer than what holds it');
    const content = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return { tag: found, content, whole: this.#bytes.subarray(start, end) };
  }

  /** The elements inside the next one. */
  enter(expected: number): DerReader {
    return new DerReader(this.take(expected).content);
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const size = first - 0x80;
    if (size === 0 || size > 4) throw malformed('a length that DER does not have');
    let length = 0;
    for (let i = 0; i < size; i++) length = length * 256 + this.#byte();
    return length;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw malformed('it ends too early');
    this.#at++;
    return byte;
  }
}

/** One element of these parts, at most 64 KiB. */
export function der(type: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([type, ...head]), content]);
}

/** An INTEGER of any size as hexadecimal digits without leading zeros, lower case. */
export function hexInteger(content: Buffer): string {
  return content.toString('hex').replace(/^0+(?=.)/, '');
}

/** Ms since the epoch. UTCTime has two digits for the year, from 1950 to 2049 (RFC 5280 5.1.2.4). */
export function timeOf(reader: DerReader): number {
  const { tag: kind, content } = reader.take(reader.next === tag.generalizedTime ? tag.generalizedTime : tag.utcTime);
  const text = content.toString('latin1');
  const full = kind === tag.utcTime ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text;
  const m = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full);
  if (!m) throw new MeshError('PROTOCOL', `"${text}" is no time`);
  const [year, month, day, hour, minute, second] = m.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

function malformed(what: string): MeshError {
  return new MeshError('PROTOCOL', `the DER is malformed: ${what}`);
}
