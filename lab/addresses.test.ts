import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { clusterDns, NumberPool } from './addresses.ts';

test('the cluster DNS has the addresses that pods are told', () => {
  assert.deepEqual(clusterDns, { v4: '10.96.0.10', v6: 'fd00:10:96::a' });
});

describe('NumberPool', () => {
  test('never has a number out twice, and gives all of them', () => {
    const step = fc.oneof(fc.constant('take' as const), fc.nat({ max: 9 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pool = new NumberPool(3, 8);
        const out: number[] = [];
        for (const s of steps) {
          if (s === 'take' && out.length < 6) {
            const n = pool.take();
            assert.ok(n >= 3 && n <= 8 && !out.includes(n));
            out.push(n);
          } else if (s === 'take') assert.throws(() => pool.take(), /all 6 addresses are in use/);
          else if (out.length > 0) pool.release(out.splice(s % out.length, 1)[0]!);
        }
      }),
    );
  });

  test('a number that was given back rests until the others had their turn', () => {
    const pool = new NumberPool(1, 3);
    assert.equal(pool.take(), 1);
    pool.release(1);
    assert.deepEqual([pool.take(), pool.take(), pool.take()], [2, 3, 1]);
  });

  test('a reserved number is not given out', () => {
    const pool = new NumberPool(1, 2);
    assert.equal(pool.reserve(1), true);
    assert.equal(pool.reserve(1), false);
    assert.equal(pool.reserve(3), false);
    assert.equal(pool.take(), 2);
  });
});
