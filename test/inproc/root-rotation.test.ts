/** Two istiods replace the root of the mesh while our node proxies make one handshake after the other (reliability.md R14). */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import type { Port } from '../../common/core/net.ts';
import { createCaClient } from '../../common/identity/ca-client.ts';
import { createCertificateStore } from '../../common/identity/cert-store.ts';
import type { CertificateStore } from '../../common/identity/types.ts';
import { configMapKind } from '../../common/kube/kinds/core.ts';
import type { Identity } from '../../common/mesh/types.ts';
import { ip, workload } from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import { rootsIn } from '../../istiod/ca/trust.ts';
import { type Cluster, type Replica, withCluster } from '../../istiod/testing/cluster.ts';
import { InprocMesh } from './mesh.ts';

const never = new AbortController().signal;
const namespace = 'istio-system';
const name = 'istio-ca-root-rotation';
const app = { ip: ip('10.2.0.2'), port: 8080 as Port };
const client = workload({ name: 'client', namespace: 'shop', serviceAccount: 'client', addresses: [ip('10.1.0.1')] });
const server = workload({
  name: 'server',
  namespace: 'shop',
  serviceAccount: 'server',
  addresses: [app.ip],
  node: 'node-2',
});
const settings = { DEFAULT_WORKLOAD_CERT_TTL: '4s', AQUIFER_ROOT_SETTLE_TIME: '100ms' };

/** Starts the certificate store of a node's proxy; each request goes to one of the replicas, in turn. */
async function nodeProxy(
  c: Cluster,
  replicas: readonly Replica[],
  node: string,
  dir: string,
): Promise<() => CertificateStore> {
  const uid = await c.pod(`zt-${node}`, 'istio-system/ztunnel', node);
  const token = await c.token('istio-system/ztunnel', { name: `zt-${node}`, uid });
  let turn = 0;
  return () =>
    createCertificateStore({
      clock: systemClock,
      log: silentLogger,
      authority: {
        async fetch(identity, signal) {
          const replica = replicas[turn++ % replicas.length]!;
          // As a kubelet brings it to a node.
          const roots = join(dir, `${node}.pem`);
          const published = await c.kube.get(configMapKind, { namespace, name: 'istio-ca-root-cert' });
          await writeFile(roots, published?.data?.['root-cert.pem'] ?? '');
          return createCaClient({
            address: `https://localhost:${replica.istiod.ports.secureGrpc}`,
            clusterId: 'Kubernetes',
            roots: { kind: 'file', path: roots },
            token: { kind: 'literal', token },
            ttlSeconds: 0,
            impersonate: true,
          }).fetch(identity, signal);
        },
      },
    });
}

test('the root is replaced in steps that wait for every proxy, and no handshake fails', () =>
  withCluster(async (c) => {
    const dir = await mkdtemp(join(tmpdir(), 'aq-rotation-'));
    const replicas = [await c.start(settings), await c.start(settings)];
    const [first] = replicas as [Replica, Replica];
    const old = rootsIn(first.istiod.rootCertificate);
    assert.equal(old.length, 1);
    await c.namespace('shop');
    await until('the root', () => c.kube.get(configMapKind, { namespace, name: 'istio-ca-root-cert' }));
    for (const [pod, node] of [
      ['client', 'node-1'],
      ['server', 'node-2'],
      ['slow', 'node-3'],
    ] as const)
      await c.pod(pod, `shop/${pod}`, node, { captured: true });
    const stores = new Map<string, CertificateStore>();
    const proxies = new Map<string, () => CertificateStore>();
    for (const [i, account] of ['client', 'server', 'slow'].entries()) {
      const start = await nodeProxy(c, replicas, `node-${i + 1}`, dir);
      proxies.set(account, start);
      stores.set(account, start());
    }
    const certificate = (id: Identity) => stores.get(id.serviceAccount)!.get(id, never);
    const slow = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'slow' };
    // A node that got a certificate once, and then nothing is heard of it.
    await until('all certificates', async () => (await certificate(slow)) !== undefined);
    stores.get('slow')!.close();

    await using mesh = await InprocMesh.start({ certificate });
    mesh.store.apply({ addresses: [client, server] });
    mesh.pod(server);
    mesh.net.listen(app.ip, app.port, (socket) => void socket.on('error', () => undefined).pipe(socket));
    let [handshakes, failed, over] = [0, 0, false];
    const call = async () => {
      // Whose connection pool is empty, so that each call is a handshake.
      const pod = mesh.pod(client);
      const socket = await pod.open(app);
      socket.end('hello');
      const echo = await text(socket).catch(() => '');
      pod.close();
      handshakes++;
      if (echo !== 'hello') failed++;
    };
    await call();
    assert.equal(failed, 0);
    const load = [1, 2].map(async () => {
      while (!over) await call();
    });

    const status = async () => (await c.kube.get(configMapKind, { namespace, name }))?.data ?? {};
    await c.kube.create(configMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace, name },
      data: { rotate: '1' },
    });
    const waiting = await until('all but the slow node', async () => {
      const data = await status();
      return data['status.phase'] === 'distributing' && data['status.waiting']?.startsWith('1 certificates') && data;
    });
    assert.match(waiting['status.waiting'] ?? '', /zt-node-3 spiffe:\/\/cluster.local\/ns\/shop\/sa\/slow: has/);
    assert.equal(waiting['status.signs'], old[0]!.id);
    // Asking again does not help.
    await c.kube.patch(configMapKind, { namespace, name }, { data: { rotate: '2' } });
    const both = rootsIn(first.istiod.rootCertificate);
    assert.equal(both.length, 2);
    await until(
      'the next turns',
      async () => (await status())['status.waiting'] !== waiting['status.waiting'] || handshakes > 30,
    );
    assert.equal((await status())['status.signs'], old[0]!.id);
    await c.kube.patch(configMapKind, { namespace, name }, { data: { rotate: '1' } });

    stores.set('slow', proxies.get('slow')!());
    await certificate(slow);
    await until(
      'the new root alone',
      async () =>
        rootsIn(first.istiod.rootCertificate)[0]?.id === both[1]!.id &&
        rootsIn(first.istiod.rootCertificate).length === 1,
      60_000,
    );
    await until('its end', async () => (await status())['status.phase'] === 'none');
    over = true;
    await Promise.all(load);
    assert.equal(failed, 0, `${failed} of ${handshakes}`);
    assert.ok(handshakes > 100, `${handshakes} handshakes`);
    for (const account of ['client', 'server']) {
      const now = await stores
        .get(account)!
        .get({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: account }, never);
      assert.deepEqual(
        rootsIn(now.roots.join('\n')).map((r) => r.id),
        [both[1]!.id],
      );
    }
    for (const store of stores.values()) store.close();
    await rm(dir, { recursive: true });
  }));
