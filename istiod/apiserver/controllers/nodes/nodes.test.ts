import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestServer, type TestServer } from '../../testing/client.ts';
import { World } from '../testing/world.ts';

describe('nodes and namespaces', () => {
  let server: TestServer;
  let world: World;
  before(async () => {
    server = await startTestServer();
    world = new World(server.client);
  });
  after(() => server[Symbol.asyncDispose]());

  test('each node has a part of the ranges of pods, which those that come with one keep', async () => {
    await world.create('/api/v1/nodes', {
      metadata: { name: 'own' },
      spec: { podCIDR: '10.244.2.0/24', podCIDRs: ['10.244.2.0/24'] },
    });
    await Promise.all(['a', 'b', 'c'].map((name) => world.create('/api/v1/nodes', { metadata: { name } })));
    const nodes = await Promise.all(
      ['a', 'b', 'c'].map((name) => world.when(`/api/v1/nodes/${name}`, (n) => n.spec?.podCIDR !== undefined)),
    );
    assert.deepEqual(nodes.map((n) => n.spec.podCIDRs.join()).sort(), [
      '10.244.1.0/24,fd00:10:244:1::/64',
      '10.244.3.0/24,fd00:10:244:3::/64',
      '10.244.4.0/24,fd00:10:244:4::/64',
    ]);
    assert.equal(nodes[0].spec.podCIDR, nodes[0].spec.podCIDRs[0]);
  });

  test('each namespace has an account and the CA, also when somebody takes them away', async () => {
    await world.create('/api/v1/namespaces', { metadata: { name: 'new' } });
    const account = '/api/v1/namespaces/new/serviceaccounts/default';
    const ca = '/api/v1/namespaces/new/configmaps/kube-root-ca.crt';
    const first = await world.when(account, () => true);
    const map = await world.when(ca, () => true);
    assert.equal(map.data['ca.crt'], server.client.config.ca);
    await world.delete(account);
    await world.when(account, (o) => o.metadata.uid !== first.metadata.uid);
    await world.delete(ca);
    await world.when(ca, (o) => o.metadata.uid !== map.metadata.uid);
    await world.patch(ca, { data: { 'ca.crt': 'forged' } });
    await world.when(ca, (o) => o.data['ca.crt'] === server.client.config.ca);
    await world.delete('/api/v1/namespaces/new');
    await world.gone('/api/v1/namespaces/new');
  });
});
