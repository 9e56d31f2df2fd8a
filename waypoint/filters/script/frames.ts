/** Messages between a waypoint and a process that runs a module: a length (4 bytes, little-endian), then so many bytes of UTF-8. */

export const lengthBytes = 4;
/** Bytes. */
export const longestFrame = 16_777_216;

export function frame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const bytes = Buffer.allocUnsafe(lengthBytes + length);
  bytes.writeUInt32LE(length);
  bytes.write(text, lengthBytes);
  return bytes;
}

/** Puts chunks together again. */
export class FrameReader {
  #kept: Buffer = Buffer.alloc(0);

  /** Texts that are complete now. undefined: one is longer than `longest`. */
  push(chunk: Buffer, longest: number): readonly string[] | undefined {
    let bytes = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    const texts: string[] = [];
    while (bytes.length >= lengthBytes) {
      const length = bytes.readUInt32LE();
      if (length > longest) return undefined;
      if (bytes.length < lengthBytes + length) break;
      texts.push(bytes.toString('utf8', lengthBytes, lengthBytes + length));
      bytes = bytes.subarray(lengthBytes + length);
    }
    this.#kept = bytes;
    return texts;
  }
}
