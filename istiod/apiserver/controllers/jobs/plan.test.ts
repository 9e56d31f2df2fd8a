import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod } from '../../../../common/kube/kinds/core.ts';
import type { Job } from '../types.ts';
import { planJob, ranges } from './plan.ts';

const now = Date.UTC(2026, 0, 1, 1);
const job = (spec: object, status?: object): Job =>
  ({
    metadata: { name: 'j', uid: 'j' },
    spec: { template: { spec: { containers: [], restartPolicy: 'Never' } }, ...spec },
    ...(status && { status }),
  }) as unknown as Job;
const pod = (phase: string, index?: number): Pod =>
  ({
    metadata: {
      name: 'p',
      uid: `${phase}${index}`,
      annotations: index === undefined ? {} : { 'batch.kubernetes.io/job-completion-index': String(index) },
    },
    spec: { containers: [] },
    status: { phase },
  }) as unknown as Pod;
const conditions = (plan: ReturnType<typeof planJob>) =>
  (plan.status.conditions ?? []).map((c) => `${c.type}:${c.reason}`);

describe('planJob', () => {
  test('as many at a time as allowed, and no more than are missing', () => {
    const spec = { completions: 5, parallelism: 3 };
    assert.equal(planJob(job(spec), [], undefined, now).create.length, 3);
    assert.equal(planJob(job(spec), [pod('Running'), pod('Succeeded')], undefined, now).create.length, 2);
    const most = [1, 2, 3, 4].map(() => pod('Succeeded'));
    assert.equal(planJob(job(spec), most, undefined, now).create.length, 1);
    assert.deepEqual(conditions(planJob(job(spec), [...most, pod('Succeeded')], undefined, now)), [
      'Complete:CompletionsReached',
    ]);
  });

  test('a failure waits, doubling; beyond the limit it is over', () => {
    const spec = { completions: 1, backoffLimit: 2 };
    const plan = planJob(job(spec), [pod('Failed')], now - 4_000, now);
    assert.deepEqual([plan.create.length, plan.again], [0, 6_000]);
    assert.equal(planJob(job(spec), [pod('Failed')], now - 10_000, now).create.length, 1);
    const thrice = [pod('Failed'), pod('Failed'), pod('Failed')];
    assert.deepEqual(conditions(planJob(job(spec), thrice, now, now)), ['Failed:BackoffLimitExceeded']);
    // What was counted before counts, though its pod is gone.
    assert.deepEqual(conditions(planJob(job(spec, { failed: 3 }), [], now, now)), ['Failed:BackoffLimitExceeded']);
  });

  test('deadline, suspension, and a queue of work', () => {
    const late = planJob(
      job({ completions: 1, activeDeadlineSeconds: 60 }, { startTime: '2026-01-01T00:00:00Z' }),
      [pod('Running')],
      undefined,
      now,
    );
    assert.deepEqual([conditions(late), late.remove.length], [['Failed:DeadlineExceeded'], 1]);
    const held = planJob(job({ completions: 1, suspend: true }), [pod('Running')], undefined, now);
    assert.deepEqual([conditions(held), held.remove.length], [['Suspended:JobSuspended'], 1]);
    const queue = { parallelism: 3 };
    const ending = planJob(job(queue), [pod('Succeeded'), pod('Running')], undefined, now);
    assert.deepEqual([ending.create.length, ending.remove.length, conditions(ending)], [0, 0, []]);
    assert.deepEqual(conditions(planJob(job(queue), [pod('Succeeded'), pod('Succeeded')], undefined, now)), [
      'Complete:CompletionsReached',
    ]);
  });

  test('Indexed: each number once', () => {
    const spec = { completions: 4, parallelism: 4, completionMode: 'Indexed' };
    const plan = planJob(job(spec), [pod('Succeeded', 0), pod('Running', 2), pod('Succeeded', 0)], undefined, now);
    assert.deepEqual(plan.create, [1, 3]);
    assert.equal(plan.status.completedIndexes, '0');
    assert.equal(ranges([1, 3, 4, 5, 7]), '1,3-5,7');
  });
});
