/** Many small pieces as few writes. */
import type { Writable } from 'node:stream';

/** Bytes that are gathered between two looks at the client. */
const blockSize = 256 * 1024;

/**
 * Writes all pieces and ends the stream. Two blocks take turns, each filled again when it is written: in memory of its own a list
 * of 30 MB would leave as much behind for the collector. Rejects when the stream closes before.
 */
export async function writeInBlocks(to: Writable, pieces: Iterable<string | Buffer>): Promise<void> {
  const blocks = new Blocks(to);
  let waiting: Buffer[] = [];
  let size = 0;
  for (const piece of pieces) {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
    if (size > 0 && size + bytes.length > blockSize) {
      await blocks.write(waiting, size);
      waiting = [];
      size = 0;
    }
    waiting.push(bytes);
    size += bytes.length;
  }
  await blocks.end(Buffer.concat(waiting, size));
}

interface Block {
  readonly memory: Buffer;
  written: Promise<void>;
}

class Blocks {
  readonly #to: Writable;
  readonly #closed: Promise<never>;
  readonly #blocks: [Block | undefined, Block | undefined] = [undefined, undefined];
  #turn: 0 | 1 = 0;

  constructor(to: Writable) {
    this.#to = to;
    const { promise, reject } = Promise.withResolvers<never>();
    this.#closed = promise;
    // Writes that are under way may never be answered then.
    to.once('close', () => reject(new Error('the stream was closed')));
    promise.catch(() => undefined);
  }

  /** Resolves when the other block can be filled. */
  async write(pieces: readonly Buffer[], size: number): Promise<void> {
    if (size > blockSize) {
      await this.#send(Buffer.concat(pieces, size));
      return;
    }
    const block = this.#blocks[this.#turn] ?? { memory: Buffer.allocUnsafeSlow(blockSize), written: Promise.resolve() };
    this.#blocks[this.#turn] = block;
    let at = 0;
    for (const piece of pieces) at += piece.copy(block.memory, at);
    block.written = this.#send(block.memory.subarray(0, size));
    // Whoever waits hears of it; until then it is nobody's.
    block.written.catch(() => undefined);
    this.#turn = this.#turn === 0 ? 1 : 0;
    await this.#blocks[this.#turn]?.written;
  }

  async end(bytes: Buffer): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#to.end(bytes, () => resolve()));
    await Promise.race([ended, this.#closed]);
  }

  #send(bytes: Buffer): Promise<void> {
    const written = new Promise<void>((resolve, reject) => {
      this.#to.write(bytes, (e) => (e ? reject(e) : resolve()));
    });
    return Promise.race([written, this.#closed]);
  }
}
