/** XDS_ON_DEMAND from end to end: a proxy that knows nothing, istiod with the mesh, calls in between. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Clock, systemClock } from '../../common/core/clock.ts';
import { ip, workload } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { startTestProxy } from '../../common/testing/test-proxy.ts';
import { until } from '../../common/testing/until.ts';
import { OnDemand } from '../../common/xds/demand.ts';
import { announced, type World, withWorld } from '../../istiod/testing/world.ts';
import { addr, call, echo } from './calls.ts';
import { InprocMesh } from './mesh.ts';

const clientIp = ip('10.244.1.5');
const serverIp = ip('10.244.2.5');
const enabled = { 'ambient.istio.io/redirection': 'enabled' };
const yaml = `apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: default}
spec: {clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7], selector: {app: echo}, ports: [{port: 80, targetPort: 8080}]}
`;

/** `clock` is that of questions to istiod. */
async function proxy(t: TestContext, w: World, clock: Clock = systemClock) {
  const demand = new OnDemand(clock);
  const mesh = await InprocMesh.start({ demand });
  const stop = new AbortController();
  t.after(async () => {
    stop.abort();
    await mesh[Symbol.asyncDispose]();
  });
  const xds = startTestProxy({
    plane: () => w.istiod.ports.grpc!,
    store: mesh.store,
    demand,
    signal: stop.signal,
  });
  await xds.ready;
  return { mesh, demand };
}

test('a proxy asks for what its pods call, and knows nothing else', (t) =>
  withWorld(async (w) => {
    await w.put('mesh.yaml', yaml);
    await w.pod({ name: 'client', ip: clientIp, node: 'node-1', serviceAccount: 'client', annotations: enabled });
    await w.pod({
      name: 'echo',
      ip: serverIp,
      node: 'node-2',
      serviceAccount: 'echo',
      annotations: enabled,
      labels: { app: 'echo' },
    });
    await w.pod({ name: 'bystander', ip: '10.244.2.99', node: 'node-2' });
    await announced(w, 'default/echo.default.svc.cluster.local', 'Kubernetes//Pod/default/echo');
    const { mesh } = await proxy(t, w);
    await until('the own pod', () => mesh.store.workloadByIp('', clientIp));
    assert.equal(mesh.store.workloads().length, 1);
    assert.equal(mesh.store.services().length, 0);
    const client = mesh.pod(workload({ name: 'client', serviceAccount: 'client', addresses: [clientIp] }));
    mesh.pod(workload({ name: 'echo', serviceAccount: 'echo', addresses: [serverIp] }));
    mesh.net.listen(serverIp, 8080, echo);

    assert.equal(await call(await client.open(addr(ip('10.96.0.7'), 80)), 'by VIP'), 'by VIP');
    assert.equal(await call(await client.open(addr(serverIp, 8080)), 'by pod'), 'by pod');
    assert.deepEqual(
      mesh.net.dialled.filter((d) => d.from === clientIp && d.to !== '10.244.2.5:8080').map((d) => d.to),
      ['10.244.2.5:15008'],
    );
    mesh.net.listen(ip('203.0.113.5'), 443, echo);
    assert.equal(await call(await client.open(addr(ip('203.0.113.5'), 443)), 'outside'), 'outside');
    assert.equal(mesh.store.workloadByIp('', ip('10.244.2.99')), undefined);

    await until('accounts', () => mesh.sink.of('outbound').length === 3);
    assert.equal(mesh.sink.of('outbound')[0]!.record.service?.hostname, 'echo.default.svc.cluster.local');
  }));

test('what istiod cannot be asked about is refused, not passed through', (t) =>
  withWorld(async (w) => {
    await w.put('mesh.yaml', yaml);
    await w.pod({ name: 'client', ip: clientIp, node: 'node-1', serviceAccount: 'client', annotations: enabled });
    const clock = new FakeClock();
    const { mesh, demand } = await proxy(t, w, clock);
    await until('the own pod', () => mesh.store.workloadByIp('', clientIp));
    const client = mesh.pod(workload({ name: 'client', serviceAccount: 'client', addresses: [clientIp] }));
    await w.istiod.stop();
    const answer = call(await client.open(addr(ip('10.96.0.7'), 80)), 'secret');
    await until('the question', () => demand.names().includes('/10.96.0.7'));
    clock.advance(5_000);
    assert.equal(await answer, '');
    await until('the account', () => mesh.sink.settled.length === 1);
    assert.match(mesh.sink.settled[0]!.outcome.error!, /has not said within 5000 ms what \/10\.96\.0\.7 is/);
    assert.deepEqual(mesh.net.dialled, []);
  }));
