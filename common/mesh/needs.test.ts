import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSocketAddr } from '../core/net.ts';
import { parseAuthority } from '../hbone/headers.ts';
import { ip, networkAddress, serves, service, storeOf, waypoint, workload } from '../testing/builders.ts';
import { inboundNeeds, labelNeeds, outboundNeeds } from './needs.ts';
import type { MeshAddress } from './types.ts';

const source = workload({ name: 'client', addresses: [ip('10.0.0.9')] });
const needs = (target: string, ...known: readonly MeshAddress[]) =>
  outboundNeeds(storeOf(...known), { source, target: parseSocketAddr(target)!, network: '' });

const svc = service({ addresses: [networkAddress('/10.96.0.1')] });

test('the target itself; nothing for loopback', () => {
  assert.deepEqual(needs('10.0.0.1:80'), ['/10.0.0.1']);
  assert.deepEqual(needs('127.0.0.1:80'), []);
});

test('a service leads to its waypoints, those to what they consist of', () => {
  const wp = service({ name: 'wp', namespace: 'infra' });
  const reference = waypoint(`infra/${wp.hostname}`);
  const guarded = { ...svc, waypoint: reference };
  assert.deepEqual(needs('10.96.0.1:80', guarded), ['/10.96.0.1', `infra/${wp.hostname}`]);
  const far = workload({ name: 'far', network: 'n2', networkGateway: waypoint('infra/gw'), services: serves(wp) });
  assert.deepEqual(needs('10.96.0.1:80', guarded, wp, far), ['/10.96.0.1', `infra/${wp.hostname}`, 'infra/gw']);
  const weighted = {
    ...svc,
    weightedWaypoints: [
      { waypoint: waypoint('a/b'), weight: 1 },
      { waypoint: reference, weight: 0 },
    ],
  };
  assert.deepEqual(needs('10.96.0.1:80', weighted), ['/10.96.0.1', 'a/b']);
});

test('a service leads to the gateways of its far endpoints, not of near ones', () => {
  const far = workload({ name: 'far', network: 'n2', networkGateway: waypoint('infra/gw'), services: serves(svc) });
  const near = workload({ name: 'near', networkGateway: waypoint('infra/other'), services: serves(svc) });
  assert.deepEqual(needs('10.96.0.1:80', svc, far, near), ['/10.96.0.1', 'infra/gw']);
});

test('a workload leads to its waypoint', () => {
  const w = workload({ name: 'w', addresses: [ip('10.0.0.1')], waypoint: waypoint('infra/wp') });
  assert.deepEqual(needs('10.0.0.1:80', w), ['/10.0.0.1', 'infra/wp']);
});

test('inbound: a host name, or an address that is not the own one together with the own services', () => {
  const local = workload({ addresses: [ip('10.0.0.5')], services: serves(svc) });
  const of = (authority?: string) => ({
    local,
    remote: ip('10.0.0.9'),
    authority: authority === undefined ? undefined : parseAuthority(authority),
    network: '',
  });
  const own = `default/${svc.hostname}`;
  assert.deepEqual(inboundNeeds(of('10.0.0.5:80')), []);
  assert.deepEqual(inboundNeeds(of()), []);
  assert.deepEqual(inboundNeeds(of('web.default:80')), ['default/web.default']);
  assert.deepEqual(inboundNeeds(of('10.96.0.9:80')), ['/10.96.0.9', own]);
  assert.deepEqual(labelNeeds(of()), [own, '/10.0.0.9']);
  assert.deepEqual(labelNeeds({ ...of(), remote: ip('127.0.0.1') }), [own]);
});
