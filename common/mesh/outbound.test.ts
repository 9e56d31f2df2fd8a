import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Compat } from '../core/compat.ts';
import { parseSocketAddr } from '../core/net.ts';
import { anyIp } from '../testing/arbitraries.ts';
import { identity, ip, networkAddress, port, serves, service, storeOf, workload } from '../testing/builders.ts';
import { findAddress, workloadIp } from './address.ts';
import { type OutboundRoute, resolveOutbound } from './outbound.ts';
import type { MeshStore } from './store.ts';
import type { Workload } from './types.ts';

const source = workload({ name: 'client', addresses: [ip('10.0.0.9')] });

const noCompat: Compat = new Set();

function outbound(store: MeshStore, target: string, from: Workload = source): OutboundRoute {
  return resolveOutbound(store, {
    source: from,
    target: parseSocketAddr(target)!,
    network: '',
    compat: new Set(),
    random: () => 0,
  });
}

function refusal(route: OutboundRoute): string {
  return route.kind === 'refused' ? `${route.code}: ${route.reason}` : assert.fail(`not refused but ${route.kind}`);
}

const svc = service({ addresses: [networkAddress('/10.96.0.1')] });
const hbone = workload({ name: 'h', serviceAccount: 'web', addresses: [ip('10.0.0.1')], services: serves(svc) });
const plain = workload({ name: 'p', addresses: [ip('10.0.0.2')], tunnelProtocol: 'NONE' });

test('an unknown address is passed through, also where its family is unknown', () => {
  const store = storeOf(svc, hbone);
  assert.deepEqual(outbound(store, '8.8.8.8:53'), { kind: 'passthrough', target: { ip: '8.8.8.8', port: 53 } });
  assert.equal(outbound(store, '[2001:db8::1]:80').kind, 'passthrough');
});

test('a workload by its address: HBONE to port 15008 for the port asked for, or plain', () => {
  const store = storeOf(hbone, plain);
  assert.deepEqual(outbound(store, '10.0.0.1:8080'), {
    kind: 'hbone',
    workload: hbone,
    dial: { ip: '10.0.0.1', port: 15_008 },
    authority: '10.0.0.1:8080',
    expected: [identity('default', 'web')],
  });
  assert.deepEqual(outbound(store, '10.0.0.2:8080'), {
    kind: 'plain',
    workload: plain,
    target: { ip: '10.0.0.2', port: 8080 },
  });
});

test('a VIP becomes an endpoint with its target port; SANs of the service prove the peer too', () => {
  const named = service({
    ...svc,
    subjectAltNames: [
      'spiffe://cluster.local/ns/other/sa/x',
      'not a spiffe id',
      'spiffe://cluster.local/ns/default/sa/web',
    ],
  });
  const route = outbound(storeOf(named, hbone), '10.96.0.1:80');
  assert.deepEqual(route, {
    kind: 'hbone',
    workload: hbone,
    service: named,
    dial: { ip: '10.0.0.1', port: 15_008 },
    authority: '10.0.0.1:8080',
    expected: [identity('other', 'x'), identity('default', 'web')],
  });
});

test('an address that is a VIP and a workload is taken for the VIP when dialling, for the workload when naming', () => {
  const both = workload({ name: 'both', addresses: [ip('10.96.0.1')] });
  const store = storeOf(svc, hbone, both);
  const route = outbound(store, '10.96.0.1:80');
  assert.equal(route.kind === 'hbone' && route.workload.name, 'h');
  assert.equal(findAddress(store, '', ip('10.96.0.1'), 'default'), both);
  assert.equal(findAddress(storeOf(svc), '', ip('10.96.0.1'), 'default'), svc);
});

test('no endpoint or port: refused, never passed through', () => {
  assert.match(refusal(outbound(storeOf(svc), '10.96.0.1:80')), /^NO_HEALTHY_UPSTREAM: no healthy endpoint/);
  assert.match(refusal(outbound(storeOf(svc, hbone), '10.96.0.1:81')), /^NO_HEALTHY_UPSTREAM: .*no port 81/);
  const sick = { ...hbone, status: 'UNHEALTHY' as const };
  assert.match(refusal(outbound(storeOf(svc, sick), '10.96.0.1:80')), /^NO_HEALTHY_UPSTREAM/);
});

test('the ports of the proxy itself on loopback are refused', () => {
  for (const target of ['127.0.0.1:15001', '127.9.9.9:15006', '[::1]:15008']) {
    assert.match(refusal(outbound(storeOf(), target)), /^LOOP/);
  }
  assert.equal(outbound(storeOf(), '127.0.0.1:80').kind, 'passthrough');
  assert.equal(outbound(storeOf(), '10.1.1.1:15001').kind, 'passthrough');
  const route = resolveOutbound(storeOf(), {
    source,
    target: parseSocketAddr('127.0.0.1:40000')!,
    network: '',
    compat: noCompat,
    illegalPorts: new Set([40_000]),
    random: () => 0,
  });
  assert.match(refusal(route), /^LOOP/);
});

test('a PASSTHROUGH service goes where it was sent, but what takes HBONE there gets HBONE', () => {
  const loadBalancing = { mode: 'PASSTHROUGH' as const, routingPreference: [], healthPolicy: 'ALLOW_ALL' as const };
  const open = service({ loadBalancing, addresses: [networkAddress('/10.0.0.0/8')] });
  const store = storeOf(open, hbone, plain);
  assert.deepEqual(outbound(store, '10.9.9.9:443'), {
    kind: 'passthrough',
    target: { ip: '10.9.9.9', port: 443 },
    service: open,
  });
  assert.equal(outbound(store, '10.0.0.1:443').kind, 'hbone');
  assert.equal(outbound(store, '10.0.0.2:443').kind, 'plain');
});

test('an endpoint known by name only goes on at the address that DNS gives; one of the wrong family is refused', () => {
  const byName = workload({ name: 'n', hostname: 'db.example', services: serves(svc) });
  const route = outbound(storeOf(svc, byName), '10.96.0.1:80');
  assert.ok(route.kind === 'hostname');
  assert.deepEqual(
    [route.hostname, route.preferIpv6, route.workload, route.service],
    ['db.example', false, byName, svc],
  );
  const at = route.at(ip('192.0.2.7'));
  assert.ok(at.kind === 'hbone');
  assert.deepEqual([at.dial, at.authority], [{ ip: '192.0.2.7', port: 15_008 }, '192.0.2.7:8080']);
  const outside = storeOf(svc, { ...byName, tunnelProtocol: 'NONE' });
  const plainRoute = outbound(outside, '10.96.0.1:80');
  assert.deepEqual(plainRoute.kind === 'hostname' && plainRoute.at(ip('192.0.2.7')), {
    kind: 'plain',
    target: { ip: '192.0.2.7', port: 8080 },
    workload: { ...byName, tunnelProtocol: 'NONE' },
    service: svc,
  });
  const v6only = service({ ...svc, ipFamilies: 'IPV6_ONLY' });
  assert.match(refusal(outbound(storeOf(v6only, hbone), '10.96.0.1:80')), /no address of a family/);
  const withAddress = { ...hbone, hostname: 'db.example' };
  assert.match(refusal(outbound(storeOf(v6only, withAddress), '10.96.0.1:80')), /no address of a family/);
});

test('which address of a workload', () => {
  const dual = workload({ addresses: [ip('10.0.0.1'), ip('10.0.0.2'), ip('fd00::1')] });
  const only = (ipFamilies: 'IPV4_ONLY' | 'IPV6_ONLY') => service({ ipFamilies });
  assert.equal(workloadIp(dual, undefined, ip('10.0.0.2')), '10.0.0.2');
  assert.equal(workloadIp(dual, undefined, ip('10.96.0.1')), '10.0.0.1');
  assert.equal(workloadIp(dual, undefined, ip('fd00:96::1')), 'fd00::1');
  assert.equal(workloadIp(dual, only('IPV4_ONLY'), ip('fd00:96::1')), '10.0.0.1');
  assert.equal(workloadIp(dual, only('IPV6_ONLY'), ip('10.96.0.1')), 'fd00::1');
  assert.equal(workloadIp(workload(), undefined, ip('10.96.0.1')), undefined);
});

test('whatever is known as HBONE is never reached in plain text', () => {
  const modes = fc.constantFrom(
    'UNSPECIFIED_MODE' as const,
    'STRICT' as const,
    'FAILOVER' as const,
    'PASSTHROUGH' as const,
  );
  fc.assert(
    fc.property(fc.array(anyIp, { minLength: 1, maxLength: 3 }), modes, fc.boolean(), (addresses, mode, vip) => {
      const loadBalancing = { mode, routingPreference: [], healthPolicy: 'ALLOW_ALL' as const };
      const s = service({ loadBalancing, addresses: vip ? [{ network: '', ip: addresses[0]! }] : [] });
      const w = workload({ addresses, services: serves(s) });
      for (const target of addresses) {
        const q = { source, target: { ip: target, port: port(80) }, network: '', compat: noCompat, random: () => 0.5 };
        assert.match(resolveOutbound(storeOf(s, w), q).kind, /^(hbone|refused)$/);
      }
    }),
  );
});
