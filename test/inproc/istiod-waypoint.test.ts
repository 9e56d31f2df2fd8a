/** From a label and a Gateway to the waypoint: istiod, a node proxy and a waypoint in one process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serviceKind } from '../../common/kube/kinds/core.ts';
import { gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { ip, workload } from '../../common/testing/builders.ts';
import { startTestProxy } from '../../common/testing/test-proxy.ts';
import { until } from '../../common/testing/until.ts';
import { withWorld } from '../../istiod/testing/world.ts';
import { addr, call } from './calls.ts';
import { echoing, hopServer } from './hops.ts';
import { InprocMesh } from './mesh.ts';

const clientIp = ip('10.244.1.5');
const wpIp = ip('10.244.2.20');
const vip = ip('10.96.0.7');
const enabled = { 'ambient.istio.io/redirection': 'enabled' };

const web = `apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default, labels: {istio.io/use-waypoint: wp}}
spec: {clusterIP: ${vip}, clusterIPs: [${vip}], selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: wp, namespace: default}
spec: {clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9], selector: {app: wp}, ports: [{port: 15008, appProtocol: hbone}]}
`;
const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: default}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
`;
const programmed = { status: { addresses: [{ type: 'Hostname', value: 'wp.default.svc.cluster.local' }] } };

test('a label puts a Service behind a waypoint: refused until that is ready, then through it', (t) =>
  withWorld(async (w) => {
    await w.put('web.yaml', web);
    await w.pod({ name: 'client', ip: clientIp, node: 'node-1', serviceAccount: 'client', annotations: enabled });
    await w.pod({ name: 'web', ip: '10.244.2.5', node: 'node-2', labels: { app: 'web' } });
    const mesh = await InprocMesh.start();
    const stop = new AbortController();
    t.after(async () => {
      stop.abort();
      await mesh[Symbol.asyncDispose]();
    });
    const xds = startTestProxy({ plane: () => w.istiod.ports.grpc!, store: mesh.store, signal: stop.signal });
    await xds.ready;
    const client = mesh.pod(workload({ name: 'client', serviceAccount: 'client', addresses: [clientIp] }));
    const condition = async () => {
      const object = await w.source.get(serviceKind, { namespace: 'default', name: 'web' });
      return object?.status?.conditions?.find((c) => c.type === 'istio.io/WaypointBound');
    };
    await until(
      'the mesh',
      () => mesh.store.workloads().length === 2 && mesh.store.serviceByVip('', vip, 'default')?.waypoint,
    );

    await until('the condition', async () => (await condition())?.reason === 'WaypointIsNotReady');
    assert.match((await condition())!.message!, /waypoint default\/wp does not exist/);
    assert.equal(await call(await client.open(addr(vip, 80)), 'x'), '');
    assert.deepEqual(mesh.net.dialled, []);

    await w.put('wp.yaml', gateway);
    await until('the next reason', async () => /no address yet/.test((await condition())?.message ?? ''));
    await w.source.patch(gatewayKind, { namespace: 'default', name: 'wp' }, programmed, { subresource: 'status' });
    await until('the waypoint to be accepted', async () => (await condition())?.status === 'True');
    await w.pod({ name: 'wp-0', ip: wpIp, node: 'node-2', serviceAccount: 'wp', labels: { app: 'wp' } });
    const wpPod = await until('the waypoint pod', () => mesh.store.workloadByIp('', wpIp));
    const hop = hopServer(mesh, wpPod, echoing('wp:'));
    assert.equal(await call(await client.open(addr(vip, 80)), 'x'), 'wp:x');
    assert.equal(hop.seen[0]!.authority, '10.96.0.7:80');
    hop.close();

    await w.put('web.yaml', web.replace('istio.io/use-waypoint: wp', ''));
    await until('the condition to go', async () => (await condition()) === undefined);
    await until('the waypoint to go', () => !mesh.store.serviceByVip('', vip, 'default')?.waypoint);
  }));
