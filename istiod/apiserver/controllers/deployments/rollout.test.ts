import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { boundsOf, planPaused, planRecreate, planRolling, type Size } from './rollout.ts';

const size = (name: string, wanted: number, available = wanted): Size => ({ name, wanted, available });

describe('planRolling', () => {
  test('a step at a time', () => {
    const bounds = { surge: 1, unavailable: 0 };
    assert.deepEqual([...planRolling(3, bounds, size('new', 0), [size('old', 3)])], [['new', 1]]);
    assert.deepEqual([...planRolling(3, bounds, size('new', 1, 0), [size('old', 3)])], []);
    assert.deepEqual([...planRolling(3, bounds, size('new', 1), [size('old', 3)])], [['old', 2]]);
    assert.deepEqual([...planRolling(3, { surge: 0, unavailable: 1 }, size('new', 0), [size('old', 3)])], [['old', 2]]);
  });

  test('what does not run goes before what does', () => {
    const plan = planRolling(4, { surge: 1, unavailable: 1 }, size('new', 2, 1), [size('a', 1, 0), size('b', 2)]);
    assert.equal(plan.get('a'), 0);
    assert.equal(plan.get('b'), undefined);
  });

  test('too many of the new one', () => {
    assert.deepEqual([...planRolling(2, { surge: 1, unavailable: 0 }, size('new', 5), [])], [['new', 2]]);
  });

  test('never more pods than allowed, never fewer available, and always an end', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 12 }),
        fc.integer({ min: 0, max: 5 }),
        fc.integer({ min: 0, max: 5 }),
        fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 3 }),
        (replicas, maxSurge, maxUnavailable, olds) => {
          const bounds = boundsOf({ replicas, strategy: { rollingUpdate: { maxSurge, maxUnavailable } } } as never);
          const sizes = new Map<string, number>([...olds.map((n, i) => [`old${i}`, n] as const), ['new', 0] as const]);
          const before = olds.reduce((a, b) => a + b, 0);
          for (let step = 0; step < 100; step++) {
            const all = [...sizes].map(([name, n]) => size(name, n));
            const current = all.pop()!;
            const plan = planRolling(replicas, bounds, current, all);
            if (plan.size === 0) break;
            for (const [name, n] of plan) sizes.set(name, n);
            const total = [...sizes.values()].reduce((a, b) => a + b, 0);
            assert.ok(total <= Math.max(before, replicas + bounds.surge), `${total} pods`);
            const served =
              all.reduce((n, s) => n + Math.min(s.available, sizes.get(s.name)!), 0) +
              Math.min(current.available, sizes.get('new')!);
            assert.ok(served >= Math.min(before, replicas - bounds.unavailable), `${served} served`);
          }
          assert.equal(sizes.get('new'), replicas);
          assert.equal(
            [...sizes.values()].reduce((a, b) => a + b, 0),
            replicas,
          );
        },
      ),
    );
  });
});

test('Recreate waits for the last old pod', () => {
  assert.deepEqual([...planRecreate(2, size('new', 0), [size('old', 2)], 2)], [['old', 0]]);
  assert.deepEqual([...planRecreate(2, size('new', 0), [size('old', 0)], 1)], []);
  assert.deepEqual([...planRecreate(2, size('new', 0), [size('old', 0)], 0)], [['new', 2]]);
});

test('paused: the number is kept, and nothing rolls', () => {
  assert.deepEqual([...planPaused(5, 1, [size('old', 3), size('new', 0)])], [['old', 5]]);
  assert.deepEqual([...planPaused(4, 1, [size('old', 3), size('new', 2)])], []);
  assert.deepEqual([...planPaused(8, 1, [size('old', 3), size('new', 2)])], [['new', 5]]);
});

test('percentages round up for more and down for fewer', () => {
  const spec = (rollingUpdate: object) =>
    ({ replicas: 10, strategy: { type: 'RollingUpdate', rollingUpdate } }) as never;
  assert.deepEqual(boundsOf(spec({})), { surge: 3, unavailable: 2 });
  assert.deepEqual(boundsOf(spec({ maxSurge: 0, maxUnavailable: '1%' })), { surge: 0, unavailable: 1 });
});
