import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MeshStore } from '../mesh/store.ts';
import type { MeshAddress, Workload } from '../mesh/types.ts';
import { ip, networkAddress, serves, service, workload } from '../testing/builders.ts';
import { candidates, type NameAnswer, type NameOptions, resolveName, searchDomains } from './resolve.ts';

const client = workload({ name: 'client', namespace: 'shop' });
const options: NameOptions = {
  clusterDomain: 'cluster.local',
  searchDomains: searchDomains('shop', 'cluster.local'),
  preferredNamespace: undefined,
  ipv6: true,
  random: () => 0,
};

function ask(
  addresses: readonly MeshAddress[],
  name: string,
  type: 'A' | 'AAAA' = 'A',
  over: Partial<NameOptions> = {},
  from: Workload = client,
): NameAnswer {
  const store = new MeshStore();
  store.apply({ addresses });
  return resolveName(store, { name, type, client: from }, { ...options, ...over });
}

/** `name type data` of each record; undefined where the name is not ours. */
function records(answer: NameAnswer): readonly string[] | undefined {
  return answer.kind === 'found' ? answer.records.map((r) => `${r.name} ${r.type} ${r.data}`) : undefined;
}

const web = service({
  name: 'web',
  namespace: 'shop',
  addresses: ['/10.96.0.1', '/fd00:96::1', 'net-2/10.97.0.1', '/10.99.0.0/16'].map(networkAddress),
});
const external = service({
  name: 'ext',
  namespace: 'shop',
  hostname: 'www.example.com',
  addresses: [networkAddress('/240.0.0.1')],
});
const wildcard = service({
  name: 'wild',
  namespace: 'shop',
  hostname: '*.wild.example',
  addresses: [networkAddress('/240.0.0.2')],
});

test('candidates, in order', () => {
  const names = (name: string, search: readonly string[] = []) =>
    [...candidates(name, 'shop', { clusterDomain: 'cluster.local', searchDomains: search })].map((c) =>
      c.stripped === undefined ? c.name : `${c.name} (${c.stripped})`,
    );
  assert.deepEqual(names('web'), ['web', 'web.shop.svc.cluster.local']);
  assert.deepEqual(names('web.ns'), ['web.ns', 'web.ns.svc.cluster.local', 'web.ns.shop.svc.cluster.local']);
  assert.deepEqual(names('web.ns.svc'), ['web.ns.svc', 'web.ns.svc.cluster.local', 'web.ns.svc.svc.cluster.local']);
  assert.deepEqual(names('a.b.c'), ['a.b.c', 'a.b.c.svc.cluster.local']);
  assert.deepEqual(names('p.web.ns.svc'), ['p.web.ns.svc', 'p.web.ns.svc.cluster.local']);
  assert.deepEqual(names('a.b.c.d'), ['a.b.c.d']);
  assert.deepEqual(names('a.b.c.d.e'), ['a.b.c.d.e']);
  assert.deepEqual(names('x.cluster.local', ['shop.svc.cluster.local', 'cluster.local']), [
    'x.cluster.local',
    'x.cluster.local.svc.cluster.local',
    'x (x)',
    'x.shop.svc.cluster.local (x)',
  ]);
});

test("VIPs of the client's network and the family asked for, CIDR VIPs never", () => {
  const full = 'web.shop.svc.cluster.local';
  assert.deepEqual(records(ask([web], full)), [`${full} A 10.96.0.1`]);
  assert.deepEqual(records(ask([web], full, 'AAAA')), [`${full} AAAA fd00:96::1`]);
  assert.deepEqual(records(ask([web], full, 'A', {}, workload({ namespace: 'shop', network: 'net-2' }))), [
    `${full} A 10.97.0.1`,
  ]);
  assert.deepEqual(records(ask([web], full, 'A', {}, workload({ namespace: 'shop', network: 'net-3' }))), []);
});

test('short names, case and final dot; the answer has the name as asked', () => {
  assert.deepEqual(records(ask([web], 'WEB')), ['WEB A 10.96.0.1']);
  assert.deepEqual(records(ask([web], 'web.shop.')), ['web.shop A 10.96.0.1']);
  assert.deepEqual(records(ask([web], 'web.shop.svc')), ['web.shop.svc A 10.96.0.1']);
  assert.equal(records(ask([web], 'web.other')), undefined);
});

test('a search domain that was appended is answered by a CNAME to the name without it', () => {
  assert.deepEqual(records(ask([external], 'www.example.com.shop.svc.cluster.local')), [
    'www.example.com.shop.svc.cluster.local CNAME www.example.com',
    'www.example.com A 240.0.0.1',
  ]);
  assert.deepEqual(records(ask([external], 'www.example.com')), ['www.example.com A 240.0.0.1']);
  assert.deepEqual(records(ask([external], 'www.example.com.shop.svc.cluster.local', 'AAAA')), []);
});

test('wildcards match below, not the domain itself, and are answered without CNAME', () => {
  assert.deepEqual(records(ask([wildcard], 'a.b.wild.example')), ['a.b.wild.example A 240.0.0.2']);
  assert.deepEqual(records(ask([wildcard], 'a.wild.example.cluster.local')), [
    'a.wild.example.cluster.local A 240.0.0.2',
  ]);
  assert.equal(records(ask([wildcard], 'wild.example')), undefined);
  const closer = service({ namespace: 'shop', hostname: 'x.wild.example', addresses: [networkAddress('/240.0.0.3')] });
  assert.deepEqual(records(ask([wildcard, closer], 'x.wild.example')), ['x.wild.example A 240.0.0.3']);
});

test('a family that does not exist or is not allowed: found, without records', () => {
  const v4 = service({ ...web, ipFamilies: 'IPV4_ONLY' });
  assert.deepEqual(records(ask([v4], 'web', 'AAAA')), []);
  assert.deepEqual(records(ask([service({ ...web, ipFamilies: 'IPV6_ONLY' })], 'web', 'A')), []);
  assert.deepEqual(records(ask([web], 'web', 'AAAA', { ipv6: false })), []);
  assert.deepEqual(records(ask([web], 'web', 'A', { ipv6: false })), ['web A 10.96.0.1']);
});

test("headless: an address of each healthy endpoint on the client's network", () => {
  const headless = service({ name: 'db', namespace: 'shop' });
  const services = serves(headless);
  const endpoints = [
    workload({ name: 'a', addresses: [ip('fd00::1'), ip('10.0.0.1'), ip('10.0.0.11')], services }),
    workload({ name: 'b', addresses: [ip('10.0.0.2')], services }),
    workload({ name: 'c', addresses: [ip('10.0.0.3')], services, status: 'UNHEALTHY' }),
    workload({ name: 'd', addresses: [ip('10.0.0.4')], services, network: 'net-2' }),
  ];
  const all = [headless, ...endpoints];
  assert.deepEqual([...records(ask(all, 'db'))!].sort(), ['db A 10.0.0.1', 'db A 10.0.0.2']);
  assert.deepEqual(records(ask(all, 'db', 'AAAA')), ['db AAAA fd00::1']);
  assert.deepEqual(records(ask([headless], 'db')), [], 'no endpoints is not NXDOMAIN');
  const foreign = service({ namespace: 'shop', hostname: 'no-vips.example' });
  assert.equal(records(ask([foreign], 'no-vips.example')), undefined);
});

test('a private service is not there for other namespaces; ties go to the own, the canonical, the preferred one', () => {
  const hostname = 'api.example';
  const at = (namespace: string, vip: string, over = {}) =>
    service({ namespace, hostname, canonical: false, addresses: [networkAddress(`/${vip}`)], ...over });
  const hidden = at('other', '240.0.0.1', { visibility: 'NAMESPACE' });
  assert.equal(records(ask([hidden], hostname)), undefined);
  const first = at('b', '240.0.0.2');
  const second = at('c', '240.0.0.3');
  assert.deepEqual(records(ask([first, second], hostname)), [`${hostname} A 240.0.0.2`]);
  assert.deepEqual(records(ask([first, second], hostname, 'A', { preferredNamespace: 'c' })), [
    `${hostname} A 240.0.0.3`,
  ]);
  const canonical = at('d', '240.0.0.4', { canonical: true });
  const preferredNamespace = 'c';
  assert.deepEqual(records(ask([first, second, canonical], hostname, 'A', { preferredNamespace })), [
    `${hostname} A 240.0.0.4`,
  ]);
  const own = at('shop', '240.0.0.5');
  assert.deepEqual(records(ask([first, canonical, own], hostname)), [`${hostname} A 240.0.0.5`]);
});

test('answers are shuffled, all are there, and live 30 s', () => {
  const many = service({
    name: 'many',
    namespace: 'shop',
    addresses: [1, 2, 3, 4].map((n) => networkAddress(`/10.96.0.${n}`)),
  });
  const asked = (numbers: readonly number[]) => {
    let i = 0;
    const answer = ask([many], 'many', 'A', { random: () => numbers[i++]! });
    assert.ok(answer.kind === 'found' && answer.records.every((r) => r.ttl === 30));
    const found = records(answer)!;
    assert.equal(new Set(found).size, 4);
    return found.join();
  };
  const number = fc.double({ min: 0, max: 0.999 });
  fc.assert(fc.property(fc.array(number, { minLength: 3, maxLength: 3 }), (numbers) => void asked(numbers)));
  const some = [0, 0.3, 0.6, 0.9];
  const orders = new Set(some.flatMap((x) => some.flatMap((y) => some.map((z) => asked([x, y, z])))));
  assert.ok(orders.size > 20, `${orders.size} of 24 orders`);
});

test('no name throws or takes long', () => {
  const label = fc.stringMatching(/^[a-zA-Z0-9*_-]{0,63}$/);
  const name = fc.oneof(
    fc.array(label, { maxLength: 127 }).map((l) => l.join('.').slice(0, 253)),
    fc.string({ maxLength: 253 }),
    fc.constantFrom('', '.', '..', '*', '*.wild.example', `${'a.'.repeat(126)}a`),
  );
  fc.assert(
    fc.property(name, fc.constantFrom('A' as const, 'AAAA' as const), (asked, type) => {
      assert.match(ask([web, external, wildcard], asked, type).kind, /^(found|unknown)$/);
    }),
  );
});
