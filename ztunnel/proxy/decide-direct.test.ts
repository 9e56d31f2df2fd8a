import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { identityOf } from '../../common/mesh/address.ts';
import { type MeshBatch, MeshStore } from '../../common/mesh/store.ts';
import type { AuthorizationPolicy, Service, Workload } from '../../common/mesh/types.ts';
import {
  cidr,
  groups,
  identity,
  ip,
  match,
  networkAddress,
  policy,
  port,
  serves,
  service,
  waypoint,
  workload,
} from '../../common/testing/builders.ts';
import { randomCases } from '../../common/testing/l4-random.ts';
import { referenceAllows } from '../../common/testing/l4-reference.ts';
import { type DirectQuestion, decideDirect } from './decide-direct.ts';
import { ownPorts } from './pod.ts';

const clientIp = ip('10.0.0.1');
const serverIp = ip('10.0.0.2');
const client = workload({ name: 'client', addresses: [clientIp], serviceAccount: 'client' });
const server = workload({ name: 'server', addresses: [serverIp] });
const target = { ip: serverIp, port: port(8080) };
const ports = ownPorts([{ port: 40_001 }]);

function ask(batch: MeshBatch, over: Partial<DirectQuestion> & { readonly source?: never } = {}, from = client) {
  const store = new MeshStore();
  store.apply({ addresses: [from, server] });
  store.apply(batch);
  return decideDirect(store, {
    source: { workload: from, ownPorts: ports },
    target,
    served: (w) => ({ workload: w, ownPorts: ports }),
    network: '',
    compat: new Set(),
    revocation: false,
    ...over,
  });
}

const reasonOf = (decision: ReturnType<typeof ask>) => (decision.kind === 'proxied' ? decision.reason : 'direct');

const is = (over: Partial<Omit<Workload, 'kind'>>): MeshBatch => ({ addresses: [{ ...server, ...over }] });
const under = (...policies: readonly AuthorizationPolicy[]): MeshBatch => ({ policies });
const allowing = (m: Parameters<typeof match>[0]) => policy({ action: 'ALLOW', groups: groups(match(m)) });
const denying = (m: Parameters<typeof match>[0]) => policy({ action: 'DENY', groups: groups(match(m)) });
const web = (over: Partial<Omit<Service, 'kind'>> = {}): MeshBatch => {
  const s = service({ name: 'web', addresses: [networkAddress('/10.96.0.1')], ...over });
  return { addresses: [s, { ...server, services: serves(s) }] };
};

describe('two pods of one node', () => {
  const direct: readonly (readonly [string, MeshBatch])[] = [
    ['no policy', {}],
    [
      'a policy that allows the client',
      under(allowing({ principals: [{ kind: 'exact', value: 'cluster.local/ns/default/sa/client' }] })),
    ],
    ['one that allows all of the mesh', under(allowing({ principals: [{ kind: 'presence' }] }))],
    ["one that allows the client's address", under(allowing({ sourceIps: [cidr('10.0.0.0/24')] }))],
    ['one that denies another port', under(denying({ destinationPorts: [81] }))],
    ['a service without a waypoint', web()],
  ];
  for (const [name, batch] of direct) {
    test(`${name}: direct`, () => assert.equal(reasonOf(ask(batch)), 'direct'));
  }

  const strict = denying({ notPrincipals: [{ kind: 'presence' }] });
  const proxied: readonly (readonly [string, MeshBatch, RegExp])[] = [
    ['a waypoint of the pod', is({ waypoint: waypoint('default/wp.default.svc.cluster.local') }), /waypoint/],
    [
      'a waypoint of its service',
      web({ waypoint: waypoint('default/wp.default.svc.cluster.local') }),
      /behind a waypoint/,
    ],
    [
      'waypoints of its service by weight',
      web({ weightedWaypoints: [{ waypoint: waypoint('default/wp.default.svc.cluster.local'), weight: 0 }] }),
      /behind a waypoint/,
    ],
    ['a service that is not known', is({ services: serves(service({ name: 'ghost' })) }), /ghost.*is not known/],
    ['another node', is({ node: 'node-2' }), /not on this node/],
    ['a node that nobody knows', is({ node: '' }), /not on this node/],
    ['plain TCP', is({ tunnelProtocol: 'NONE' }), /not in the mesh/],
    ['HBONE that the app speaks itself', is({ nativeTunnel: true }), /speaks HBONE itself/],
    [
      'an app that takes a PROXY header',
      is({ applicationTunnel: { protocol: 'PROXY', port: 0 } }),
      /told the client's address/,
    ],
    ['another network', is({ network: 'net-2' }), /not in the mesh/],
    ['a policy that has not arrived', is({ authorizationPolicies: ['default/late'] }), /late has not arrived/],
    ['a policy that is tried', under({ ...allowing({ sourceIps: [cidr('10.0.0.0/8')] }), dryRun: true }), /tried/],
    ['a policy of which L7 is left', under(denying({})), /only L7 sees/],
    ['the same in an ALLOW', under(allowing({})), /only L7 sees/],
    ['STRICT', under(strict), /STRICT/],
    [
      'STRICT at another port',
      under(denying({ notPrincipals: [{ kind: 'presence' }], destinationPorts: [1] })),
      /STRICT/,
    ],
    ['a policy that denies the client', under(denying({ sourceIps: [cidr('10.0.0.1/32')] })), /denied by/],
    [
      'one that allows another',
      under(allowing({ namespaces: [{ kind: 'exact', value: 'other' }] })),
      /no rule of ALLOW/,
    ],
  ];
  for (const [name, batch, reason] of proxied) {
    test(`${name}: by the proxy, which says why`, () => assert.match(reasonOf(ask(batch)), reason));
  }

  test('compatibility with Istio opens none of it', () => {
    const compat = new Set(['missing-policy', 'l7-deny', 'no-waypoint', 'waypoint-bypass'] as const);
    for (const [name, batch, reason] of proxied) assert.match(reasonOf(ask(batch, { compat })), reason, name);
  });

  test('a destination that is none of the pods here, the pod itself, a VIP, a port of the proxy, and lists of revocations', () => {
    assert.match(reasonOf(ask({}, { served: () => undefined })), /not on this node/);
    assert.match(reasonOf(ask({}, { target: { ip: clientIp, port: port(8080) } })), /the pod itself/);
    assert.match(reasonOf(ask(web(), { target: { ip: ip('10.96.0.1'), port: port(80) } })), /is balanced/);
    assert.match(reasonOf(ask({}, { target: { ip: ip('192.0.2.1'), port: port(80) } })), /not in the mesh/);
    for (const own of [15_008, 40_001]) {
      assert.match(reasonOf(ask({}, { target: { ip: serverIp, port: port(own) } })), /the proxy's/, String(own));
    }
    assert.match(reasonOf(ask({}, { revocation: true })), /revoked/);
  });

  test('each address that the client may come from has to be allowed', () => {
    const from = { ...client, addresses: [clientIp, ip('10.0.0.9'), ip('fd00::1')] };
    const one = under(allowing({ sourceIps: [cidr('10.0.0.1/32')] }));
    assert.match(reasonOf(ask(one, {}, from)), /from 10\.0\.0\.9/);
    assert.equal(reasonOf(ask(under(allowing({ sourceIps: [cidr('10.0.0.0/24')] })), {}, from)), 'direct');
    assert.match(reasonOf(ask({}, {}, { ...client, addresses: [ip('fd00::1')] })), /no address of this family/);
  });
});

test('nothing is direct that an independent reading of the policies would refuse, or could not judge', () => {
  const next = randomCases(20_261_123);
  let direct = 0;
  for (let i = 0; i < 20_000; i++) {
    const { policies, namespace, references, source, destination, identity: caller } = next();
    const who = caller ?? identity('shop', 'web');
    const from = workload({ ...who, name: 'from', addresses: [source], authorizationPolicies: [] });
    const to = workload({
      name: 'to',
      namespace,
      addresses: [destination.ip],
      authorizationPolicies: references,
    });
    const store = new MeshStore();
    store.apply({ addresses: [from, to], policies });
    const decision = decideDirect(store, {
      source: { workload: from, ownPorts: ports },
      target: destination,
      served: (w) => ({ workload: w, ownPorts: ports }),
      network: '',
      compat: new Set(),
      revocation: false,
    });
    if (decision.kind === 'proxied') continue;
    direct++;
    const connection = { source, destination: destination.ip, port: destination.port, identity: identityOf(from) };
    const strictest = { missingRefuses: true, emptyDenies: true };
    assert.ok(referenceAllows(policies, to, connection, strictest), JSON.stringify({ policies, connection }));
    const inForce = store.policiesFor(to).policies;
    const matches = inForce.flatMap((p) => p.groups.flatMap((g) => g.rules.flatMap((r) => r.matches)));
    assert.ok(inForce.every((p) => !p.dryRun));
    assert.ok(matches.every((m) => m.notPrincipals.every((p) => p.kind !== 'presence')));
    assert.ok(matches.every((m) => Object.values(m).some((list) => list.length > 0)));
  }
  assert.ok(direct > 200, `${direct} of 20,000`);
});
