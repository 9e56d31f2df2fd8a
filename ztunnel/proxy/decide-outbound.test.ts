import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Port } from '../../common/core/net.ts';
import { type MeshBatch, MeshStore } from '../../common/mesh/store.ts';
import { ip, networkAddress, serves, service, waypoint, workload } from '../../common/testing/builders.ts';
import { decideOutbound } from './decide-outbound.ts';
import { ownPorts } from './pod.ts';

const podIp = ip('10.0.0.1');
const vip = ip('10.96.0.1');
const web = service({ name: 'web', addresses: [networkAddress(`/${vip}`)] });
const local = workload({ name: 'local', addresses: [podIp], services: serves(web) });
const other = workload({ name: 'other', addresses: [ip('10.0.0.2')], serviceAccount: 'other' });
const own = [15_001, 15_006, 15_008, 40_001, 40_053];
const ports = ownPorts([{ port: 40_001 }, { port: 40_053 }]);

function mesh(more: MeshBatch = {}) {
  const store = new MeshStore();
  store.apply({ addresses: [local, other, web] });
  store.apply(more);
  return store;
}

test('loops and unknown waypoints are refused, names wait for DNS, the rest has a route and a permit', () => {
  const question = (address: typeof podIp, port: number) => ({
    source: other,
    target: { ip: address, port: port as Port },
    network: '',
    ownPorts: ports,
    compat: new Set<never>(),
    random: () => 0,
  });
  const store = mesh();
  for (const port of own) {
    const decision = decideOutbound(store, question(ip('127.0.0.1'), port));
    assert.ok(
      decision.kind === 'deny' && decision.cause.kind === 'error' && decision.cause.code === 'LOOP',
      String(port),
    );
  }
  for (const [target, kind] of [
    [question(vip, 80), 'hbone'],
    [question(podIp, 8080), 'hbone'],
    [question(ip('192.0.2.1'), 443), 'passthrough'],
  ] as const) {
    const decision = decideOutbound(store, target);
    assert.equal(decision.kind === 'forward' && decision.route.kind, kind);
  }
  const behind = mesh({ addresses: [{ ...web, waypoint: waypoint('default/wp') }] });
  const refused = decideOutbound(behind, question(vip, 80));
  assert.ok(refused.kind === 'deny' && refused.cause.kind === 'error' && refused.cause.code === 'NO_HEALTHY_UPSTREAM');
  assert.match(refused.reason, /waypoint/);
  const named = workload({
    name: 'external',
    hostname: 'db.example.com',
    tunnelProtocol: 'NONE',
    services: serves(web),
  });
  const byName = decideOutbound(mesh({ addresses: [named], removedAddresses: [local.uid] }), question(vip, 80));
  assert.ok(byName.kind === 'resolve' && byName.hostname === 'db.example.com');
  const at = byName.at(ip('192.0.2.5'));
  assert.ok(at.kind === 'forward' && at.route.kind === 'plain' && at.route.target.ip === '192.0.2.5');
});
