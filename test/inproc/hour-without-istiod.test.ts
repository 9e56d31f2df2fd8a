/** A data plane that is an hour without istiod, and then catches up (reliability.md R12): real clients, real TLS, the node proxy's clock ahead. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { parseListenAddress } from '../../common/config/listen-address.ts';
import { silentLogger } from '../../common/core/log.ts';
import type { Port } from '../../common/core/net.ts';
import { createCaClient } from '../../common/identity/ca-client.ts';
import { createCertificateStore } from '../../common/identity/cert-store.ts';
import { ip } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { startTestProxy } from '../../common/testing/test-proxy.ts';
import { until } from '../../common/testing/until.ts';
import type { ControlPlane } from '../../common/xds/connect.ts';
import { withCluster } from '../../istiod/testing/cluster.ts';
import { InprocMesh } from './mesh.ts';

const never = new AbortController().signal;
const hour = 3_600_000;
const app = { ip: ip('10.2.0.2'), port: 8080 as Port };

test('an hour without istiod loses no call, and then nothing is sent again but what changed', () =>
  withCluster(async (c) => {
    const dir = await mkdtemp(join(tmpdir(), 'aq-hour-'));
    const first = await c.start();
    await c.namespace('shop');
    const uid = await c.pod('zt', 'istio-system/ztunnel', 'node-1');
    await c.pod('client', 'shop/client', 'node-1', { ip: '10.1.0.1', captured: true });
    await c.pod('server', 'shop/server', 'node-1', { ip: app.ip, captured: true });
    const [roots, token] = [join(dir, 'roots.pem'), join(dir, 'token')];
    await writeFile(roots, first.istiod.rootCertificate);
    await writeFile(token, await c.token('istio-system/ztunnel', { name: 'zt', uid }));
    const plane: ControlPlane = {
      address: `https://localhost:${first.istiod.ports.secureGrpc}`,
      clusterId: 'Kubernetes',
      roots: { kind: 'file', path: roots },
      token: { kind: 'file', path: token },
    };
    const clock = new FakeClock(Date.now());
    const store = createCertificateStore({
      clock,
      log: silentLogger,
      authority: createCaClient({ ...plane, ttlSeconds: 86_400, impersonate: true }),
    });
    await using mesh = await InprocMesh.start({ clock, certificate: (id) => store.get(id, never) });
    const stop = new AbortController();
    const client = startTestProxy({ plane: () => plane, store: mesh.store, clock, signal: stop.signal });
    await client.ready;
    const known = (name: string) => mesh.store.workloadsByName('shop', name)[0];
    const workloads = await until('both pods', () => {
      const found = ['client', 'server'].map(known);
      return found.every((w) => w?.tunnelProtocol === 'HBONE') && found;
    });
    mesh.pod(workloads[1]!);
    mesh.net.listen(app.ip, app.port, (socket) => void socket.on('error', () => undefined).pipe(socket));
    const call = async () => {
      const pod = mesh.pod(workloads[0]!);
      const socket = await pod.open(app);
      socket.end('hello');
      const echo = await text(socket).catch(() => '');
      pod.close();
      return echo;
    };
    assert.equal(await call(), 'hello');

    const { secureGrpc } = first.istiod.ports;
    await first.stop();
    let changes = 0;
    mesh.store.onChange((change) => {
      changes += change.workloads.size;
    });
    for (let minute = 0; minute < 60; minute += 5) {
      for (let i = 0; i < 20; i++) {
        clock.advance(hour / 240);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(await call(), 'hello', `after ${minute} minutes`);
    }
    await c.pod('later', 'shop/later', 'node-1', { ip: '10.1.0.3', captured: true });
    const again = await c.start({}, { secureGrpc: parseListenAddress(`127.0.0.1:${secureGrpc}`) });
    assert.equal(again.istiod.rootCertificate, first.istiod.rootCertificate);
    await until('what came meanwhile', () => {
      clock.advance(20);
      return known('later');
    });
    assert.equal(changes, 1, 'one workload is new; the others are not sent again');
    assert.equal(await call(), 'hello');
    stop.abort();
    store.close();
    await rm(dir, { recursive: true });
  }));
