/** gRPC's frames: a byte of flags, four of length, the message. */

const prefixLength = 5;

export function frame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(prefixLength);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** What came of a message that was no frame, or more than may be. */
export type FrameFault = 'compressed' | 'too-long';

/** Messages out of chunks. Keeps `most` bytes at most. */
export class FrameReader {
  readonly #most: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Nothing is left of a frame. */
  get isComplete(): boolean {
    return this.#bytes === 0;
  }

  push(chunk: Buffer): readonly Buffer[] | FrameFault {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const messages: Buffer[] = [];
    while (this.#bytes >= prefixLength) {
      const all = this.#joined();
      if (all[0] !== 0) return 'compressed';
      const length = all.readUInt32BE(1);
      if (length > this.#most) return 'too-long';
      if (all.length < prefixLength + length) break;
      messages.push(all.subarray(prefixLength, prefixLength + length));
      this.#chunks = [all.subarray(prefixLength + length)];
      this.#bytes = all.length - prefixLength - length;
    }
    return messages;
  }

  /** Joined once it is needed: when a prefix is there, and when its message is. */
  #joined(): Buffer {
    const first = this.#chunks[0]!;
    if (this.#chunks.length === 1) return first;
    const wanted = first.length >= prefixLength ? prefixLength + first.readUInt32BE(1) : 0;
    if (wanted > this.#bytes) return first;
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}
