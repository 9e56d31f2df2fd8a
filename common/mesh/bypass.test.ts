import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identity, networkAddress, serves, service, waypoint, workload } from '../testing/builders.ts';
import { bypassed } from './bypass.ts';
import { MeshStore } from './store.ts';

const front = service({ name: 'wp', addresses: [networkAddress('/10.96.0.9')] });
const instance = workload({ name: 'wp-0', serviceAccount: 'wp', services: serves(front) });
const behind = waypoint(`default/${front.hostname}`);
const web = service({ name: 'web', waypoint: behind });
const open = service({ name: 'open' });
const plain = workload({ name: 'web-0', services: serves(web) });
const own = { ...plain, waypoint: behind };
const [wp, client] = [identity('default', 'wp'), identity('default', 'client')];

function storeOf(...more: Parameters<MeshStore['apply']>[0]['addresses'] & object): MeshStore {
  const store = new MeshStore();
  store.apply({ addresses: [front, web, open, plain, ...more] });
  return store;
}

test('who is not the waypoint before a workload, or before the service that was asked for, came past it', () => {
  const store = storeOf(instance);
  assert.equal(bypassed(store, own, open, client), 'workload');
  assert.equal(bypassed(store, own, open, undefined), 'workload');
  assert.equal(bypassed(store, own, open, wp), undefined);
  assert.equal(bypassed(store, plain, web, client), 'service');
  assert.equal(bypassed(store, plain, web, wp), undefined);
  assert.equal(bypassed(store, plain, open, client), undefined);
  assert.equal(bypassed(store, plain, undefined, undefined), undefined);
});

test('either of two waypoints may send, also by an address', () => {
  const other = service({ name: 'wp2', addresses: [networkAddress('/10.96.0.10')] });
  const second = workload({ name: 'wp2-0', serviceAccount: 'wp2', services: serves(other) });
  const { hboneMtlsPort } = behind;
  const byAddress = { destination: { kind: 'address', ...networkAddress('/10.96.0.10') }, hboneMtlsPort } as const;
  const weighted = {
    ...web,
    weightedWaypoints: [
      { waypoint: behind, weight: 90 },
      { waypoint: byAddress, weight: 10 },
    ],
  };
  const store = storeOf(instance, other, second);
  assert.equal(bypassed(store, plain, weighted, identity('default', 'wp2')), undefined);
  assert.equal(bypassed(store, plain, weighted, wp), undefined);
  assert.equal(bypassed(store, plain, weighted, client), 'service');
});

test('without a running waypoint nobody can be told from it', () => {
  assert.equal(bypassed(storeOf(), plain, web, client), undefined);
});
