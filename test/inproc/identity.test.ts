/** What becomes of new tunnels when the CA stays away until a certificate has expired, and when it comes back. */
import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import type { Port } from '../../common/core/net.ts';
import { createCertificateStore } from '../../common/identity/cert-store.ts';
import type { Identity } from '../../common/mesh/types.ts';
import { ip, workload } from '../../common/testing/builders.ts';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import { InprocMesh } from './mesh.ts';

const hour = 3_600_000;
const never = new AbortController().signal;
const app = { ip: ip('10.2.0.2'), port: 8080 as Port };
const pods = {
  client: workload({ name: 'client', serviceAccount: 'client', addresses: [ip('10.1.0.1')] }),
  server: workload({ name: 'server', serviceAccount: 'server', addresses: [app.ip], node: 'node-2' }),
};
const identity = (serviceAccount: string): Identity => ({
  trustDomain: 'cluster.local',
  namespace: 'default',
  serviceAccount,
});

/** Node proxies whose certificates live 24 h, that of `shortLived` 1 h, and a CA that can go away. */
async function rig(shortLived: string) {
  // TLS goes by the time of the machine, so certificates are valid from then on.
  const start = Date.now();
  const clock = new FakeClock(start);
  const ca = await createFakeCa();
  const state = { away: false };
  const store = createCertificateStore({
    clock,
    log: silentLogger,
    random: () => 0.5,
    authority: {
      async fetch(id) {
        if (state.away) throw new MeshError('IDENTITY_UNAVAILABLE', 'istiod is away');
        const life = id.serviceAccount === shortLived ? hour : 24 * hour;
        return ca.issue(id, { notBefore: start - 1_000, notAfter: clock.wall() + life });
      },
    },
  });
  const mesh = await InprocMesh.start({ certificate: (id) => store.get(id, never) });
  const client = mesh.pod(pods.client);
  mesh.pod(pods.server);
  mesh.store.apply({ addresses: [pods.client, pods.server] });
  let served = 0;
  mesh.net.listen(app.ip, app.port, (socket) => {
    served++;
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  for (const name of ['client', 'server']) await store.get(identity(name), never);
  return {
    mesh,
    /** Goes away until the short certificate has expired; renewals are tried, in vain. */
    async loseCa() {
      state.away = true;
      const end = clock.wall() + hour;
      while (clock.wall() < end) {
        clock.advance(Math.min(clock.nextIn!, end - clock.wall()));
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    async findCa() {
      state.away = false;
      clock.advance(clock.nextIn!);
      await until('a certificate', () => store.entries().every((e) => e.state.kind === 'available'));
    },
    /** What the app sends back for `hello`; empty when the connection is closed instead. */
    async call(): Promise<string> {
      const socket = await client.open(app);
      socket.end('hello');
      return text(socket).catch(() => '');
    },
    served: () => served,
    stop: () => store.close(),
  };
}

test('outbound: without a valid certificate of the client nothing is dialled', async () => {
  const { mesh, loseCa, findCa, call, served, stop } = await rig('client');
  await using _ = mesh;
  await loseCa();
  assert.equal(await call(), '');
  await until('the account', () => mesh.sink.of('outbound').length === 1);
  const [out] = mesh.sink.of('outbound');
  assert.equal(out!.outcome.flag, 'IDENTITY_ERROR');
  assert.match(out!.outcome.error!, /sa\/client: the certificate expired at .*istiod is away/);
  assert.deepEqual(mesh.net.dialled, []);
  assert.equal(served(), 0);
  await findCa();
  assert.equal(await call(), 'hello');
  stop();
});

test('inbound: without a valid certificate of the server no connection is taken', async () => {
  const { mesh, loseCa, findCa, call, served, stop } = await rig('server');
  await using _ = mesh;
  await loseCa();
  assert.equal(await call(), '');
  await until('the account', () => mesh.sink.of('outbound').length === 1);
  assert.equal(mesh.sink.of('outbound')[0]!.opened, false);
  const [refused] = mesh.serverErrors;
  assert.ok(refused instanceof MeshError && refused.code === 'IDENTITY_UNAVAILABLE', `${refused}`);
  assert.match(refused.message, /sa\/server: the certificate expired at .*istiod is away/);
  assert.equal(served(), 0);
  await findCa();
  assert.equal(await call(), 'hello');
  stop();
});
