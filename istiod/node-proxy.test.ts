/** istiod and our own node proxy's clients: both ends of the seam over real TLS. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createCaClient } from '../common/identity/ca-client.ts';
import { MeshStore } from '../common/mesh/store.ts';
import { startTestProxy } from '../common/testing/test-proxy.ts';
import { until } from '../common/testing/until.ts';
import type { ControlPlane } from '../common/xds/connect.ts';
import { withWorld } from './testing/world.ts';

test('our node proxy learns the mesh, gets certificates for its pods, and comes back after a restart', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}\n');
    const uid = await w.pod({ name: 'zt', namespace: 'istio-system', serviceAccount: 'ztunnel' });
    await w.pod({ name: 'app', ip: '10.244.1.9', serviceAccount: 'web' });
    const files = { roots: join(w.dir, 'root.pem'), token: join(w.dir, 'token') };
    await writeFile(files.roots, w.istiod.rootCertificate);
    await writeFile(files.token, await w.token({ pod: { name: 'zt', uid } }));
    const plane: ControlPlane = {
      address: `https://localhost:${w.istiod.ports.secureGrpc}`,
      clusterId: 'Kubernetes',
      roots: { kind: 'file', path: files.roots },
      token: { kind: 'file', path: files.token },
    };
    const store = new MeshStore();
    const stop = new AbortController();
    w.onEnd(() => stop.abort());
    const client = startTestProxy({ plane: () => plane, store, signal: stop.signal });
    await client.ready;
    await until('the workload', () => store.workload('Kubernetes//Pod/default/app'));
    const identity = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'web' };
    const certificate = await createCaClient({ ...plane, ttlSeconds: 3600, impersonate: true }).fetch(
      identity,
      stop.signal,
    );
    assert.equal(certificate.roots.join('').trim(), w.istiod.rootCertificate.trim());
    await w.restart();
    await w.pod({ name: 'later', ip: '10.244.1.10' });
    await until('the later workload', () => store.workload('Kubernetes//Pod/default/later'));
  }));
