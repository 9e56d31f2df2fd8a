import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventKind } from '../../../../common/kube/schema/cluster.ts';
import { cronJobKind, jobKind } from '../../../../common/kube/schema/workloads.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';
import { until } from '../../../../common/testing/until.ts';
import { parse } from '../../rest/rest.ts';
import { type Rig, startRig } from '../testing/rig.ts';
import type { CronJob } from '../types.ts';
import { cronJobController } from './controller.ts';

const minute = 60_000;

async function make(rig: Rig, spec: object = {}): Promise<void> {
  const container = { name: 'c', image: 'i' };
  const job = { spec: { template: { spec: { restartPolicy: 'Never', containers: [container] } } } };
  const jobTemplate = { metadata: { labels: { a: 'b' } }, ...job };
  const all = { schedule: '*/2 * * * *', jobTemplate, ...spec };
  await rig.make(cronJobKind, { metadata: { name: 'tick', namespace: 'default' }, spec: all });
}

const jobs = (rig: Rig) => [...rig.cluster.jobs.values()].map((j) => j.metadata.name).sort();
const status = (rig: Rig): Promise<NonNullable<CronJob['status']> & { active?: { name: string }[] }> => {
  const resource = rig.cluster.registry.find('batch', 'v1', 'cronjobs')!;
  return Promise.resolve(
    (parse(rig.cluster.rest.get(resource, 'default', 'tick').json, resource)['status'] ?? {}) as never,
  );
};
const finish = (rig: Rig, name: string, type: 'Complete' | 'Failed') => {
  const at = new Date(rig.clock.wall()).toISOString().replace(/\.\d+/, '');
  const done = type === 'Complete' ? { completionTime: at } : {};
  const conditions = [{ type, status: 'True' }];
  return rig.setStatus(jobKind, 'default', name, { startTime: at, ...done, conditions });
};
/** Of the rig's clock: 2026-01-01T00:00:00Z. */
const nameAfter = (minutes: number) => `tick-${Date.UTC(2026, 0, 1) / minute + minutes}`;

describe('CronJobs', () => {
  test('a Job at each time, once; history is kept short', async () => {
    using rig = await startRig([cronJobController]);
    await make(rig, { successfulJobsHistoryLimit: 2 });
    await new Promise(setImmediate);
    assert.deepEqual(jobs(rig), []);
    for (let n = 1; n <= 4; n++) {
      rig.clock.advance(2 * minute);
      await until('the job', () => jobs(rig).includes(nameAfter(2 * n)));
      await until('status', async () => (await status(rig)).active?.[0]?.name === nameAfter(2 * n));
      await finish(rig, nameAfter(2 * n), 'Complete');
      await until('not active', async () => (await status(rig)).active === undefined);
    }
    await until('the last two', () => jobs(rig).join() === [nameAfter(6), nameAfter(8)].join());
    const { lastScheduleTime, lastSuccessfulTime } = await status(rig);
    assert.deepEqual([lastScheduleTime, lastSuccessfulTime], ['2026-01-01T00:08:00Z', '2026-01-01T00:08:00Z']);
    const job = rig.cluster.jobs.get('default', nameAfter(8))!;
    assert.deepEqual(job.metadata.labels?.['a'], 'b');
    assert.equal(job.metadata.ownerReferences?.[0]?.kind, 'CronJob');
  });

  test('Forbid waits for the one that runs, Replace ends it', async () => {
    using rig = await startRig([cronJobController]);
    const events = rig.cluster.collection<KubeObject>(eventKind);
    await make(rig, { concurrencyPolicy: 'Forbid' });
    rig.clock.advance(2 * minute);
    await until('the first', () => jobs(rig).join() === nameAfter(2));
    rig.clock.advance(2 * minute);
    await until('it is told', () => [...events.values()].some((e) => e['reason'] === 'JobAlreadyActive'));
    assert.deepEqual(jobs(rig), [nameAfter(2)]);
    // The time that was missed is made up for.
    await finish(rig, nameAfter(2), 'Complete');
    await until('the second', () => jobs(rig).includes(nameAfter(4)));
    await rig.writer.update(cronJobKind, { namespace: 'default', name: 'tick' }, (o) => {
      (o['spec'] as { concurrencyPolicy: string }).concurrencyPolicy = 'Replace';
      return 'changed';
    });
    rig.clock.advance(2 * minute);
    await until('the third instead', () => jobs(rig).includes(nameAfter(6)) && !jobs(rig).includes(nameAfter(4)));
  });

  test('a server that was away starts the last one, unless its deadline is over', async () => {
    using rig = await startRig([cronJobController]);
    const events = rig.cluster.collection<KubeObject>(eventKind);
    await make(rig, { suspend: true });
    rig.clock.advance(101 * minute);
    const change = (spec: object) =>
      rig.writer.update(cronJobKind, { namespace: 'default', name: 'tick' }, (o) => {
        Object.assign(o['spec'] as object, spec);
        return 'changed';
      });
    await change({ suspend: false, startingDeadlineSeconds: 30 });
    await until('it is told', () => [...events.values()].some((e) => e['reason'] === 'MissSchedule'));
    assert.deepEqual(jobs(rig), []);
    await change({ startingDeadlineSeconds: 90 });
    await until('the last', () => jobs(rig).join() === nameAfter(100));
  });
});
