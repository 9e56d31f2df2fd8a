import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Json, startTestServer, type TestServer } from '../../testing/client.ts';
import { World } from '../testing/world.ts';

const base = '/api/v1/namespaces/default/configmaps';

describe('garbage collection', () => {
  let server: TestServer;
  let world: World;
  before(async () => {
    server = await startTestServer();
    world = new World(server.client);
  });
  after(() => server[Symbol.asyncDispose]());

  const ref = (owner: Json, over: object = {}) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    ...over,
  });
  const make = (name: string, owners: object[] = [], over: object = {}) =>
    world.create(base, { metadata: { name, ownerReferences: owners, ...over } });

  test('background: the owner goes at once, what it owned follows, and what that owned', async () => {
    const owner = await make('bg');
    const child = await make('bg-child', [ref(owner)]);
    await make('bg-grandchild', [ref(child)]);
    await world.delete(`${base}/bg`);
    await world.gone(`${base}/bg-child`);
    await world.gone(`${base}/bg-grandchild`);
  });

  test('another owner keeps it', async () => {
    const one = await make('one');
    const two = await make('two');
    await make('shared', [ref(one), ref(two)]);
    await world.delete(`${base}/one`);
    const kept = await world.when(`${base}/shared`, (o) => o.metadata.ownerReferences.length === 1);
    assert.equal(kept.metadata.ownerReferences[0].name, 'two');
  });

  test('what names an owner that never was goes, also when another has its name', async () => {
    await make('lonely', [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'nobody', uid: 'no-such-uid' }]);
    await world.gone(`${base}/lonely`);
    await make('namesake');
    await make('mistaken', [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'namesake', uid: 'another-uid' }]);
    await world.gone(`${base}/mistaken`);
  });

  test('a kind that is not served keeps what it owns', async () => {
    await make('foreign', [{ apiVersion: 'example.com/v1', kind: 'Thing', name: 'x', uid: 'y' }]);
    await make('proof', [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'nobody', uid: 'no-such-uid' }]);
    await world.gone(`${base}/proof`);
    assert.ok(await world.get(`${base}/foreign`));
  });

  test('foreground: the owner waits for those that block it only', async () => {
    const owner = await make('fg');
    await make('fg-blocking', [ref(owner, { blockOwnerDeletion: true })], { finalizers: ['example.com/hold'] });
    await make('fg-free', [ref(owner)], { finalizers: ['example.com/hold'] });
    await world.delete(`${base}/fg`, { propagationPolicy: 'Foreground' });
    await world.when(`${base}/fg-blocking`, (o) => o.metadata.deletionTimestamp !== undefined);
    assert.deepEqual((await world.get(`${base}/fg`)).metadata.finalizers, ['foregroundDeletion']);
    await world.patch(`${base}/fg-blocking`, { metadata: { finalizers: null } });
    await world.gone(`${base}/fg`);
    await world.patch(`${base}/fg-free`, { metadata: { finalizers: null } });
    await world.gone(`${base}/fg-free`);
  });

  test('foreground goes through a tree, and two that own each other do not wait for ever', async () => {
    const a = await make('circle-a');
    const b = await make('circle-b', [ref(a, { blockOwnerDeletion: true })]);
    await world.patch(`${base}/circle-a`, { metadata: { ownerReferences: [ref(b, { blockOwnerDeletion: true })] } });
    await world.delete(`${base}/circle-a`, { propagationPolicy: 'Foreground' });
    await world.gone(`${base}/circle-a`);
    await world.gone(`${base}/circle-b`);
  });

  test('orphan: what it owned stays, and names it no more', async () => {
    const owner = await make('orphaning');
    await make('orphaned', [ref(owner)]);
    await world.delete(`${base}/orphaning`, { propagationPolicy: 'Orphan' });
    await world.gone(`${base}/orphaning`);
    assert.equal((await world.get(`${base}/orphaned`)).metadata.ownerReferences, undefined);
  });

  test('deletecollection takes a propagation too', async () => {
    const label = { labels: { group: 'many' } };
    const owners = await Promise.all([1, 2, 3].map((i) => make(`many-${i}`, [], label)));
    await Promise.all(owners.map((o, i) => make(`many-child-${i}`, [ref(o)])));
    await world.delete(`${base}?labelSelector=group%3Dmany`, { propagationPolicy: 'Orphan' });
    for (const i of [1, 2, 3]) await world.gone(`${base}/many-${i}`);
    for (const i of [0, 1, 2]) {
      assert.equal((await world.get(`${base}/many-child-${i}`)).metadata.ownerReferences, undefined);
    }
  });
});
