import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { boundsOf, isScaled, planRecreate, planRolling, planScaled, type ScaledSet, type Size } from './rollout.ts';

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

describe('planScaled', () => {
  const set = (name: string, wanted: number, allowedBefore?: number, desiredBefore?: number): ScaledSet => ({
    ...size(name, wanted),
    desiredBefore,
    allowedBefore,
  });
  const plan = (replicas: number, surge: number, sets: readonly ScaledSet[]) =>
    Object.fromEntries(planScaled(replicas, surge, sets.at(-1), sets));

  test('in the middle of a rollout all grow and shrink by their share', () => {
    // The example of Kubernetes' documentation: 10 pods, 3 more allowed, stuck at 8 and 5, now 15.
    assert.deepEqual(plan(15, 3, [set('old', 8, 13, 10), set('new', 5, 13, 10)]), { old: 11, new: 7 });
    assert.deepEqual(plan(5, 3, [set('old', 8, 13, 10), set('new', 5, 13, 10)]), { old: 5, new: 3 });
    assert.deepEqual(plan(0, 0, [set('old', 8, 13, 10), set('new', 5, 13, 10)]), { old: 0, new: 0 });
  });

  test('the only one with pods has them all, or the present one where none has any', () => {
    assert.deepEqual(plan(5, 1, [set('old', 3), set('new', 0)]), { old: 5 });
    assert.deepEqual(plan(5, 1, [set('old', 0), set('new', 0)]), { new: 5 });
    assert.deepEqual(plan(5, 1, []), {});
  });

  test('once the present one has all pods, old ones go', () => {
    assert.deepEqual(plan(5, 1, [set('old', 3, 6, 5), set('new', 5, 6, 5)]), { old: 0 });
  });

  test('together as many as are allowed, whatever the shares are', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 5 });
    const before = fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined });
    fc.assert(
      fc.property(fc.nat(60), fc.nat(20), sizes, before, (replicas, surge, wanted, allowedBefore) => {
        const all = wanted.map((n, i) => set(`s${i}`, n, allowedBefore));
        const planned = [...planScaled(replicas, surge, undefined, all).values()];
        const total = planned.reduce((a, b) => a + b, 0);
        assert.ok(planned.every((n) => n >= 0));
        if (allowedBefore === wanted.reduce((a, b) => a + b, 0))
          assert.equal(total, replicas === 0 ? 0 : replicas + surge);
      }),
    );
  });
});

test('a Deployment is scaled when a ReplicaSet with pods was sized for another number', () => {
  const set = (wanted: number, desiredBefore?: number) => ({
    ...size('a', wanted),
    desiredBefore,
    allowedBefore: undefined,
  });
  assert.equal(isScaled(3, [set(2, 3), set(0, 5), set(2)]), false);
  assert.equal(isScaled(3, [set(2, 3), set(1, 5)]), true);
});

test('percentages round up for more and down for fewer', () => {
  const spec = (rollingUpdate: object) =>
    ({ replicas: 10, strategy: { type: 'RollingUpdate', rollingUpdate } }) as never;
  assert.deepEqual(boundsOf(spec({})), { surge: 3, unavailable: 2 });
  assert.deepEqual(boundsOf(spec({ maxSurge: 0, maxUnavailable: '1%' })), { surge: 0, unavailable: 1 });
});
