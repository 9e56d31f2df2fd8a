/** Double HBONE to another network (ambient-wire 2.3): two meshes of one trust, an east-west gateway that forwards bytes. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ip, networkAddress, serves, service, waypoint, workload } from '../../common/testing/builders.ts';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { until } from '../../common/testing/until.ts';
import { addr, call, echo } from './calls.ts';
import { echoing, forwarding, type Hop, hopServer } from './hops.ts';
import { InprocMesh } from './mesh.ts';

const clientIp = ip('10.1.0.1');
const vip = ip('10.96.0.7');
const farIp = ip('10.2.0.2');
const gatewayIp = ip('192.0.2.9');
const far = 'spiffe://cluster.local/ns/default/sa/server';

const gatewayService = service({
  name: 'gw',
  namespace: 'infra',
  ports: [{ servicePort: 15_008, targetPort: 15_008 }],
});
const gatewayPod = workload({
  name: 'gw-0',
  namespace: 'infra',
  serviceAccount: 'gw',
  network: 'net-1',
  addresses: [gatewayIp],
  services: serves(gatewayService, 15_008, 15_008),
});
const reference = waypoint(`infra/${gatewayService.hostname}`);
const client = workload({ name: 'client', serviceAccount: 'client', network: 'net-1', addresses: [clientIp] });
const nearService = service({
  name: 'echo',
  addresses: [networkAddress(`net-1/${vip}`)],
  subjectAltNames: [far],
});
const split = workload({
  uid: 'net-2/SplitHorizonWorkload/gw/default/echo',
  name: 'split',
  network: 'net-2',
  networkGateway: reference,
  services: serves(nearService),
});
/** As its own mesh knows it. */
const farService = service({ name: 'echo' });
const server = workload({
  name: 'server',
  serviceAccount: 'server',
  workloadName: 'server-deployment',
  network: 'net-2',
  addresses: [farIp],
  services: serves(farService),
});

async function start(t: TestContext) {
  const ca = await createFakeCa();
  const near = await InprocMesh.start({ ca, network: 'net-1' });
  const remote = await InprocMesh.start({ ca, network: 'net-2' });
  const hops: Hop[] = [];
  t.after(async () => {
    for (const hop of hops) hop.close();
    await near[Symbol.asyncDispose]();
    await remote[Symbol.asyncDispose]();
  });
  const app = near.pod(client);
  near.store.apply({ addresses: [client, nearService, split, gatewayService, gatewayPod] });
  const hop = (...args: Parameters<typeof hopServer>) => {
    const made = hopServer(...args);
    hops.push(made);
    return made;
  };
  const toFar = () => remote.net.dial(remote.net.socket(gatewayIp), addr(farIp, 15_008));
  return { near, remote, app, hop, toFar };
}

test('double HBONE 1: the far proxy decides by the service, and its word labels the connection', async (t) => {
  const { near, remote, app, hop, toFar } = await start(t);
  remote.pod(server);
  remote.store.apply({ addresses: [server, farService] });
  remote.net.listen(farIp, 8080, echo);
  const { seen } = hop(near, gatewayPod, forwarding(toFar));
  assert.equal(await call(await app.open(addr(vip, 80)), 'hello'), 'hello');
  assert.deepEqual(near.net.dialled, [{ from: clientIp, to: '192.0.2.9:15008' }]);
  assert.equal(seen[0]!.authority, 'echo.default.svc.cluster.local:80');
  assert.equal(seen[0]!.forwardedNetwork, undefined);
  await until('the accounts', () => near.sink.settled.length + remote.sink.settled.length === 2);
  const { record: out } = near.sink.of('outbound')[0]!;
  assert.equal(out.hboneAddress, 'echo.default.svc.cluster.local:80');
  assert.deepEqual(out.destinationAddress, addr(gatewayIp, 15_008));
  assert.equal(out.destinationIdentity?.serviceAccount, 'server');
  assert.equal(out.destinationBaggage?.workloadName, 'server-deployment');
  assert.equal(out.service?.hostname, nearService.hostname);
  const { record: inn } = remote.sink.of('inbound')[0]!;
  assert.equal(inn.sourceIdentity?.serviceAccount, 'client');
  assert.equal(inn.service?.hostname, farService.hostname);
  // The address is that of the gateway, so the source is what it says it is.
  assert.equal(inn.source, undefined);
  assert.equal(inn.sourceBaggage?.namespace, 'default');
  assert.equal(inn.traceId, out.traceId);
});

test('double HBONE 2: the tunnel to the gateway is shared, what is inside it is each connection of its own', async (t) => {
  const { near, app, hop } = await start(t);
  const backend = hop(near, server, echoing('far:', 'k8s.namespace.name=far,k8s.deployment.name=d'), { at: farIp });
  let dialled = 0;
  const gateway = hop(
    near,
    gatewayPod,
    forwarding(() => {
      dialled++;
      return near.net.dial(near.net.socket(gatewayIp), addr(farIp, 15_008));
    }),
  );
  const calls = Array.from({ length: 8 }, async (_, i) => call(await app.open(addr(vip, 80)), `${i}`));
  assert.deepEqual(
    await Promise.all(calls),
    Array.from({ length: 8 }, (_, i) => `far:${i}`),
  );
  assert.equal(near.net.dialled.filter((d) => d.from === clientIp).length, 1);
  assert.equal(gateway.seen.length, 8);
  assert.equal(dialled, 8);
  const inner = backend.seen[0]!;
  assert.equal(inner.authority, 'echo.default.svc.cluster.local:80');
  assert.equal(inner.forwardedNetwork, 'net-1');
  assert.equal(inner.forwarded, `for="10.1.0.1:50000";host=${nearService.hostname}`);
  assert.equal(inner.peer.serviceAccount, 'client');
  await until('the accounts', () => near.sink.settled.length === 8);
  assert.ok(near.sink.settled.every((s) => s.record.destinationBaggage?.namespace === 'far' && !s.outcome.error));
  await until('the inner connections to go', () => app.pool.connections === 1);
});

test('a far end that is none of the service gets not a byte; the gateway itself neither', async (t) => {
  const { near, app, hop } = await start(t);
  const { seen } = hop(near, workload({ ...server, serviceAccount: 'impostor' }), echoing(''), { at: farIp });
  hop(
    near,
    gatewayPod,
    forwarding(() => near.net.dial(near.net.socket(gatewayIp), addr(farIp, 15_008))),
  );
  assert.equal(await call(await app.open(addr(vip, 80)), 'secret'), '');
  await until('the account', () => near.sink.settled.length === 1);
  assert.equal(near.sink.settled[0]!.outcome.flag, 'TLS_FAILURE');
  assert.match(near.sink.settled[0]!.outcome.error!, /behind the gateway .*impostor.*expected .*server/);
  assert.deepEqual(seen, []);
});

test('a gateway that is somebody else, refuses, or ends the tunnel: refused, and the app is told by a reset', async (t) => {
  for (const [name, hopOf, flag] of [
    ['somebody else', workload({ ...gatewayPod, serviceAccount: 'impostor' }), 'TLS_FAILURE'],
    ['refuses', gatewayPod, 'CONNECT'],
    ['ends', gatewayPod, 'TLS_FAILURE'],
  ] as const) {
    await t.test(name, async (t2) => {
      const { near, app, hop } = await start(t2);
      hop(near, hopOf, (tunnel) => (name === 'ends' ? tunnel.accept({}).end() : tunnel.refuse(503)));
      assert.equal(await call(await app.open(addr(vip, 80)), 'secret'), '');
      await until('the account', () => near.sink.settled.length === 1);
      assert.equal(near.sink.settled[0]!.outcome.flag, flag);
      assert.equal(near.sink.settled[0]!.opened, false);
    });
  }
});

test('a waypoint on the other network is reached through the gateway, for the service', async (t) => {
  const { near, app, hop } = await start(t);
  const wpService = service({
    name: 'wp',
    namespace: 'infra',
    ports: [{ servicePort: 15_008, targetPort: 15_008 }],
    subjectAltNames: ['spiffe://cluster.local/ns/infra/sa/wp'],
  });
  const wpSplit = workload({
    uid: 'net-2/SplitHorizonWorkload/gw/infra/wp',
    name: 'wp-split',
    network: 'net-2',
    networkGateway: reference,
    services: serves(wpService, 15_008, 15_008),
  });
  near.store.apply({
    addresses: [wpService, wpSplit, { ...nearService, waypoint: waypoint(`infra/${wpService.hostname}`) }],
  });
  const wp = workload({ name: 'wp-0', namespace: 'infra', serviceAccount: 'wp', addresses: [ip('10.2.0.20')] });
  const { seen } = hop(near, wp, echoing('wp:'));
  hop(
    near,
    gatewayPod,
    forwarding(() => near.net.dial(near.net.socket(gatewayIp), addr(ip('10.2.0.20'), 15_008))),
  );
  assert.equal(await call(await app.open(addr(vip, 80)), 'x'), 'wp:x');
  assert.equal(seen[0]!.authority, 'echo.default.svc.cluster.local:80');
});

test('bytes of a large transfer arrive whole through both tunnels', async (t) => {
  const { near, app, hop } = await start(t);
  hop(near, server, echoing(''), { at: farIp });
  hop(
    near,
    gatewayPod,
    forwarding(() => near.net.dial(near.net.socket(gatewayIp), addr(farIp, 15_008))),
  );
  const text = 'abcdefgh'.repeat(256 * 1024);
  const got = await call(await app.open(addr(vip, 80)), text);
  assert.equal(got.length, text.length);
  assert.ok(got === text);
});
