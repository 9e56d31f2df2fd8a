import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Json, startTestServer } from '../testing/client.ts';

test('a Scale is applied: its manager owns the replicas of the object, and others conflict', async () => {
  await using server = await startTestServer();
  const deployments = '/apis/apps/v1/namespaces/default/deployments';
  const apply = async (path: string, manager: string, body: object, more = '') =>
    server.client.ask(`${path}?fieldManager=${manager}${more}`, {
      method: 'PATCH',
      body,
      type: 'application/apply-patch+yaml',
    });
  const matchLabels = { app: 'web' };
  const template = { metadata: { labels: matchLabels }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const object = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: { selector: { matchLabels }, template },
  };
  assert.equal((await apply(`${deployments}/web`, 'main', object)).code, 201);
  const scale = (replicas: number) => ({ apiVersion: 'autoscaling/v1', kind: 'Scale', spec: { replicas } });
  const first = await apply(`${deployments}/web/scale`, 'one', scale(0));
  assert.deepEqual([first.code, first.json.kind, first.json.spec], [200, 'Scale', { replicas: 0 }]);
  const { json } = await server.client.ask(`${deployments}/web`);
  const entry = json.metadata.managedFields.find((f: Json) => f.manager === 'one');
  assert.deepEqual([entry.subresource, entry.operation], ['scale', 'Apply']);
  assert.deepEqual(entry.fieldsV1, { 'f:spec': { 'f:replicas': {} } });
  const second = await apply(`${deployments}/web/scale`, 'two', scale(1));
  assert.deepEqual([second.code, second.json.details.causes[0].field], [409, '.spec.replicas']);
  assert.equal((await apply(`${deployments}/web/scale`, 'two', scale(1), '&force=true')).json.spec.replicas, 1);
  // Who applies the rest keeps what it does not name.
  assert.equal((await apply(`${deployments}/web`, 'main', object)).json.spec.replicas, 1);
  assert.equal((await apply(`${deployments}/web/scale`, 'two', { kind: 'Deployment' })).code, 400);
  assert.equal((await apply(`${deployments}/none/scale`, 'two', scale(1))).code, 404);
});
