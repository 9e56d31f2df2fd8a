/**
 * Header blocks of SPDY/3 (draft-mbelshe-httpbis-spdy-00, 2.6.10): a count, then names and values, each behind its length in four
 * bytes, all blocks of one direction in one zlib stream.
 */
import { constants, createInflate } from 'node:zlib';
import { dictionary } from './dictionary.ts';
import { SpdyError } from './frames.ts';

export type Headers = ReadonlyMap<string, string>;

/** Bytes of a block when it is unpacked. */
const longestBlock = 64 * 1024;

/** Unpacks the blocks of one connection, which must come in their order, one at a time. */
export class HeaderUnpacker {
  readonly #inflate = createInflate({ dictionary, flush: constants.Z_SYNC_FLUSH });
  #parts: Buffer[] = [];
  #size = 0;
  #fail: ((e: Error) => void) | undefined;

  constructor() {
    this.#inflate.on('readable', () => this.#takeParts());
    this.#inflate.on('error', (e) => this.#fail?.(new SpdyError(`a header block cannot be unpacked: ${e.message}`)));
  }

  /** SpdyError */
  async unpack(block: Buffer): Promise<Headers> {
    this.#parts = [];
    this.#size = 0;
    await new Promise<void>((resolve, reject) => {
      this.#fail = reject;
      if (this.#inflate.destroyed) reject(new SpdyError('an earlier header block was damaged'));
      else this.#inflate.write(block, (e) => (e ? reject(new SpdyError(e.message)) : resolve()));
    });
    this.#takeParts();
    return parseBlock(Buffer.concat(this.#parts));
  }

  #takeParts(): void {
    for (
      let part = this.#inflate.read() as Buffer | null;
      part !== null;
      part = this.#inflate.read() as Buffer | null
    ) {
      this.#size += part.length;
      if (this.#size <= longestBlock) this.#parts.push(part);
      else this.#inflate.destroy(new SpdyError(`a header block has more than ${longestBlock} bytes`));
    }
  }

  close(): void {
    this.#inflate.destroy();
  }
}

/** SpdyError. Names are lower case. */
export function parseBlock(block: Buffer): Headers {
  let at = 0;
  const number = (): number => {
    if (at + 4 > block.length) throw new SpdyError('a header block is cut short');
    at += 4;
    return block.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const length = number();
    if (at + length > block.length) throw new SpdyError('a header block is cut short');
    at += length;
    return block.toString('latin1', at - length, at);
  };
  const headers = new Map<string, string>();
  for (let left = number(); left > 0; left--) {
    const name = text().toLowerCase();
    headers.set(name, text());
  }
  return headers;
}

/** An empty stored block, as Z_SYNC_FLUSH makes: only behind it Go's zlib gives out what came before. */
const flush = [0x00, 0x00, 0x00, 0xff, 0xff];

/** Blocks of one direction, none compressed, so that nothing need be kept between them. */
export class HeaderPacker {
  #first = true;

  /** Names are lower case; less than 64 KiB in all. */
  pack(headers: Readonly<Record<string, string>> = {}): Buffer {
    const block = formatBlock(headers);
    const { length } = block;
    // RFC 1951 3.2.4: a stored block that is not the last. RFC 1950: before the first, a zlib head.
    const head = [0x00, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff];
    const bytes = Buffer.concat([Buffer.from(this.#first ? [0x78, 0x01, ...head] : head), block, Buffer.from(flush)]);
    this.#first = false;
    return bytes;
  }
}

function formatBlock(headers: Readonly<Record<string, string>>): Buffer {
  const number = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const text = (value: string) => {
    const bytes = Buffer.from(value, 'latin1');
    return [number(bytes.length), bytes];
  };
  const entries = Object.entries(headers);
  return Buffer.concat([number(entries.length), ...entries.flatMap(([k, v]) => [...text(k), ...text(v)])]);
}
