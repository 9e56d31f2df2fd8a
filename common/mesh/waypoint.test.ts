/** The waypoint rules of ambient-wire 2.2 and the gateway rules of 2.3, a row for each sentence. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CompatCase } from '../core/compat.ts';
import { parseSocketAddr } from '../core/net.ts';
import {
  identity,
  ip,
  networkAddress,
  port,
  serves,
  service,
  storeOf,
  waypoint,
  workload,
} from '../testing/builders.ts';
import { type OutboundRoute, resolveOutbound } from './outbound.ts';
import type { MeshStore } from './store.ts';
import type { GatewayAddress, Workload } from './types.ts';

const source = workload({ name: 'client', addresses: [ip('10.0.0.9')] });

function outbound(
  store: MeshStore,
  target: string,
  from = source,
  random = 0,
  compat: CompatCase[] = [],
): OutboundRoute {
  const q = { source: from, target: parseSocketAddr(target)!, network: '', compat: new Set(compat) };
  return resolveOutbound(store, { ...q, random: () => random });
}

function refusal(route: OutboundRoute): string {
  return route.kind === 'refused' ? `${route.code}: ${route.reason}` : assert.fail(`not refused but ${route.kind}`);
}

const wpService = service({
  name: 'wp',
  namespace: 'infra',
  addresses: [networkAddress('/10.96.0.9')],
  ports: [{ servicePort: 15_008, targetPort: 15_008 }],
  subjectAltNames: ['spiffe://cluster.local/ns/infra/sa/extra'],
});
const wpPod = workload({
  name: 'wp-0',
  namespace: 'infra',
  serviceAccount: 'wp',
  addresses: [ip('10.0.0.20')],
  tunnelProtocol: 'NONE',
  services: serves(wpService, 15_008, 15_008),
});
const byHost = waypoint(`infra/${wpService.hostname}`);
const address = (text: string, at = 15_008): GatewayAddress => ({
  destination: { kind: 'address', ...networkAddress(text) },
  hboneMtlsPort: port(at),
});

const svc = service({ addresses: [networkAddress('/10.96.0.1')], waypoint: byHost });
const pod = workload({ name: 'p', serviceAccount: 'web', addresses: [ip('10.0.0.1')], services: serves(svc) });
const viaWp = {
  kind: 'waypoint',
  workload: wpPod,
  dial: { ip: '10.0.0.20', port: 15_008 },
  authority: '10.96.0.1:80',
  expected: [identity('infra', 'extra'), identity('infra', 'wp')],
  service: svc,
};

test('a service waypoint by host name: its endpoint is dialled, the authority stays the VIP', () => {
  assert.deepEqual(outbound(storeOf(svc, pod, wpService, wpPod), '10.96.0.1:80'), viaWp);
});

test('the port of the service need not exist here: the waypoint decides that', () => {
  const route = outbound(storeOf(svc, pod, wpService, wpPod), '10.96.0.1:81');
  assert.equal(route.kind === 'waypoint' && route.authority, '10.96.0.1:81');
});

test('a waypoint by the address of a service, and by that of a workload', () => {
  const byVip = { ...svc, waypoint: address('/10.96.0.9') };
  assert.deepEqual(outbound(storeOf(byVip, pod, wpService, wpPod), '10.96.0.1:80'), { ...viaWp, service: byVip });
  const byPod = { ...svc, waypoint: address('/10.0.0.20', 15_009) };
  assert.deepEqual(outbound(storeOf(byPod, pod, wpService, wpPod), '10.96.0.1:80'), {
    ...viaWp,
    service: byPod,
    dial: { ip: '10.0.0.20', port: 15_009 },
    expected: [identity('infra', 'wp')],
  });
});

test('a waypoint by the host name of a workload is found by DNS', () => {
  const named = workload({ name: 'ext', namespace: 'infra', serviceAccount: 'ext', hostname: 'wp.example' });
  const s = { ...svc, waypoint: waypoint('infra/wp.example') };
  const route = outbound(storeOf(s, pod, named), '10.96.0.1:80');
  assert.ok(route.kind === 'hostname' && route.hostname === 'wp.example');
  assert.deepEqual(route.at(ip('192.0.2.1')), {
    kind: 'waypoint',
    workload: named,
    dial: { ip: '192.0.2.1', port: 15_008 },
    authority: '10.96.0.1:80',
    expected: [identity('infra', 'ext')],
    service: s,
  });
});

test('the target port of the waypoint service is dialled', () => {
  const other = { ...wpService, ports: [{ servicePort: 15_008, targetPort: 25_008 }] };
  const route = outbound(
    storeOf(svc, pod, other, { ...wpPod, services: new Map([[`infra/${other.hostname}`, []]]) }),
    '10.96.0.1:80',
  );
  assert.deepEqual(route.kind === 'waypoint' && route.dial, { ip: '10.0.0.20', port: 25_008 });
});

test('an endpoint with an application tunnel need not have the HBONE port, others must', () => {
  const sandwich = { ...wpService, ports: [{ servicePort: 15_021, targetPort: 15_021 }] };
  const services = new Map([[`infra/${sandwich.hostname}`, [{ servicePort: 15_021, targetPort: 15_021 }]]]);
  const tunnelled: Workload = { ...wpPod, services, applicationTunnel: { protocol: 'PROXY', port: 15_088 } };
  const route = outbound(storeOf(svc, pod, sandwich, tunnelled), '10.96.0.1:80');
  assert.deepEqual(route.kind === 'waypoint' && route.dial, { ip: '10.0.0.20', port: 15_008 });
  const without = { ...wpPod, services };
  assert.match(
    refusal(outbound(storeOf(svc, pod, sandwich, without), '10.96.0.1:80')),
    /behind waypoint .*no healthy endpoint/,
  );
});

test('an unknown waypoint refuses, and is bypassed only by the compatibility case', () => {
  const store = storeOf(svc, pod);
  assert.match(
    refusal(outbound(store, '10.96.0.1:80')),
    /^NO_HEALTHY_UPSTREAM: service default\/svc.* is behind waypoint infra\/wp\.infra.*, which the mesh does not know/,
  );
  assert.equal(outbound(store, '10.96.0.1:80', source, 0, ['no-waypoint']).kind, 'hbone');
  const direct = storeOf({ ...pod, waypoint: byHost });
  assert.match(refusal(outbound(direct, '10.0.0.1:80')), /^NO_HEALTHY_UPSTREAM: workload default\/p is behind/);
  assert.equal(outbound(direct, '10.0.0.1:80', source, 0, ['no-waypoint']).kind, 'hbone');
});

test('a waypoint without endpoints refuses, also in the compatibility case', () => {
  const store = storeOf(svc, pod, wpService);
  assert.match(refusal(outbound(store, '10.96.0.1:80')), /no healthy endpoint of infra\/wp/);
  assert.equal(outbound(store, '10.96.0.1:80', source, 0, ['no-waypoint']).kind, 'refused');
});

test('weighted waypoints: by weight, and the plain one only where none weighs anything', () => {
  const canary = service({ ...wpService, name: 'canary', hostname: 'canary.infra.svc.cluster.local', addresses: [] });
  const canaryPod = workload({
    ...wpPod,
    uid: 'c',
    name: 'canary-0',
    addresses: [ip('10.0.0.30')],
    services: serves(canary, 15_008, 15_008),
  });
  const weighted = {
    ...svc,
    weightedWaypoints: [
      { waypoint: byHost, weight: 80 },
      { waypoint: waypoint(`infra/${canary.hostname}`), weight: 20 },
    ],
  };
  const store = storeOf(weighted, pod, wpService, wpPod, canary, canaryPod);
  const at = (random: number) => {
    const route = outbound(store, '10.96.0.1:80', source, random);
    return route.kind === 'waypoint' && route.workload.name;
  };
  assert.deepEqual([at(0), at(0.79), at(0.8), at(0.99)], ['wp-0', 'wp-0', 'canary-0', 'canary-0']);
  const weightless = { ...svc, weightedWaypoints: [{ waypoint: waypoint('infra/none'), weight: 0 }] };
  assert.equal(outbound(storeOf(weightless, pod, wpService, wpPod), '10.96.0.1:80').kind, 'waypoint');
});

const guarded = { ...pod, waypoint: byHost };

test('a workload waypoint takes what is addressed to the pod, with the pod in the authority', () => {
  const route = outbound(storeOf(guarded, wpService, wpPod), '10.0.0.1:80');
  assert.ok(route.kind === 'waypoint');
  assert.deepEqual([route.authority, route.dial.ip, route.service], ['10.0.0.1:80', '10.0.0.20', undefined]);
});

test('what is addressed to a service never uses the waypoint of a workload', () => {
  const open = service({ addresses: [networkAddress('/10.96.0.1')] });
  const passthrough = { mode: 'PASSTHROUGH' as const, routingPreference: [], healthPolicy: 'ALLOW_ALL' as const };
  assert.equal(outbound(storeOf(open, guarded, wpService, wpPod), '10.96.0.1:80').kind, 'hbone');
  const original = service({ addresses: [networkAddress('/10.0.0.1')], loadBalancing: passthrough });
  assert.equal(outbound(storeOf(original, guarded, wpService, wpPod), '10.0.0.1:80').kind, 'hbone');
});

test('an instance of a waypoint does not go through it to its workloads, other pods of its account do', () => {
  const store = storeOf(guarded, wpService, wpPod);
  const from = { ...wpPod, tunnelProtocol: 'HBONE' as const };
  assert.equal(outbound(store, '10.0.0.1:80', from).kind, 'hbone');
  const sibling = workload({ name: 'other', namespace: 'infra', serviceAccount: 'wp', addresses: [ip('10.0.0.21')] });
  assert.equal(outbound(store, '10.0.0.1:80', sibling).kind, 'waypoint');
  const single = { ...pod, waypoint: address('/10.0.0.20') };
  assert.equal(outbound(storeOf(single, wpPod), '10.0.0.1:80', from).kind, 'hbone');
});

test('a plain pod is behind its waypoint too', () => {
  assert.equal(
    outbound(storeOf({ ...guarded, tunnelProtocol: 'NONE' }, wpService, wpPod), '10.0.0.1:80').kind,
    'waypoint',
  );
});

test('of several addresses of a waypoint the family of the target is preferred', () => {
  const dual = { ...wpPod, addresses: [ip('fd00::20'), ip('10.0.0.20')] };
  const route = outbound(storeOf(svc, pod, wpService, dual), '10.96.0.1:80');
  assert.equal(route.kind === 'waypoint' && route.dial.ip, '10.0.0.20');
});

const gwService = service({
  name: 'gw',
  namespace: 'infra',
  ports: [{ servicePort: 15_008, targetPort: 15_008 }],
  subjectAltNames: ['spiffe://cluster.local/ns/infra/sa/gw-alt'],
});
const gwPod = workload({
  name: 'gw-0',
  namespace: 'infra',
  serviceAccount: 'gw',
  addresses: [ip('192.0.2.9')],
  services: serves(gwService, 15_008, 15_008),
});
const sans = ['spiffe://cluster.local/ns/far/sa/web', 'nonsense'];
const global = service({ addresses: [networkAddress('/10.96.0.1')], subjectAltNames: sans });
const split = workload({
  uid: 'net-2/SplitHorizonWorkload/gw/default/svc',
  name: 'split',
  network: 'net-2',
  networkGateway: waypoint(`infra/${gwService.hostname}`),
  services: serves(global),
});
const viaGw = {
  kind: 'gateway',
  workload: gwPod,
  dial: { ip: '192.0.2.9', port: 15_008 },
  authority: 'svc.default.svc.cluster.local:80',
  expected: [identity('infra', 'gw-alt'), identity('infra', 'gw')],
  behind: [identity('far', 'web')],
  service: global,
};

test('an endpoint on another network: its gateway is dialled and asked for the service by name', () => {
  assert.deepEqual(outbound(storeOf(global, split, gwService, gwPod), '10.96.0.1:80'), viaGw);
});

test('a gateway by address, as istiod announces those of other networks', () => {
  const remote = workload({
    uid: 'NetworkGateway/net-2/192.0.2.10/15008',
    name: 'ng',
    namespace: 'infra',
    serviceAccount: 'gw',
    network: 'net-2',
    addresses: [ip('192.0.2.10')],
  });
  const s = { ...split, networkGateway: address('net-2/192.0.2.10') };
  assert.deepEqual(outbound(storeOf(global, s, remote), '10.96.0.1:80'), {
    ...viaGw,
    workload: remote,
    dial: { ip: '192.0.2.10', port: 15_008 },
    expected: [identity('infra', 'gw')],
  });
});

test('a gateway known by a DNS name', () => {
  const named = { ...gwPod, addresses: [], hostname: 'gw.example' };
  const route = outbound(storeOf(global, split, gwService, named), '10.96.0.1:80');
  assert.ok(route.kind === 'hostname' && route.hostname === 'gw.example');
  assert.deepEqual(route.at(ip('192.0.2.9')), { ...viaGw, workload: named });
});

test('a waypoint on another network: the authority names the service, the far end must be the waypoint', () => {
  const farWp = { ...wpPod, addresses: [], network: 'net-2', networkGateway: waypoint(`infra/${gwService.hostname}`) };
  const route = outbound(storeOf(svc, pod, wpService, farWp, gwService, gwPod), '10.96.0.1:80');
  assert.deepEqual(route, { ...viaGw, behind: [identity('infra', 'extra')], service: svc });
});

test('what of another network is refused', () => {
  const rows: readonly [string, MeshStore, string, RegExp][] = [
    [
      'no gateway',
      storeOf(global, { ...split, addresses: [ip('10.0.0.1')], networkGateway: undefined as never }),
      '10.96.0.1:80',
      /has no gateway/,
    ],
    [
      'neither address nor gateway',
      storeOf(global, { ...split, networkGateway: undefined as never }),
      '10.96.0.1:80',
      /no healthy endpoint/,
    ],
    ['unknown gateway', storeOf(global, split), '10.96.0.1:80', /behind gateway infra\/gw.*does not know/],
    [
      'gateway without endpoints',
      storeOf(global, split, gwService),
      '10.96.0.1:80',
      /behind gateway .*no healthy endpoint/,
    ],
    [
      'no identities behind it',
      storeOf({ ...global, subjectAltNames: [] }, split, gwService, gwPod),
      '10.96.0.1:80',
      /names no identities/,
    ],
  ];
  for (const [name, store, target, reason] of rows) assert.match(refusal(outbound(store, target)), reason, name);
});

test('a single address of another network is refused, also with a gateway', () => {
  const far = workload({
    name: 'far',
    addresses: [ip('10.0.0.1')],
    networkGateway: waypoint(`infra/${gwService.hostname}`),
  });
  const from = { ...source, network: 'net-2' };
  assert.match(refusal(outbound(storeOf(far, gwService, gwPod), '10.0.0.1:80', from)), /only services can be reached/);
});

test('of a network where both are near and far endpoints any is chosen, unless the service prefers its network', () => {
  const near = { ...pod, services: serves(global) };
  const both = (s: typeof global) => storeOf(s, near, { ...split, capacity: 3 }, gwService, gwPod);
  const kinds = (s: typeof global) => [0, 0.3, 0.9].map((r) => outbound(both(s), '10.96.0.1:80', source, r).kind);
  assert.deepEqual(kinds(global), ['hbone', 'gateway', 'gateway']);
  const loadBalancing = {
    mode: 'FAILOVER' as const,
    routingPreference: ['NETWORK' as const],
    healthPolicy: 'ONLY_HEALTHY' as const,
  };
  assert.deepEqual(kinds({ ...global, loadBalancing }), ['hbone', 'hbone', 'hbone']);
});
