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

/** Node proxies whose certificates live 24 h, the first of `shortLived` ms of `life`, and a CA that can go away. */
async function rig(shortLived: string, life = hour) {
  // TLS goes by the time of the machine, so certificates are valid from then on, and expire well after the test.
  const start = Date.now();
  const clock = new FakeClock(start + hour);
  const ca = await createFakeCa();
  const state: { ca: 'there' | 'away' | 'back' } = { ca: 'there' };
  const store = createCertificateStore({
    clock,
    log: silentLogger,
    random: () => 0.5,
    authority: {
      async fetch(id) {
        if (state.ca === 'away') throw new MeshError('IDENTITY_UNAVAILABLE', 'istiod is away');
        const lifetime = id.serviceAccount === shortLived && state.ca === 'there' ? life : 24 * hour;
        return ca.issue(id, { notBefore: start - 1_000, notAfter: clock.wall() + lifetime });
      },
    },
  });
  const mesh = await InprocMesh.start({ clock, certificate: (id) => store.get(id, never) });
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
      state.ca = 'away';
      const end = clock.wall() + life;
      while (clock.wall() < end) {
        clock.advance(Math.min(clock.nextIn!, end - clock.wall()));
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    async findCa() {
      state.ca = 'back';
      await until('a certificate', () => {
        clock.advance(1_000);
        return store.entries().every((e) => e.state.kind === 'available');
      });
    },
    /** A connection through the proxies to the app, which echoes. */
    open: () => client.open(app),
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

for (const shortLived of ['client', 'server']) {
  test(`pooled: once the certificate of the ${shortLived} has expired, an open connection carries nothing new`, async () => {
    // Less than the time to the first PING, which would have to be answered while the clock jumps.
    const { mesh, loseCa, findCa, open, call, served, stop } = await rig(shortLived, 9_000);
    await using _ = mesh;
    const held = await open();
    const echoed = text(held);
    held.write('before ');
    await until('the echo', () => held.bytesRead > 0);
    assert.equal(await call(), 'hello');
    assert.equal(mesh.net.dialled.filter(({ to }) => to === '10.2.0.2:15008').length, 1);
    await loseCa();
    assert.equal(await call(), '');
    assert.equal(served(), 2);
    held.end('and after');
    assert.equal(await echoed, 'before and after');
    await findCa();
    assert.equal(await call(), 'hello');
    stop();
  });
}
