import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problems } from './problems.ts';
import { qosClass } from './qos.ts';
import { planResourceField, planResources, resourceValue } from './resources.ts';

function plan(resources: object) {
  const problems = new Problems();
  const result = planResources({ name: 'c', resources }, 'c', problems);
  return { ...result, fields: problems.found.map((p) => p.field) };
}

test('limits are requests too; what a node does not count is a problem', () => {
  const { limits, requests, fields } = plan({ limits: { cpu: '500m', memory: '1Gi' }, requests: { cpu: 0.25 } });
  assert.deepEqual([limits, requests, fields], [{ cpu: 0.5, memory: 2 ** 30 }, { cpu: 0.25, memory: 2 ** 30 }, []]);
  assert.deepEqual(plan({ limits: { 'ephemeral-storage': '1Gi', 'nvidia.com/gpu': 1 }, claims: [{}] }).fields, [
    'c.resources.claims',
    'c.resources.limits.ephemeral-storage',
    'c.resources.limits.nvidia.com/gpu',
  ]);
  assert.deepEqual(plan({ limits: { memory: 'much' } }).fields, ['c.resources.limits.memory']);
});

test('resources are told in units, rounded up; without a limit the node’s', () => {
  const value = (resource: string, divisor: string, resources: object) =>
    resourceValue(planResourceField({ resource, divisor }, 'f', new Problems()), plan(resources), {
      cpu: 2,
      memory: 1e9,
    });
  assert.equal(value('limits.cpu', '1', { limits: { cpu: '1100m' } }), '2');
  assert.equal(value('limits.cpu', '1m', { limits: { cpu: '1100m' } }), '1100');
  assert.equal(value('limits.cpu', '0', {}), '2');
  assert.equal(value('requests.memory', '1Mi', { requests: { memory: '100M' } }), '96');
  assert.equal(value('requests.memory', '1', {}), '0');
});

test('the class of a pod', () => {
  const of = (...all: object[]) => qosClass(all.map((r) => ({ resources: plan(r) })));
  const whole = { limits: { cpu: 1, memory: 1 } };
  assert.equal(of({}, {}), 'BestEffort');
  assert.equal(of(whole, whole), 'Guaranteed');
  assert.equal(of(whole, {}), 'Burstable');
  assert.equal(of({ limits: { cpu: 1, memory: 1 }, requests: { cpu: 0.5 } }), 'Burstable');
});
