/** What the compliance suite cannot see from outside: versions, suites, SNI, resumption, contexts. */
import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { createFakeCa } from '../testing/fake-ca.ts';
import { dialTcp, listenTcp } from '../testing/hbone-rig.ts';
import { until } from '../testing/until.ts';
import { acceptTls } from './accept.ts';
import { connectTls } from './connect.ts';
import { clientContext } from './context.ts';
import { defaultTlsPolicy, type TlsPolicy } from './policy.ts';

const ca = await createFakeCa();
const server = { trustDomain: 'td', namespace: 'a', serviceAccount: 's' };
const certificate = await ca.issue(server);
const never = new AbortController().signal;
const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

async function acceptor(policy: TlsPolicy = defaultTlsPolicy) {
  const handshakes: Promise<{ socket: TLSSocket }>[] = [];
  const { server: tcp, address } = await listenTcp((socket) => {
    const handshake = acceptTls(socket, certificate, policy, never);
    handshake.catch(() => undefined);
    handshakes.push(handshake);
    closers.push(() => socket.destroy());
  });
  closers.push(() => tcp.close());
  return { address, handshakes };
}

const material = { key: certificate.privateKey, cert: certificate.chain.join(), rejectUnauthorized: false };

it('speaks TLS 1.3 with AES-256-GCM first, and AES-128-GCM', async () => {
  const { address, handshakes } = await acceptor();
  const ours = await connectTls(await dialTcp(address), certificate, [server], defaultTlsPolicy, never);
  closers.push(() => ours.socket.destroy());
  assert.equal(ours.socket.getProtocol(), 'TLSv1.3');
  assert.equal(ours.socket.getCipher().standardName, 'TLS_AES_256_GCM_SHA384');
  assert.ok(!(await handshakes[0]!).socket.servername);
  const small = connect({
    ...material,
    socket: await dialTcp(address),
    ALPNProtocols: ['h2'],
    ciphers: 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256',
  });
  closers.push(() => small.destroy());
  await new Promise((resolve) => small.once('secureConnect', resolve));
  assert.equal(small.getCipher().standardName, 'TLS_AES_128_GCM_SHA256');
});

for (const [name, options] of [
  ['TLS 1.2', { maxVersion: 'TLSv1.2' }],
  ['ChaCha20 alone', { ciphers: 'TLS_CHACHA20_POLY1305_SHA256' }],
  ['another protocol than h2', { ALPNProtocols: ['http/1.1'] }],
] as const) {
  it(`refuses ${name}`, async () => {
    const { address, handshakes } = await acceptor();
    const socket = connect({ ALPNProtocols: ['h2'], ...material, socket: await dialTcp(address), ...options });
    const failed = await new Promise<Error>((resolve) => socket.once('error', resolve));
    assert.ok(failed instanceof Error);
    await assert.rejects(handshakes[0]!);
  });
}

it('resumes no session', async () => {
  const { address, handshakes } = await acceptor();
  const offer = async (session?: Buffer) => {
    const socket = connect({
      ...material,
      socket: await dialTcp(address),
      ALPNProtocols: ['h2'],
      ...(session && { session }),
    });
    closers.push(() => socket.destroy());
    const ticket = new Promise<Buffer>((resolve) => socket.once('session', resolve));
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    return { socket, ticket };
  };
  const first = await offer();
  await handshakes[0];
  const second = await offer(await first.ticket);
  assert.equal(second.socket.isSessionReused(), false);
  await handshakes[1];
});

it('sends no SNI', async () => {
  const names: string[] = [];
  const tls = createServer({ key: certificate.privateKey, cert: certificate.chain.join(), ALPNProtocols: ['h2'] });
  tls.on('secureConnection', (socket) => {
    names.push(String(socket.servername));
    closers.push(() => socket.destroy());
  });
  const { server: tcp, address } = await listenTcp((socket) => void tls.emit('connection', socket));
  closers.push(() => tcp.close());
  const { socket } = await connectTls(await dialTcp(address), certificate, [server], defaultTlsPolicy, never);
  closers.push(() => socket.destroy());
  await until('the handshake of the server', () => names.length === 1);
  assert.deepEqual(names, ['false']);
});

it('parses a certificate once, and a rotated one anew', async () => {
  assert.equal(clientContext(certificate, defaultTlsPolicy), clientContext(certificate, defaultTlsPolicy));
  assert.notEqual(
    clientContext(await ca.issue(server), defaultTlsPolicy),
    clientContext(certificate, defaultTlsPolicy),
  );
});

it('gives up when its signal aborts', async () => {
  const { server: tcp, address } = await listenTcp((socket) => closers.push(() => socket.destroy()));
  closers.push(() => tcp.close());
  const abort = new AbortController();
  const raw = await dialTcp(address);
  const pending = connectTls(raw, certificate, [server], defaultTlsPolicy, abort.signal);
  abort.abort(new Error('enough'));
  await assert.rejects(pending, /enough/);
  assert.ok(raw.destroyed);
  const other = await dialTcp(address);
  await assert.rejects(
    acceptTls(other, certificate, defaultTlsPolicy, AbortSignal.abort(new Error('enough'))),
    /enough/,
  );
});

it('closes after the handshake when a record is forged', async () => {
  const { address, handshakes } = await acceptor();
  const raw = await dialTcp(address);
  const client = await connectTls(raw, certificate, [server], defaultTlsPolicy, never);
  const { socket } = await handshakes[0]!;
  socket.resume();
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  // An application data record of 32 bytes that no key of the session made.
  raw.write(Buffer.concat([Buffer.of(23, 3, 3, 0, 32), Buffer.alloc(32, 7)]));
  await closed;
  client.socket.destroy();
});

/** The first thing that the other end says of our handshake. */
function raw(socket: TLSSocket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('secureConnect', () => resolve(socket.getProtocol() ?? 'none'));
    socket.once('error', () => resolve('refused'));
  });
}

it('takes TLS 1.2 with ECDHE and AES-GCM where the policy has it, and no other suite of it', async () => {
  const offer = async (options: object) => {
    const { address } = await acceptor({ oldest: 'TLSv1.2', keyExchange: 'default' });
    const socket = connect({ ...material, socket: await dialTcp(address), ALPNProtocols: ['h2'], ...options });
    closers.push(() => socket.destroy());
    return raw(socket);
  };
  assert.equal(await offer({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }), 'TLSv1.2');
  assert.equal(await offer({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' }), 'refused');
  assert.equal(await offer({}), 'TLSv1.3');
});

it('exchanges keys by X25519MLKEM768 alone where the policy says pqc', async () => {
  const pqc: TlsPolicy = { oldest: 'TLSv1.3', keyExchange: 'pqc' };
  const { address, handshakes } = await acceptor(pqc);
  const ours = await connectTls(await dialTcp(address), certificate, [server], pqc, never);
  closers.push(() => ours.socket.destroy());
  await handshakes[0];
  const offer = async (ecdhCurve: string) => {
    const socket = connect({ ...material, socket: await dialTcp(address), ALPNProtocols: ['h2'], ecdhCurve });
    closers.push(() => socket.destroy());
    return raw(socket);
  };
  assert.equal(await offer('X25519MLKEM768'), 'TLSv1.3');
  assert.equal(await offer('X25519:P-256'), 'refused');
});
