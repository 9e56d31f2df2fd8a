/** Revoked certificates: refused in the handshake by either side, and open connections cut when a list arrives. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { Port } from '../../common/core/net.ts';
import { defaultWire } from '../../common/hbone/wire.ts';
import { ip, workload } from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import { connectTls } from '../../common/tls/connect.ts';
import { parseRevocationLists } from '../../common/tls/crl.ts';
import { RevocationLists } from '../../common/tls/revocation.ts';
import { InprocMesh } from './mesh.ts';

const app = { ip: ip('10.2.0.2'), port: 8080 as Port };
const pods = {
  client: workload({ name: 'client', serviceAccount: 'client', addresses: [ip('10.1.0.1')] }),
  other: workload({ name: 'other', serviceAccount: 'other', addresses: [ip('10.1.0.2')] }),
  server: workload({ name: 'server', serviceAccount: 'server', addresses: [app.ip] }),
};

async function rig() {
  const counted: string[] = [];
  const revocation = new RevocationLists(systemClock, {
    rejected: (side) => void counted.push(side),
    unknown: () => undefined,
  });
  const mesh = await InprocMesh.start({ revocation });
  const client = mesh.pod(pods.client);
  const other = mesh.pod(pods.other);
  mesh.pod(pods.server);
  mesh.store.apply({ addresses: Object.values(pods) });
  mesh.net.listen(app.ip, app.port, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  const revoke = async (...names: readonly (keyof typeof pods)[]) => {
    const certificates = await Promise.all(
      names.map((serviceAccount) =>
        mesh.certificate({ trustDomain: 'cluster.local', namespace: 'default', serviceAccount }),
      ),
    );
    revocation.replace(parseRevocationLists(await mesh.ca.revoke(certificates.map((c) => c.chain[0]!))));
  };
  return { mesh, client, other, revoke, counted, [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose]() };
}

/** An open connection that has been answered once. */
async function conversation(opened: Promise<Socket>): Promise<Socket> {
  const socket = await opened;
  socket.on('error', () => undefined);
  socket.write('x');
  await once(socket, 'data');
  return socket;
}

for (const [who, side, direction] of [
  ['client', 'destination', 'inbound'],
  ['server', 'source', 'outbound'],
] as const) {
  test(`a revoked ${who} is refused in the handshake, and others go on`, async () => {
    await using all = await rig();
    await all.revoke(who);
    const refused = await all.client.open(app);
    refused.on('error', () => undefined);
    await until('the connection is closed', () => refused.closed);
    assert.deepEqual(all.counted, [side]);
    await until('the account', () => all.mesh.sink.of('outbound').length === 1);
    const [{ outcome }] = all.mesh.sink.of('outbound') as [(typeof all.mesh.sink.settled)[0]];
    if (side === 'source') {
      assert.equal(outcome.flag, 'CERT_REVOKED');
      assert.match(
        outcome.error!,
        /10\.2\.0\.2:15008, as .*revoked: serial number [0-9a-f]+ is on the list of O=fake-ca/,
      );
    } else {
      const [error] = all.mesh.serverErrors;
      assert.ok(error instanceof MeshError && error.code === 'CERT_REVOKED');
      (await conversation(all.other.open(app))).destroy();
    }
    assert.equal(all.mesh.sink.of('inbound').filter((s) => !s.opened).length, 0);
  });

  test(`a connection of a ${who} that is revoked meanwhile is cut at once, and others go on`, async () => {
    await using all = await rig();
    await all.revoke();
    const cut = await conversation(all.client.open(app));
    const stays = await conversation(all.other.open(app));
    await all.revoke(who);
    await until('the cut', () => cut.closed);
    await until('the accounts', () => all.mesh.sink.of(direction).length >= 1);
    const settled = all.mesh.sink.of(direction)[0]!;
    assert.equal(settled.opened, true);
    assert.equal(settled.outcome.flag, 'CERT_REVOKED');
    assert.equal(all.counted[0], side);
    if (who === 'client') {
      stays.write('y');
      await once(stays, 'data');
      assert.deepEqual(all.counted, ['destination']);
    }
    stays.destroy();
  });
}

test('a revoked client is told by GOAWAY with NO_ERROR', async () => {
  await using all = await rig();
  await all.revoke();
  const { mesh } = all;
  const serverId = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'server' };
  const mine = await mesh.certificate({ ...serverId, serviceAccount: 'client' });
  const raw = await mesh.net.dial(all.client.socket(), { ip: app.ip, port: 15_008 as Port });
  const { socket } = await connectTls(raw, mine, [serverId], defaultWire.tls, AbortSignal.timeout(4_000));
  const session = connectHttp2('https://hbone', { createConnection: () => socket });
  session.on('error', () => undefined);
  await once(session, 'remoteSettings');
  const goaway = once(session, 'goaway');
  await all.revoke('client');
  const [code] = (await goaway) as [number];
  assert.equal(code, constants.NGHTTP2_NO_ERROR);
  await until('the end', () => socket.destroyed);
});
