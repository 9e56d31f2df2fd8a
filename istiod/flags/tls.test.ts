import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ConnectionOptions, connect, createServer } from 'node:tls';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { KeyUsageFlags } from '../../common/identity/x509.ts';
import { readIssuer } from '../ca/issuer.ts';
import { keepServingContext } from '../ca/serving-certificate.ts';
import { createLocalSigner, unchanging } from '../ca/signers/local.ts';
import { makeAuthority } from '../ca/testing/authorities.ts';
import { defaultTls, type TlsSettings } from './tls.ts';

/** What a port of these settings says to a client, or why it does not. */
async function shake(settings: Partial<TlsSettings>, options: ConnectionOptions): Promise<string> {
  const stop = new AbortController();
  const ca = await makeAuthority();
  const issuer = await readIssuer({ ...ca, chain: '', roots: ca.certificate }, Date.now());
  const context = await keepServingContext(
    {
      signer: createLocalSigner(unchanging({ issuer, roots: [issuer.root] }), systemClock),
      namespace: 'istio-system',
      domain: 'cluster.local',
      services: () => ['istiod'],
      onServices: () => undefined,
      tls: { ...defaultTls, ...settings },
      clock: systemClock,
      log: silentLogger,
      signal: stop.signal,
    },
    () => undefined,
  );
  const server = createServer({ ...context, requestCert: true, rejectUnauthorized: false }, (socket) => {
    socket.on('error', () => undefined);
    socket.end(String(socket.authorized));
  });
  server.on('tlsClientError', () => undefined);
  try {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: ca.certificate, ...options });
    await once(socket, 'secureConnect');
    const spoken = `${socket.getProtocol()} ${socket.getCipher().standardName}`;
    const [said] = await once(socket, 'data');
    socket.destroy();
    return `${spoken} ${said}`;
  } catch (e) {
    return (e as { code?: string }).code ?? String(e);
  } finally {
    stop.abort();
    server.close();
  }
}

test('TLS 1.2 at least, or 1.3', async () => {
  assert.match(await shake({}, { maxVersion: 'TLSv1.2' }), /^TLSv1\.2 /);
  assert.match(await shake({ minVersion: '1.3' }, {}), /^TLSv1\.3 /);
  assert.equal(await shake({ minVersion: '1.3' }, { maxVersion: 'TLSv1.2' }), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
});

test('suites of TLS 1.2 that are named are the only ones, and 1.3 goes on', async () => {
  const ciphers = ['ECDHE-ECDSA-CHACHA20-POLY1305'];
  const old = { maxVersion: 'TLSv1.2' } as const;
  assert.match(await shake({ ciphers }, old), /^TLSv1\.2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256/);
  assert.match(await shake({ ciphers }, {}), /^TLSv1\.3 /);
  const other = { ...old, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' };
  assert.match(await shake({ ciphers }, other), /HANDSHAKE_FAILURE/);
});

test('clients are known by the roots of --caCertFile', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'aq-tls-'));
  try {
    const theirs = await makeAuthority({ name: 'CN=clients' });
    const clientRoots = join(dir, 'clients.pem');
    await writeFile(clientRoots, theirs.certificate);
    const usages = KeyUsageFlags.digitalSignature;
    const leaf = await makeAuthority({ above: theirs, name: 'CN=client', ca: false, usages });
    const own = { cert: leaf.certificate, key: leaf.key };
    assert.match(await shake({ clientRoots }, own), / true$/);
    assert.match(await shake({}, own), / false$/);
    await assert.rejects(shake({ clientRoots: join(dir, 'none') }, own), /--caCertFile=.*cannot be read/);
  } finally {
    await rm(dir, { recursive: true });
  }
});
