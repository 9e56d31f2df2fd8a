import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestServer, type TestServer } from '../../testing/client.ts';
import { World } from '../testing/world.ts';
import { budgetOf, type PodDisruptionBudget } from './disruption.ts';

const base = '/api/v1/namespaces/default/pods';

describe('pods', () => {
  let server: TestServer;
  let world: World;
  before(async () => {
    server = await startTestServer();
    world = new World(server.client);
  });
  after(() => server[Symbol.asyncDispose]());

  const make = (name: string, labels: object = {}) =>
    // Another scheduler's: nobody binds it but this test.
    world.create(base, {
      metadata: { name, labels },
      spec: { schedulerName: 'none', containers: [{ name: 'c', image: 'i' }] },
    });
  const bind = (name: string, node: string) =>
    server.client.ask(`${base}/${name}/binding`, {
      method: 'POST',
      body: { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target: { kind: 'Node', name: node } },
    });

  test('a binding sets the node once, and says so in the status', async () => {
    await make('bound');
    assert.equal((await bind('bound', 'node-1')).code, 201);
    const pod = await world.get(`${base}/bound`);
    assert.equal(pod.spec.nodeName, 'node-1');
    const scheduled = pod.status.conditions.find((c: { type: string }) => c.type === 'PodScheduled');
    assert.equal(scheduled.status, 'True');
    const { code, json } = await bind('bound', 'node-2');
    assert.equal(code, 409);
    assert.match(json.message, /already assigned to node "node-1"/);
    assert.equal((await bind('missing', 'node-1')).code, 404);
  });

  test('ephemeral containers are added one after another, and stay as they are', async () => {
    await make('seen');
    const add = (container: object, type = 'application/strategic-merge-patch+json') =>
      server.client.ask(`${base}/seen/ephemeralcontainers`, {
        method: 'PATCH',
        type,
        body: { metadata: { labels: { not: 'written' } }, spec: { ephemeralContainers: [container] } },
      });
    assert.equal((await add({ name: 'one', image: 'i' })).code, 200);
    const { code, json } = await add({ name: 'two', image: 'i', targetContainerName: 'c' });
    assert.equal(code, 200);
    assert.deepEqual(json.spec.ephemeralContainers.map((c: { name: string }) => c.name).sort(), ['one', 'two']);
    assert.equal((await world.get(`${base}/seen`)).metadata.labels?.not, undefined);
    for (const [container, message] of [
      [{ name: 'one', image: 'other' }, /existing ephemeral container "one" may not be changed/],
      [{ name: 'three', image: 'i', ports: [{ containerPort: 1 }] }, /cannot be set for an Ephemeral Container/],
    ] as const) {
      const refused = await add(container);
      assert.equal(refused.code, 422);
      assert.match(refused.json.message, message);
    }
    const gone = await add({ name: 'four', image: 'i' }, 'application/merge-patch+json');
    assert.match(gone.json.message, /may not be removed/);
  });

  test('an eviction deletes as a deletion does', async () => {
    await make('evicted');
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'evicted' } };
    const { code, json } = await server.client.ask(`${base}/evicted/eviction`, { method: 'POST', body });
    assert.equal(code, 201);
    assert.equal(json.status, 'Success');
    await world.gone(`${base}/evicted`);
  });
});

describe('budgetOf', () => {
  const budget = (spec: object) => ({ spec }) as PodDisruptionBudget;
  test('numbers and percentages, of pods that are there and of those that are wanted', () => {
    assert.equal(budgetOf(budget({ minAvailable: 2 }), 3, 3).disruptionsAllowed, 1);
    assert.equal(budgetOf(budget({ minAvailable: '50%' }), 3, 3).desiredHealthy, 2);
    assert.equal(budgetOf(budget({ maxUnavailable: '50%' }), 3, 3).disruptionsAllowed, 2);
    assert.equal(budgetOf(budget({ maxUnavailable: 1 }), 3, 2).disruptionsAllowed, 0);
    assert.equal(budgetOf(budget({ maxUnavailable: 1 }), 0, 0).disruptionsAllowed, 0);
  });
});
