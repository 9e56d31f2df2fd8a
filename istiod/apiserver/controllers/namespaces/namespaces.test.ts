import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestServer, type TestServer } from '../../testing/client.ts';
import { World } from '../testing/world.ts';

describe('namespaces', () => {
  let server: TestServer;
  let world: World;
  before(async () => {
    server = await startTestServer();
    world = new World(server.client);
  });
  after(() => server[Symbol.asyncDispose]());

  const pod = (name: string, over: object = {}) => ({
    metadata: { name, ...over },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  });

  test('the first ones are there, active, and may not be deleted', async () => {
    for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
      const { spec, status } = await world.get(`/api/v1/namespaces/${name}`);
      assert.deepEqual([spec.finalizers, status.phase], [['kubernetes'], 'Active']);
    }
    const { code, json } = await server.client.ask('/api/v1/namespaces/default', { method: 'DELETE' });
    assert.equal(code, 403);
    assert.equal(json.message, 'namespaces "default" is forbidden: this namespace may not be deleted');
  });

  test('nothing is made in a namespace that is not there', async () => {
    const { code, json } = await server.client.ask('/api/v1/namespaces/nowhere/pods', {
      method: 'POST',
      body: pod('p'),
    });
    assert.equal(code, 404);
    assert.equal(json.message, 'namespaces "nowhere" not found');
  });

  test('deletion empties it first, and meanwhile says what remains and takes nothing new', async () => {
    await world.create('/api/v1/namespaces', { metadata: { name: 'going' } });
    const base = '/api/v1/namespaces/going';
    await world.create(`${base}/configmaps`, { metadata: { name: 'held', finalizers: ['example.com/hold'] } });
    await world.create(`${base}/configmaps`, { metadata: { name: 'free' } });
    const marked = await world.delete(base);
    assert.equal(marked.status.phase, 'Terminating');
    await world.gone(`${base}/configmaps/free`);
    const waiting = await world.when(base, (n) =>
      n.status.conditions?.some(
        (c: { type: string; status: string }) => c.type === 'NamespaceFinalizersRemaining' && c.status === 'True',
      ),
    );
    const messages = waiting.status.conditions.map((c: { message: string }) => c.message);
    assert.ok(messages.includes('Some resources are remaining: configmaps has 1 resource instances'), messages.join());
    assert.ok(
      messages.includes(
        'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances',
      ),
    );
    const { code, json } = await server.client.ask(`${base}/pods`, { method: 'POST', body: pod('late') });
    assert.equal(code, 403);
    assert.equal(json.details.causes[0].reason, 'NamespaceTerminating');
    await world.patch(`${base}/configmaps/held`, { metadata: { finalizers: null } });
    await world.gone(base);
  });

  test('a finalizer of somebody else is taken away by /finalize only', async () => {
    await world.create('/api/v1/namespaces', { metadata: { name: 'theirs' } });
    const base = '/api/v1/namespaces/theirs';
    const finalize = (finalizers: string[]) =>
      server.client.ask(`${base}/finalize`, {
        method: 'PUT',
        body: { metadata: { name: 'theirs' }, spec: { finalizers } },
      });
    assert.equal((await finalize(['kubernetes', 'example.com/mine'])).code, 200);
    // An update of the object leaves them alone.
    await server.client.ask(base, { method: 'PUT', body: { metadata: { name: 'theirs' }, spec: {} } });
    await world.delete(base);
    await world.when(base, (n) => n.spec.finalizers.join() === 'example.com/mine');
    assert.equal((await finalize([])).code, 200);
    await world.gone(base);
  });
});
