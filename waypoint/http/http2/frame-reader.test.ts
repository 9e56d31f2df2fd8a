/** Frames are the same however their bytes come, and no bytes do more than end their connection. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { frame } from '../../../common/testing/h2-frames.ts';
import { until } from '../../../common/testing/until.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { ConnectionError, errorCode, flag, frameType, headBytes, maxFrame } from './wire.ts';

/** What was told, pieces of DATA put together: their cuts are those of the bytes. */
class Told implements FrameSink {
  over = false;
  sated = false;
  readonly lines: string[] = [];
  /** Of the DATA under way: its bytes, and how much of it counted. */
  #data: Buffer[] = [];
  #counted = 0;
  /** Ends after so many frames. */
  readonly #most: number;
  /** Has enough after so many. */
  readonly #meal: number;

  constructor(most = Number.POSITIVE_INFINITY, meal = Number.POSITIVE_INFINITY) {
    this.#most = most;
    this.#meal = meal;
  }

  frame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void {
    assert.notEqual(type, frameType.data);
    this.#line(`${type} ${flags} ${stream} ${bytes.toString('hex', start, end)}`);
  }

  dataBegins(stream: number, flags: number, empty: boolean): void {
    this.#data = [];
    this.#counted = 0;
    this.#line(`data ${stream} ${flags} ${empty}`);
  }

  data(_stream: number, chunk: Buffer | undefined, counted: number): void {
    assert.ok(counted > 0 && (chunk === undefined || chunk.length === counted));
    if (chunk) this.#data.push(Buffer.from(chunk));
    this.#counted += counted;
  }

  dataEnds(stream: number, flags: number): void {
    this.#line(`ends ${stream} ${flags} ${this.#counted} ${Buffer.concat(this.#data).toString('hex')}`);
  }

  #line(line: string): void {
    this.lines.push(line);
    if (this.lines.length >= this.#most) this.over = true;
    if (this.lines.length % this.#meal === 0) this.sated = true;
  }
}

/** What is told of them, and how it ends: a code where the connection does. */
function read(chunks: readonly Buffer[], sink = new Told()): readonly string[] {
  const reader = new FrameReader(sink);
  try {
    for (const chunk of chunks) {
      reader.push(chunk);
      while (sink.sated) {
        sink.sated = false;
        reader.push(Buffer.alloc(0));
      }
    }
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    return [...sink.lines, `error ${error.code}`];
  }
  return sink.lines;
}

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...new Set(cuts.map((c) => c % (bytes.length + 1)))].sort((a, b) => a - b);
  // Copies, as of a socket: nothing may be read beyond a chunk's end.
  return [...ends, bytes.length].map((end, i) => Buffer.from(bytes.subarray(i === 0 ? 0 : ends[i - 1], end)));
}

const stream = fc.nat({ max: 0x7fffffff });
const anyFrame = fc
  .tuple(
    fc.oneof(fc.nat({ max: 9 }), fc.nat({ max: 255 })),
    fc.nat({ max: 255 }),
    stream,
    fc.uint8Array({ maxLength: 60 }),
  )
  .map(([type, flags, id, payload]) => frame(type, flags, id, payload));
/** DATA with padding that fits, and END_STREAM or not. */
const data = fc
  .tuple(stream, fc.uint8Array({ maxLength: 60 }), fc.nat({ max: 255 }), fc.boolean())
  .map(([id, body, padding, end]) =>
    frame(
      frameType.data,
      flag.padded | (end ? flag.endStream : 0),
      id,
      Buffer.concat([Buffer.of(padding), body, Buffer.alloc(padding)]),
    ),
  );
const cuts = fc.array(fc.nat(), { maxLength: 30 });

describe('frames', () => {
  it('are the same however their bytes are cut and in however many turns they are read, up to the error that ends the connection', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(anyFrame, data), { maxLength: 8 }),
        cuts,
        fc.integer({ min: 1, max: 4 }),
        (frames, where, meal) => {
          const bytes = Buffer.concat(frames);
          const whole = read([bytes]);
          assert.deepEqual(read(cutAt(bytes, where)), whole);
          assert.deepEqual(read(Array.from(bytes, (b) => Buffer.of(b))), whole);
          assert.deepEqual(read(cutAt(bytes, where), new Told(Number.POSITIVE_INFINITY, meal)), whole);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('are told as they were made', () => {
    fc.assert(
      fc.property(fc.array(data, { maxLength: 8 }), cuts, (frames, where) => {
        const told = read(cutAt(Buffer.concat(frames), where));
        const made = frames.flatMap((bytes) => {
          const [flags, id, padding] = [bytes[4]!, bytes.readUInt32BE(5), bytes[headBytes]!];
          const body = bytes.subarray(headBytes + 1, bytes.length - padding);
          return [
            `data ${id} ${flags} ${body.length === 0}`,
            `ends ${id} ${flags} ${bytes.length - headBytes} ${body.toString('hex')}`,
          ];
        });
        assert.deepEqual(told, made);
      }),
    );
  });

  it('come of any bytes, or an error of the connection, and not more of them than heads could come', () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 400 }), fc.array(anyFrame, { maxLength: 6 }).map(Buffer.concat));
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 6 }), (chunks) => {
        const made = chunks.map((c) => Buffer.from(c));
        const told = read(made);
        // Each frame costs its sender its head.
        const most = Math.floor(Buffer.concat(made).length / headBytes);
        assert.ok(told.filter((line) => !line.startsWith('data') && !line.startsWith('error')).length <= most);
      }),
      { numRuns: 1_000 },
    );
  });

  it('are read no further once the connection is over', () => {
    const ping = frame(frameType.ping, 0, 0, Buffer.alloc(8));
    const sink = new Told(2);
    assert.equal(read([Buffer.concat([ping, ping, ping]), ping], sink).length, 2);
  });

  it('of more than 16,384 bytes end the connection at their head, before any of it is kept', () => {
    for (const type of [frameType.headers, frameType.data, 0xfa]) {
      const head = frame(type, 0, 1, Buffer.alloc(maxFrame + 1)).subarray(0, headBytes);
      assert.deepEqual(read([Buffer.from(head)]), [`error ${errorCode.frameSize}`]);
    }
    const largest = frame(frameType.headers, 0, 1, Buffer.alloc(maxFrame));
    assert.equal(read([largest]).length, 1);
  });

  it('keep no chunk alive of which they need a few bytes', async () => {
    const chunk = () => Buffer.concat([frame(frameType.settings, 0, 0, Buffer.alloc(maxFrame)), Buffer.alloc(5)]);
    const before = settledBytes();
    const readers = Array.from({ length: 500 }, () => new FrameReader(new Told(2)));
    for (const reader of readers) reader.push(chunk());
    // Threads of V8 give the memory back behind a collection.
    await until('the chunks are gone', () => settledBytes() - before < 1_048_576);
    for (const reader of readers) reader.push(Buffer.alloc(4));
  });
});

/** Of all buffers that anything refers to. */
function settledBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().arrayBuffers;
}
