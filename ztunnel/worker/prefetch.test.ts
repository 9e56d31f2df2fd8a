import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MeshStore } from '../../common/mesh/store.ts';
import { workload } from '../../common/testing/builders.ts';
import { Prefetcher } from './prefetch.ts';

function watched() {
  const store = new MeshStore();
  const held: string[] = [];
  const certificates = {
    prefetch: (i: { serviceAccount: string }) => void held.push(i.serviceAccount),
    forget: (i: { serviceAccount: string }) => void held.splice(held.indexOf(i.serviceAccount), 1),
    entries: () => [],
  };
  const prefetcher = new Prefetcher(store, certificates, 'node-1', () => false);
  store.onChange((changes) => prefetcher.meshChanged(changes));
  return { store, held };
}

const a1 = workload({ name: 'a1', serviceAccount: 'a' });
const a2 = workload({ name: 'a2', serviceAccount: 'a' });

test('an identity is fetched once and dropped with its last workload', () => {
  const { store, held } = watched();
  store.apply({ addresses: [a1, a2] });
  assert.deepEqual(held, ['a']);
  store.apply({ removedAddresses: [a1.uid] });
  assert.deepEqual(held, ['a']);
  store.apply({ removedAddresses: [a2.uid] });
  assert.deepEqual(held, []);
});

test('only workloads of this node that take HBONE count', () => {
  const { store, held } = watched();
  store.apply({
    addresses: [
      workload({ name: 'far', serviceAccount: 'far', node: 'node-2' }),
      workload({ name: 'plain', serviceAccount: 'plain', tunnelProtocol: 'NONE' }),
      workload({ name: 'native', serviceAccount: 'native', tunnelProtocol: 'NONE', nativeTunnel: true }),
    ],
  });
  assert.deepEqual(held, ['native']);
});

test('a workload that changes its identity changes what is held', () => {
  const { store, held } = watched();
  store.apply({ addresses: [a1] });
  store.apply({ addresses: [{ ...a1, serviceAccount: 'b' }] });
  assert.deepEqual(held, ['b']);
  store.apply({ addresses: [{ ...a1, serviceAccount: 'b', tunnelProtocol: 'NONE' }] });
  assert.deepEqual(held, []);
});
