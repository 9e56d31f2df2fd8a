import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAuthority } from '../hbone/headers.ts';
import { ip, networkAddress, serves, service, storeOf, workload } from '../testing/builders.ts';
import { inboundService, resolveInbound } from './inbound.ts';
import type { MeshStore } from './store.ts';

const svc = service({ addresses: [networkAddress('/10.96.0.1')] });
const hbone = workload({ name: 'h', serviceAccount: 'web', addresses: [ip('10.0.0.1')], services: serves(svc) });
const local = workload({ name: 'me', addresses: [ip('10.0.0.5')], services: serves(svc, 80, 9090) });
const inbound = (store: MeshStore, authority: string, w = local) =>
  resolveInbound(store, w, parseAuthority(authority)!, ip('10.0.0.5'));

test('inbound: only the address that the connection came to, at the port asked for', () => {
  const store = storeOf(svc, local, hbone);
  const ok = { kind: 'upstream', target: { ip: '10.0.0.5', port: 8080 } };
  assert.deepEqual(inbound(store, '10.0.0.5:8080'), ok);
  for (const authority of ['10.0.0.1:8080', '127.0.0.1:8080', '10.96.0.1:80', '[fd00::1]:80']) {
    const route = inbound(store, authority);
    assert.equal(route.kind === 'refused' && route.status, 400, authority);
  }
  for (const p of [15_001, 15_006, 15_008]) {
    const route = inbound(store, `10.0.0.5:${p}`);
    assert.equal(route.kind === 'refused' && route.status, 503);
  }
});

test('inbound by host name: the port as this pod serves it, else as the service says', () => {
  const store = storeOf(svc, local);
  const host = svc.hostname;
  assert.deepEqual(inbound(store, `${host}:80`), { kind: 'upstream', target: { ip: '10.0.0.5', port: 9090 } });
  const other = workload({ name: 'me', addresses: [ip('10.0.0.5')] });
  assert.deepEqual(inbound(store, `${host}:80`, other), { kind: 'upstream', target: { ip: '10.0.0.5', port: 8080 } });
  for (const authority of [`${host}:81`, 'no.such.host:80']) {
    const route = inbound(store, authority);
    assert.equal(route.kind === 'refused' && route.status, 503, authority);
  }
  const loop = workload({ ...local, services: serves(svc, 80, 15_008) });
  assert.equal(inbound(store, `${host}:80`, loop).kind, 'refused');
});

test('inbound: an application tunnel is refused', () => {
  const tunnelled = workload({ ...local, applicationTunnel: { protocol: 'PROXY', port: 15_088 } });
  const route = inbound(storeOf(), '10.0.0.5:80', tunnelled);
  assert.equal(route.kind === 'refused' && route.status, 503);
});

test('inbound service for telemetry: the one named if it is ours, else the first with that port', () => {
  const two = service({ name: 'two' });
  const foreign = service({ name: 'foreign' });
  const services = new Map([...serves(svc, 80, 9090), ...serves(two, 80, 7070)]);
  const w = workload({ services });
  const store = storeOf(svc, two, foreign, w);
  assert.equal(inboundService(store, w, two.hostname, 9090), two);
  assert.equal(inboundService(store, w, foreign.hostname, 9090), svc);
  assert.equal(inboundService(store, w, undefined, 7070), two);
  assert.equal(inboundService(store, w, undefined, 1), undefined);
});
