/** A body through a stream of node:zlib, either way: nothing waits, whoever follows slowly holds the source back. */
import type { Transform } from 'node:stream';
import type { Headers } from '../../request/headers.ts';
import type { Onward, RequestStage } from '../stream.ts';

/** Bytes that wait for the stream before the source is held back. */
const highWater = 65_536;

export interface CodingEvents {
  took(bytes: number): void;
  /** Before they go on. False: they do not, nor does anything else. */
  gave(bytes: number): boolean;
  failed(): void;
  /** All has gone on, but for the end. `trailers`: of the message. Returns those that go on. */
  ending?(trailers: Headers | undefined): Headers | undefined;
  /** A message without a body stays one. Default false. */
  readonly keepsEmpty?: boolean;
}

export class Coding {
  readonly #onward: Onward;
  readonly #transform: Transform;
  readonly #events: CodingEvents;
  #trailers: Headers | undefined;
  #held = false;
  #isEmpty = true;

  constructor(onward: Onward, transform: Transform, events: CodingEvents) {
    this.#onward = onward;
    this.#transform = transform;
    this.#events = events;
    transform.on('data', (chunk: Buffer) => {
      if (!events.gave(chunk.length)) {
        transform.destroy();
        return;
      }
      onward.data(chunk);
      if (onward.isFull) transform.pause();
      this.#release();
    });
    transform.on('drain', () => this.#release());
    transform.on('end', () => this.#ended());
    transform.on('error', () => events.failed());
  }

  write(chunk: Buffer): void {
    this.#isEmpty = false;
    this.#events.took(chunk.length);
    this.#transform.write(chunk);
    if (this.#held || this.#transform.writableLength < highWater) return;
    this.#held = true;
    this.#onward.pause();
  }

  end(trailers: Headers | undefined): void {
    this.#trailers = trailers;
    if (this.#isEmpty && this.#events.keepsEmpty) this.#ended();
    else this.#transform.end();
  }

  #ended(): void {
    const { ending } = this.#events;
    this.#onward.end(ending ? ending(this.#trailers) : this.#trailers);
  }

  drained(): void {
    this.#transform.resume();
  }

  #release(): void {
    if (!this.#held || this.#transform.writableLength >= highWater) return;
    this.#held = false;
    this.#onward.resume();
  }

  close(): void {
    this.#transform.destroy();
  }
}

/** By the coding, if one was made. */
export function through(
  onward: Onward,
  of: () => Coding | undefined,
): Required<Pick<RequestStage, 'data' | 'end' | 'drained'>> {
  return {
    data(chunk) {
      const coding = of();
      if (coding) coding.write(chunk);
      else onward.data(chunk);
    },
    end(trailers) {
      const coding = of();
      if (coding) coding.end(trailers);
      else onward.end(trailers);
    },
    drained: () => of()?.drained(),
  };
}
