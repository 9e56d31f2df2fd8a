/** A machine that joins by xDS, as its proxy and the agent beside it speak. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { credentials, status } from '@grpc/grpc-js';
import { workloadEntryKind } from '../../common/kube/kinds/istio/workload-entry.ts';
import { until } from '../../common/testing/until.ts';
import { bearer, withWorld, XdsClient } from '../testing/world.ts';

const group = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vms, namespace: shop}
spec: {metadata: {labels: {app: vm}}, template: {serviceAccount: vm}}
`;
const node = { NAMESPACE: 'shop', AUTO_REGISTER_GROUP: 'vms', INSTANCE_IPS: '192.0.2.9' };
const healthTypeUrl = 'type.googleapis.com/istio.v1.HealthInformation';

test('it is announced once it is connected; its health comes by a type of its own; who says nothing of itself does not join', () =>
  withWorld(async (w) => {
    await w.put('group.yaml', group);
    const pod = { name: 'vm', uid: 'u' };
    const metadata = bearer(await w.token({ namespace: 'shop', serviceAccount: 'vm', pod }));
    const vm = new XdsClient(w, w.istiod.ports.secureGrpc, w.tls(), metadata).subscribe(node);
    const uid = 'Kubernetes/networking.istio.io/WorkloadEntry/shop/vms-192.0.2.9';
    const workload = await until('itself', () => vm.addresses.get(uid));
    assert.ok(workload.kind === 'workload');
    assert.deepEqual(
      [workload.serviceAccount, workload.tunnelProtocol, workload.workloadName, workload.status],
      ['vm', 'HBONE', 'vms', 'HEALTHY'],
    );
    const key = { namespace: 'shop', name: 'vms-192.0.2.9' };
    vm.stream.write({ typeUrl: healthTypeUrl, errorDetail: { code: 0, message: 'no answer' } });
    await until('its health', async () => {
      const entry = await w.source.get(workloadEntryKind, key);
      return entry?.status?.conditions?.some((c) => c.type === 'Healthy' && c.message === 'no answer');
    });
    vm.close();
    await until('its end', async () => {
      const entry = await w.source.get(workloadEntryKind, key);
      return entry?.metadata.annotations?.['istio.io/disconnectedAt'] !== undefined;
    });
    const open = new XdsClient(w, w.istiod.ports.grpc, credentials.createInsecure()).subscribe(node);
    await until('the refusal', () => open.status?.code === status.UNAUTHENTICATED);
    const lost = new XdsClient(w, w.istiod.ports.secureGrpc, w.tls(), metadata).subscribe({
      ...node,
      AUTO_REGISTER_GROUP: 'none',
    });
    await until('the other refusal', () => lost.status?.code === status.FAILED_PRECONDITION);
  }));
