import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Ip, Port } from '../../common/core/net.ts';
import { type MeshBatch, MeshStore } from '../../common/mesh/store.ts';
import {
  groups,
  identity,
  ip,
  match,
  networkAddress,
  policy,
  serves,
  service,
  workload,
} from '../../common/testing/builders.ts';
import { decidePlaintext, decideTunnel, policyDenial } from './decide-inbound.ts';
import { Permit } from './permit.ts';
import { ownPorts } from './pod.ts';

const podIp = ip('10.0.0.1');
const otherIp = ip('10.0.0.2');
const vip = ip('10.96.0.1');
const web = service({ name: 'web', addresses: [networkAddress(`/${vip}`)] });
const local = workload({ name: 'local', addresses: [podIp], services: serves(web) });
const other = workload({ name: 'other', addresses: [otherIp], serviceAccount: 'other' });
/** A pod whose listeners the kernel gave these ports. */
const ports = ownPorts([{ port: 40_001 }, { port: 40_053 }]);

function mesh(more: MeshBatch = {}) {
  const store = new MeshStore();
  store.apply({ addresses: [local, other, web] });
  store.apply(more);
  return store;
}

const inbound = {
  local,
  source: otherIp,
  identity: identity('default', 'other'),
  ownPorts: ports,
  compat: new Set<never>(),
};

const call = (authority: string, destination: Ip) => ({ authority, destination, network: '' });

/** What somebody might ask the proxy to connect to; `own` are the proxy's ports in the pod. */
const own = [15_001, 15_006, 15_008, 40_001, 40_053];
/** These listen in the proxy's own namespace: at the pod's address they are the app's. */
const apps = [15_000, 15_020, 15_021, 8080];

test('CONNECT to the proxy itself is refused at every port, by any address', () => {
  const store = mesh();
  for (const port of own) {
    const decision = decideTunnel(store, inbound, call(`${podIp}:${port}`, podIp), new Permit());
    assert.deepEqual([decision.kind, decision.kind === 'deny' && decision.status], ['deny', 503], String(port));
  }
  for (const port of [...own, ...apps]) {
    for (const authority of [`127.0.0.1:${port}`, `[::1]:${port}`, `${otherIp}:${port}`]) {
      const decision = decideTunnel(store, inbound, call(authority, podIp), new Permit());
      assert.deepEqual([decision.kind, decision.kind === 'deny' && decision.status], ['deny', 400], authority);
    }
    const loopback = ip('127.0.0.1');
    const decision = decideTunnel(store, inbound, call(`127.0.0.1:${port}`, loopback), new Permit());
    assert.equal(decision.kind, 'deny', `loopback ${port}`);
  }
});

test('CONNECT to the app is dialled at the address that the connection came to', () => {
  const store = mesh();
  for (const port of apps) {
    const permit = new Permit();
    assert.deepEqual(decideTunnel(store, inbound, call(`${podIp}:${port}`, podIp), permit), {
      kind: 'forward',
      target: { ip: podIp, port },
      permit,
    });
  }
  const byName = decideTunnel(store, inbound, call('web.default.svc.cluster.local:80', podIp), new Permit());
  assert.deepEqual(byName.kind === 'forward' && byName.target, { ip: podIp, port: 8080 });
});

test('plain text to the proxy itself is refused, to the app it is not', () => {
  const store = mesh();
  const plain = { ...inbound, identity: undefined };
  const decide = (address: typeof podIp, port: number) =>
    decidePlaintext(store, plain, { ip: address, port: port as Port }, new Permit());
  for (const port of own) assert.equal(decide(podIp, port).kind, 'deny', String(port));
  for (const port of apps) assert.equal(decide(podIp, port).kind, 'forward', String(port));
  for (const port of [...own, ...apps]) assert.equal(decide(ip('127.0.0.1'), port).kind, 'deny', `loopback ${port}`);
});

test('policy decides with the identity, the address and the port of the app', () => {
  const only = (m: Parameters<typeof match>[0]) => mesh({ policies: [policy({ groups: groups(match(m)) })] });
  const target = { ip: podIp, port: 8080 as Port };
  const by = (m: Parameters<typeof match>[0], q: Partial<typeof inbound> = {}) =>
    policyDenial(only(m), { ...inbound, ...q }, target) === undefined;
  assert.equal(by({ serviceAccounts: [{ namespace: 'default', serviceAccount: 'other' }] }), true);
  assert.equal(by({ serviceAccounts: [{ namespace: 'default', serviceAccount: 'third' }] }), false);
  assert.equal(by({ destinationPorts: [8080] }), true);
  assert.equal(by({ destinationPorts: [15_008] }), false);
  assert.equal(by({ principals: [{ kind: 'presence' }] }), true);
  assert.equal(by({ principals: [{ kind: 'presence' }] }, { identity: undefined as never }), false);
});

test('a denial carries the status for a CONNECT and the flag for the metrics', () => {
  const store = mesh({ policies: [policy({ name: 'none' })] });
  const decision = decideTunnel(store, inbound, call(`${podIp}:8080`, podIp), new Permit());
  assert.ok(decision.kind === 'deny');
  assert.equal(decision.status, 401);
  assert.deepEqual(decision.cause, { kind: 'policy', flag: 'DENY' });
  assert.match(decision.reason, /default\/none/);
});

test('the policies of now count, also when the workload came to list others', () => {
  const denial = policy({ name: 'deny', action: 'DENY', scope: 'WORKLOAD_SELECTOR', groups: [{ rules: [] }] });
  const store = mesh({ policies: [denial] });
  const target = { ip: podIp, port: 8080 as Port };
  assert.equal(policyDenial(store, inbound, target), undefined);
  store.apply({ addresses: [{ ...local, authorizationPolicies: ['default/deny'] }] });
  assert.match(policyDenial(store, inbound, target)!, /default\/deny/);
  store.apply({ addresses: [{ ...local, authorizationPolicies: ['default/not-here-yet'] }] });
  assert.match(policyDenial(store, inbound, target)!, /not-here-yet/);
  assert.equal(
    policyDenial(store, { ...inbound, compat: new Set(['missing-policy'] as const) as never }, target),
    undefined,
  );
});
