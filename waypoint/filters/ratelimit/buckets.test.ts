import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TokenBucket } from './bucket.ts';
import { KeyedBuckets } from './keyed-buckets.ts';

const steps = fc.array(
  fc.record({ after: fc.integer({ min: 0, max: 5_000 }), asked: fc.integer({ min: 1, max: 20 }) }),
  {
    minLength: 1,
    maxLength: 40,
  },
);

describe('a token bucket', () => {
  it('gives in any span no more than it holds and what comes in that time', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 50 }), steps, (max, perSecond, all) => {
        const bucket = new TokenBucket({ max, rate: perSecond / 1_000 }, 0);
        const given: number[] = [];
        let now = 0;
        for (const { after, asked } of all) {
          now += after;
          for (let i = 0; i < asked; i++) if (bucket.take(now)) given.push(now);
        }
        for (const [i, from] of given.entries()) {
          for (let k = i; k < given.length; k++) {
            const most = max + ((given[k]! - from) * perSecond) / 1_000;
            assert.ok(k - i + 1 <= most + 1e-6, `${k - i + 1} from ${from} to ${given[k]}, at most ${most}`);
          }
        }
      }),
    );
  });

  it('gives one as soon as it says', () => {
    const bucket = new TokenBucket({ max: 2, rate: 1 / 300 }, 0);
    assert.deepEqual([bucket.take(0), bucket.take(0), bucket.take(0)], [true, true, false]);
    const wait = bucket.wait(0);
    assert.equal(bucket.take(wait - 1), false);
    assert.equal(bucket.take(wait + 1e-6), true);
  });

  it('is not filled by a clock that goes back', () => {
    const bucket = new TokenBucket({ max: 1, rate: 1 }, 100);
    assert.equal(bucket.take(100), true);
    assert.equal(bucket.take(0), false);
    assert.equal(bucket.take(100), false);
  });
});

describe('buckets by key', () => {
  const size = { max: 2, rate: 1 / 1_000 };

  it('stay few in a flood of keys, which opens nothing: who was refused is refused', () => {
    const buckets = new KeyedBuckets(size, 100);
    let passed = 0;
    for (let i = 0; i < 100; i++) buckets.of(`known-${i}`, 0).bucket.take(0);
    for (let i = 0; i < 2; i++) buckets.of('known-0', 0).bucket.take(0);
    for (let i = 0; i < 100_000; i++) if (buckets.of(`new-${i}`, 0).bucket.take(0)) passed++;
    assert.equal(passed, 2, 'all newcomers have one bucket');
    assert.equal(buckets.count, 100);
    assert.equal(buckets.of('known-0', 0).bucket.take(0), false);
  });

  it('are forgotten once they are full again, which nobody can tell', () => {
    const buckets = new KeyedBuckets(size, 2);
    buckets.of('a', 0).bucket.take(0);
    buckets.of('b', 0).bucket.take(0);
    assert.equal(buckets.of('c', 500).isShared, true);
    assert.equal(buckets.of('c', 1_000).isShared, false);
    assert.equal(buckets.count, 2);
  });
});
