import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatSocketAddr } from '../core/net.ts';
import { parseAuthority } from '../hbone/headers.ts';
import { anyIp } from '../testing/arbitraries.ts';
import { ip, networkAddress, port, serves, service, storeOf, waypoint, workload } from '../testing/builders.ts';
import { proxyPorts } from './address.ts';
import { type InboundQuery, type InboundRoute, inboundService, resolveInbound } from './inbound.ts';
import type { MeshStore } from './store.ts';
import type { ApplicationTunnel, MeshAddress } from './types.ts';

const svc = service({ addresses: [networkAddress('/10.96.0.1')] });
const hbone = workload({ name: 'h', serviceAccount: 'web', addresses: [ip('10.0.0.1')], services: serves(svc) });
const svcWithoutVip = service({ name: 'headless' });
const local = workload({ name: 'me', addresses: [ip('10.0.0.5')], services: serves(svc, 80, 9090) });
const inbound = (store: MeshStore, authority: string, w = local, over: Partial<InboundQuery> = {}) =>
  resolveInbound(store, {
    local: w,
    authority: parseAuthority(authority)!,
    destination: ip('10.0.0.5'),
    network: '',
    clientNamespace: 'default',
    ...over,
  });

/** `status` of a refusal, else the address that is dialled, with what a PROXY header says. */
function outcome(route: InboundRoute): string {
  if (route.kind === 'refused') return String(route.status);
  const announced = route.announce ? ` for ${formatSocketAddr(route.announce)}` : '';
  return formatSocketAddr(route.target) + announced;
}

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

const waypointService = service({ name: 'wp', namespace: 'infra', addresses: [networkAddress('/10.96.0.9')] });
const otherService = service({ name: 'other', namespace: 'infra', addresses: [networkAddress('/10.96.0.10')] });
const byName = waypoint('infra/wp.infra.svc.cluster.local');
const byAddress = (address: string) => ({
  destination: { kind: 'address' as const, network: '', ip: ip(address) },
  hboneMtlsPort: port(15_008),
});
/** An instance of the waypoint that others name, without an application tunnel of its own. */
const gateway = workload({
  name: 'wp-1',
  namespace: 'infra',
  addresses: [ip('10.0.0.5')],
  services: serves(waypointService),
});

test('an address that is not the own one: only where what has it is reached through this very waypoint', async (t) => {
  const guarded = service({ name: 'guarded', addresses: [networkAddress('/10.96.0.2')] });
  const pod = workload({ name: 'guarded-1', addresses: [ip('10.0.0.7')] });
  const otherWaypoint = waypoint('infra/other.infra.svc.cluster.local');
  const rows: readonly [string, MeshAddress, string, string, Partial<InboundQuery>?][] = [
    ['a service by name', { ...guarded, waypoint: byName }, '10.96.0.2:80', '10.0.0.5:80'],
    [
      "a service by the waypoint's VIP",
      { ...guarded, waypoint: byAddress('10.96.0.9') },
      '10.96.0.2:80',
      '10.0.0.5:80',
    ],
    ["a service by the waypoint's pod", { ...guarded, waypoint: byAddress('10.0.0.5') }, '10.96.0.2:80', '10.0.0.5:80'],
    [
      'a service by weight',
      { ...guarded, weightedWaypoints: [{ waypoint: byName, weight: 1 }] },
      '10.96.0.2:80',
      '10.0.0.5:80',
    ],
    ['a workload by name', { ...pod, waypoint: byName }, '10.0.0.7:8080', '10.0.0.5:8080'],
    ["a workload by the waypoint's pod", { ...pod, waypoint: byAddress('10.0.0.5') }, '10.0.0.7:8080', '10.0.0.5:8080'],
    ['a port of the proxy', { ...guarded, waypoint: byName }, '10.96.0.2:15008', '503'],
    ['no waypoint', guarded, '10.96.0.2:80', '400'],
    ['another waypoint', { ...guarded, waypoint: otherWaypoint }, '10.96.0.2:80', '400'],
    ["another waypoint's VIP", { ...guarded, waypoint: byAddress('10.96.0.10') }, '10.96.0.2:80', '400'],
    ['another waypoint by address', { ...guarded, waypoint: byAddress('10.0.0.6') }, '10.96.0.2:80', '400'],
    [
      'a weight of nothing',
      { ...guarded, weightedWaypoints: [{ waypoint: byName, weight: 0 }] },
      '10.96.0.2:80',
      '400',
    ],
    ['another network', { ...guarded, waypoint: byName }, '10.96.0.2:80', '400', { network: 'net-2' }],
    [
      'a service that the client does not see',
      { ...guarded, waypoint: byName, visibility: 'NAMESPACE' },
      '10.96.0.2:80',
      '400',
      { clientNamespace: 'shop' },
    ],
    ['an unknown address', { ...guarded, waypoint: byName }, '10.96.0.3:80', '400'],
  ];
  for (const [name, owner, authority, expected, over] of rows) {
    await t.test(name, () => {
      const store = storeOf(waypointService, otherService, gateway, owner);
      assert.equal(outcome(inbound(store, authority, gateway, over)), expected);
    });
  }
});

test('an application tunnel takes any address, may have a port of its own, and PROXY tells what was meant', async (t) => {
  const named = service({
    name: 'named',
    addresses: ['/fd00::7', '/10.96.0.7'].map(networkAddress),
    ports: [{ servicePort: 80, targetPort: 8080 }],
  });
  const six = service({ name: 'six', addresses: [networkAddress('/fd00::8')] });
  const rows: readonly [ApplicationTunnel, string, string][] = [
    [{ protocol: 'NONE', port: 0 }, '10.96.0.2:80', '10.0.0.5:80'],
    [{ protocol: 'NONE', port: 9999 }, '10.96.0.2:80', '10.0.0.5:9999'],
    [{ protocol: 'NONE', port: 9999 }, '10.0.0.5:80', '10.0.0.5:9999'],
    [{ protocol: 'PROXY', port: 15_088 }, '10.96.0.2:80', '10.0.0.5:15088 for 10.96.0.2:80'],
    [{ protocol: 'PROXY', port: 0 }, '[fd00::2]:80', '10.0.0.5:80 for [fd00::2]:80'],
    [{ protocol: 'PROXY', port: 15_088 }, `${named.hostname}:80`, '10.0.0.5:15088 for 10.96.0.7:80'],
    [{ protocol: 'PROXY', port: 0 }, `${named.hostname}:80`, '10.0.0.5:8080 for 10.96.0.7:80'],
    [{ protocol: 'PROXY', port: 15_088 }, `${six.hostname}:80`, '10.0.0.5:15088 for [fd00::8]:80'],
    [{ protocol: 'PROXY', port: 15_088 }, `${svcWithoutVip.hostname}:80`, '503'],
    [{ protocol: 'NONE', port: 15_088 }, `${svcWithoutVip.hostname}:80`, '10.0.0.5:15088'],
    [{ protocol: 'PROXY', port: 15_088 }, 'no.such.host:80', '503'],
    [{ protocol: 'PROXY', port: 15_088 }, '10.96.0.2:15008', '503'],
    [{ protocol: 'PROXY', port: 15_008 }, '10.96.0.2:80', '503'],
  ];
  for (const [applicationTunnel, authority, expected] of rows) {
    await t.test(`${applicationTunnel.protocol} ${applicationTunnel.port}, ${authority}`, () => {
      const store = storeOf(named, six, svcWithoutVip);
      assert.equal(outcome(inbound(store, authority, { ...local, applicationTunnel })), expected);
    });
  }
});

test('a named port is the one that this pod serves; nobody else is asked', () => {
  const named = service({ name: 'named', ports: [{ servicePort: 80, targetPort: 0 }] });
  const store = storeOf(named);
  const serving = workload({ ...local, services: serves(named, 80, 7070) });
  assert.equal(outcome(inbound(store, `${named.hostname}:80`, serving)), '10.0.0.5:7070');
  assert.equal(outcome(inbound(store, `${named.hostname}:80`)), '503');
  const same = service({ ...named, namespace: 'other', canonical: false });
  assert.equal(outcome(inbound(storeOf(same, named), `${named.hostname}:80`, serving)), '10.0.0.5:7070');
});

test('whatever is asked for, only this pod is dialled, and never at a port of the proxy', () => {
  const hosts = fc.oneof(
    anyIp.map((i) => (i.includes(':') ? `[${i}]` : i)),
    fc.constantFrom(
      '10.0.0.5',
      '10.0.0.1',
      '10.96.0.1',
      '127.0.0.1',
      '[::1]',
      '[::ffff:10.0.0.5]',
      svc.hostname,
      'a.b',
    ),
  );
  const ports = fc.oneof(
    fc.integer({ min: 0, max: 65_535 }),
    fc.constantFrom(80, 8080, 15_001, 15_006, 15_008, 15_088),
  );
  const tunnels = fc.constantFrom<ApplicationTunnel | undefined>(
    undefined,
    ...(['NONE', 'PROXY'] as const).flatMap((protocol) => [0, 15_088, 15_006].map((p) => ({ protocol, port: p }))),
  );
  const store = storeOf(svc, local, hbone);
  fc.assert(
    fc.property(hosts, ports, tunnels, (host, p, applicationTunnel) => {
      const authority = parseAuthority(`${host}:${p}`);
      if (!authority) return;
      const route = inbound(store, `${host}:${p}`, { ...local, ...(applicationTunnel && { applicationTunnel }) });
      if (route.kind === 'refused') return;
      assert.equal(route.target.ip, '10.0.0.5');
      assert.ok(!proxyPorts.has(route.target.port));
      assert.ok(applicationTunnel || authority.kind === 'hostname' || authority.address.ip === '10.0.0.5');
    }),
    { numRuns: 10_000 },
  );
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
