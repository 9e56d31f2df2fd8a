/** Two clusters, each with an API server of its own; the istiod of one reads the other's endpoints. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { createKubeClient, type KubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { namespaceKind, type Pod, podKind, secretKind, serviceKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { startTestServer } from '../apiserver/testing/client.ts';
import { type Replica, withCluster } from '../testing/cluster.ts';
import { XdsClient } from '../testing/world.ts';

const namespace = 'istio-system';

async function populate(kube: KubeClient, clusterIP: string): Promise<void> {
  await kube.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  await kube.create(serviceKind, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop', labels: { 'istio.io/global': 'true' } },
    spec: { clusterIP, selector: { app: 'web' }, ports: [{ name: 'http', port: 80 }] },
  });
}

async function webPod(kube: KubeClient, name: string, ip: string): Promise<void> {
  await kube.create<Pod>(podKind, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels: { app: 'web' } },
    spec: { nodeName: 'n', containers: [{ name: 'c', image: 'x' }] },
  });
  const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], podIP: ip, podIPs: [{ ip }] };
  await kube.patch(podKind, { namespace: 'shop', name }, { status }, { subresource: 'status' });
}

async function clusterz(r: Replica): Promise<readonly Record<string, string>[]> {
  const answer = await fetch(`http://127.0.0.1:${r.istiod.ports.monitoring}/debug/clusterz`);
  return (await answer.json()) as readonly Record<string, string>[];
}

test('endpoints of another cluster come with its Secret, stay while that one is wrong, and go with it', () =>
  withCluster(async (c) => {
    await using other = await startTestServer();
    const far = createKubeClient({ access: loadKubeconfig(other.server.kubeconfig) });
    const r = await c.start({ AMBIENT_ENABLE_MULTI_NETWORK: 'true' });
    try {
      await populate(c.kube, '10.96.0.50');
      await populate(far, '10.96.0.60');
      await webPod(far, 'web-1', '10.244.7.1');
      const kubeconfig = await readFile(other.server.kubeconfig, 'utf8');
      const data = (text: string) => ({ far: Buffer.from(text).toString('base64') });
      const key = { namespace, name: 'istio-remote-secret-far' };
      await c.kube.create(secretKind, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { ...key, labels: { 'istio/multiCluster': 'true' } },
        data: data(kubeconfig),
      });
      const client = new XdsClient(r, r.istiod.ports.grpc, credentials.createInsecure()).subscribe();
      const pod = (name: string) => client.addresses.get(`far//Pod/shop/${name}`);
      const found = await until('the pod there', () => pod('web-1'));
      assert.ok(found.kind === 'workload');
      assert.deepEqual([...found.services.keys()], ['shop/web.shop.svc.cluster.local']);
      const own = { id: 'Kubernetes', secretName: '', syncStatus: 'synced' };
      const secretName = `${namespace}/${key.name}`;
      assert.deepEqual(await clusterz(r), [own, { id: 'far', secretName, syncStatus: 'synced' }]);

      // A wrong one is not followed, and the good one before it goes on.
      const plugin = kubeconfig.replace(/^( *)(token|client-certificate-data): .*$/m, '$1auth-provider: {name: gcp}');
      assert.notEqual(plugin, kubeconfig);
      await c.kube.patch(secretKind, key, { data: data(plugin) });
      await until('the refusal', async () => (await clusterz(r)).some((s) => s['syncStatus'] === 'error'));
      assert.match((await clusterz(r)).find((s) => s['syncStatus'] === 'error')!['error']!, /auth-provider/);
      await webPod(far, 'web-2', '10.244.7.2');
      await until('the next pod there', () => pod('web-2'));

      await c.kube.remove(await c.kube.get(secretKind, key).then((s) => s!));
      await until('the end', () => pod('web-1') === undefined && pod('web-2') === undefined);
      assert.deepEqual(await clusterz(r), [own]);
    } finally {
      await r.stop();
      far.close();
    }
  }));
