import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { writeInBlocks } from './write-in-blocks.ts';

/** Takes each write at its own time, and looks at the bytes only then: as a socket does. */
function slowly(onWrite?: (count: number) => void): { readonly to: Writable; readonly bytes: () => Buffer } {
  const taken: Buffer[] = [];
  const to = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _encoding, done) {
      setImmediate(() => {
        taken.push(Buffer.from(chunk));
        onWrite?.(taken.length);
        done();
      });
    },
  });
  return { to, bytes: () => Buffer.concat(taken) };
}

test('all pieces arrive, in order and as they were', async () => {
  const sizes = fc.array(fc.oneof(fc.nat(100), fc.integer({ min: 0, max: 300_000 })), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.boolean(), async (all, asText) => {
      const pieces = all.map((size, i) => String.fromCharCode(97 + (i % 26)).repeat(size));
      const { to, bytes } = slowly();
      await writeInBlocks(to, asText ? pieces : pieces.map((p) => Buffer.from(p)));
      assert.ok(bytes().equals(Buffer.from(pieces.join(''))));
      assert.ok(to.writableFinished);
    }),
    { numRuns: 50 },
  );
});

test('a stream that closes ends it, also when it never answers', async () => {
  const pieces = Array.from({ length: 100 }, () => Buffer.alloc(100_000));
  const { to } = slowly((count) => void (count === 2 && to.destroy()));
  await assert.rejects(writeInBlocks(to, pieces));
  const silent = new Writable({ write: () => undefined });
  const written = writeInBlocks(silent, pieces);
  silent.destroy();
  await assert.rejects(written, /closed|destroyed/);
});
