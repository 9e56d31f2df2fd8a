/** Writes the body of an HTTP/1 message in the framing that its head announced. */
import type { ByteStream } from '../../net/byte-stream.ts';
import type { HeaderList } from '../message.ts';
import { formatHead, type HeaderCase, inCase } from './head.ts';

export class FramedWriter {
  readonly #stream: ByteStream;
  readonly #chunked: boolean;
  /** Bytes still owed by Content-Length; undefined: the framing is another. */
  #owed: number | undefined;

  constructor(stream: ByteStream, chunked: boolean, length: number | undefined) {
    this.#stream = stream;
    this.#chunked = chunked;
    this.#owed = length;
  }

  /** False: wait. More than Content-Length announced is cut off, and `end` tells so. */
  write(chunk: Buffer): boolean {
    if (chunk.length === 0) return true;
    if (this.#chunked) {
      this.#stream.write(`${chunk.length.toString(16)}\r\n`);
      this.#stream.write(chunk);
      return this.#stream.write('\r\n');
    }
    if (this.#owed !== undefined) {
      this.#owed -= chunk.length;
      if (this.#owed < 0) return true;
    }
    return this.#stream.write(chunk);
  }

  /** False: the body was not as long as announced, so that the connection must be cut. */
  end(trailers: HeaderList | undefined, headerCase: HeaderCase): boolean {
    if (this.#chunked) this.#stream.write(inCase(formatHead('0\r\n', trailers ?? [], ''), headerCase));
    return this.#owed === undefined || this.#owed === 0;
  }
}

/** The value of one header; undefined: absent. */
export function headerOf(headers: HeaderList, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
  return undefined;
}
