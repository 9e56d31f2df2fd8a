import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configMapKind } from '../common/kube/kinds/core.ts';
import { FakeClock } from '../common/testing/fake-clock.ts';
import { FakeKube } from '../common/testing/fake-kube.ts';
import { rotate } from './ca.ts';

const key = { namespace: 'istio-system', name: 'istio-ca-root-rotation' };

function world() {
  const kube = new FakeKube();
  const clock = new FakeClock();
  return {
    ask: (action: 'status' | 'rotate' | 'abort') => rotate(action, kube, key.namespace, clock),
    data: async () => (await kube.get(configMapKind, key))?.data,
    /** As istiod writes it. */
    says: (data: Readonly<Record<string, string>>) => kube.patch(configMapKind, key, { data }),
  };
}

test('a replacement is asked for once, followed, and taken back in time', async () => {
  const w = world();
  assert.equal(await w.ask('status'), 'phase: none');
  await assert.rejects(w.ask('abort'), /no replacement/);
  await w.ask('rotate');
  const request = (await w.data())!['rotate']!;
  assert.match(request, /^\d{4}-/);
  assert.match(await w.ask('status'), /has not heard/);
  await assert.rejects(w.ask('rotate'), /under way/);
  const waiting = '2 certificates\nshop/a spiffe://x: has not renewed';
  await w.says({
    'status.request': request,
    'status.phase': 'distributing',
    'status.waiting': waiting,
    'status.signs': 'old',
  });
  assert.equal(
    await w.ask('status'),
    'phase: distributing\nsigns: old\nwaits for: 2 certificates\n  shop/a spiffe://x: has not renewed',
  );
  await w.ask('abort');
  assert.equal((await w.data())!['abort'], request);
});

test('a new root that signs cannot be taken back; after one replacement comes the next', async () => {
  const w = world();
  await w.ask('rotate');
  const request = (await w.data())!['rotate']!;
  await w.says({ 'status.request': request, 'status.phase': 'retiring' });
  await assert.rejects(w.ask('abort'), /signs already/);
  await w.says({ 'status.phase': 'none', 'status.waiting': '' });
  await assert.rejects(w.ask('abort'), /no replacement/);
  assert.match(await w.ask('rotate'), /asked for/);
});
