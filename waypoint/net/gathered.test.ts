/** Bytes that were gathered are those that came, and cost few copies. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Gathered } from './gathered.ts';

describe('bytes that come piece by piece', () => {
  it('are all there in order after each piece, and begin anew once cleared', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 50 }), fc.constant('clear' as const))), (steps) => {
        const gathered = new Gathered();
        let all = Buffer.alloc(0);
        const told: (readonly [got: Buffer, expected: Buffer])[] = [];
        for (const step of steps) {
          if (step === 'clear') gathered.clear();
          all = step === 'clear' ? Buffer.alloc(0) : Buffer.concat([all, step]);
          if (step !== 'clear') told.push([gathered.add(Buffer.from(step)), all]);
          assert.equal(gathered.length, all.length);
        }
        for (const [got, expected] of told) assert.ok(got.equals(expected));
      }),
    );
  });

  it('are moved to other memory a few times only, of at most twice their size', () => {
    const gathered = new Gathered();
    const memory = new Set<ArrayBufferLike>();
    for (let n = 1; n <= 60_000; n++) {
      const { buffer } = gathered.add(Buffer.of(n & 255));
      memory.add(buffer);
      assert.ok(buffer.byteLength <= 2 * n);
    }
    assert.ok(memory.size <= 17, `${memory.size} times`);
  });
});
