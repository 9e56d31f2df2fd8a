import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { getCACertificates } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { addressTypeUrl } from '../api/index.ts';
import { createLogger, LogLevels, silentLogger } from '../core/log.ts';
import type { WorkloadCertificate } from '../identity/types.ts';
import { MeshStore } from '../mesh/store.ts';
import { identity } from '../testing/builders.ts';
import { createFakeCa } from '../testing/fake-ca.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { addressResponse, FakeXds } from '../testing/fake-xds.ts';
import { until } from '../testing/until.ts';
import { type ControlPlane, controlPlaneConnection, warnOfPlain } from './connect.ts';
import { startDeltaClient } from './delta-client.ts';

let folder: string;
const file = (name: string) => join(folder, name);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aquifer-xds-'));
});
after(() => rm(folder, { recursive: true }));

const plane = (address: string): ControlPlane => ({
  address,
  roots: { kind: 'file', path: file('root.pem') },
  token: { kind: 'file', path: file('token') },
  clusterId: 'Kubernetes',
});

function startTls(serving: WorkloadCertificate): Promise<FakeXds> {
  const pair = { cert_chain: Buffer.from(serving.chain.join('')), private_key: Buffer.from(serving.privateKey) };
  return FakeXds.start(0, ServerCredentials.createSsl(null, [pair]));
}

function start(
  to: string | ControlPlane,
  clock: FakeClock,
): { terminations: readonly string[]; stop: AbortController } {
  const stop = new AbortController();
  const terminations: string[] = [];
  startDeltaClient({
    connect: () => controlPlaneConnection(typeof to === 'string' ? plane(to) : to),
    node: { id: 'n' },
    store: new MeshStore(),
    clock,
    log: silentLogger,
    metrics: { message: () => undefined, terminated: (reason) => terminations.push(reason) },
    signal: stop.signal,
  });
  return { terminations, stop };
}

test('TLS with the roots and the token that the files hold at each connection', async () => {
  const [ca, stranger] = await Promise.all([createFakeCa(), createFakeCa()]);
  const serving = await ca.issue(identity('istio-system', 'istiod'), { dns: ['localhost'], uris: [] });
  await writeFile(file('root.pem'), stranger.root);
  await writeFile(file('token'), 'first\n');
  const fake = await startTls(serving);
  const clock = new FakeClock();
  const { terminations, stop } = start(`https://localhost:${fake.port}`, clock);
  try {
    await until('the stranger to be refused', () => terminations.length === 1 && clock.nextIn !== undefined);
    assert.deepEqual(terminations, ['ConnectionError']);
    assert.equal(fake.streams.length, 0);

    await writeFile(file('root.pem'), ca.root);
    clock.advance(10);
    const stream = await fake.stream();
    assert.deepEqual(stream.metadata.get('authorization'), ['Bearer first']);
    assert.equal((await stream.next()).typeUrl, addressTypeUrl);

    stream.send(addressResponse('n1', []));
    await stream.next();
    await writeFile(file('token'), 'second');
    stream.end();
    await until('the end', () => terminations.length === 2 && clock.nextIn !== undefined);
    clock.advance(10);
    assert.deepEqual((await fake.stream()).metadata.get('authorization'), ['Bearer second']);
  } finally {
    stop.abort();
    fake.kill();
  }
});

test('a certificate for another name is refused', async () => {
  const ca = await createFakeCa();
  const serving = await ca.issue(identity('istio-system', 'istiod'), { dns: ['not-localhost'], uris: [] });
  await writeFile(file('root.pem'), ca.root);
  await writeFile(file('token'), 'first');
  const fake = await startTls(serving);
  const { terminations, stop } = start(`localhost:${fake.port}`, new FakeClock());
  try {
    await until('the refusal', () => terminations.length === 1);
    assert.deepEqual([terminations, fake.streams.length], [['ConnectionError'], 0]);
  } finally {
    stop.abort();
    fake.kill();
  }
});

test('another name is accepted where the settings say so, and no third one', async () => {
  const ca = await createFakeCa();
  const serving = await ca.issue(identity('istio-system', 'istiod'), { dns: ['istiod.example'], uris: [] });
  await writeFile(file('token'), 'first');
  const fake = await startTls(serving);
  const to = { ...plane(`localhost:${fake.port}`), roots: { kind: 'pem', pem: ca.root } } as const;
  const wrong = start({ ...to, alternativeName: 'third.example' }, new FakeClock());
  await until('the refusal', () => wrong.terminations.length === 1);
  wrong.stop.abort();
  assert.equal(fake.streams.length, 0);
  const right = start({ ...to, alternativeName: 'istiod.example', headers: { 'x-tenant': 'blue' } }, new FakeClock());
  try {
    assert.deepEqual((await fake.stream()).metadata.get('x-tenant'), ['blue']);
  } finally {
    right.stop.abort();
    fake.kill();
  }
});

test('a token may be given as it is, and a file of one may be absent where that is allowed', async () => {
  const ca = await createFakeCa();
  const roots = { kind: 'pem', pem: ca.root } as const;
  const token = async (t: ControlPlane['token']) => {
    const { metadata } = await controlPlaneConnection({ ...plane('https://localhost:1'), roots, token: t });
    return metadata.get('authorization');
  };
  assert.deepEqual(await token({ kind: 'literal', token: 'abc' }), ['Bearer abc']);
  await writeFile(file('token'), 'later\n');
  assert.deepEqual(await token({ kind: 'optionalFile', path: file('token') }), ['Bearer later']);
  assert.deepEqual(await token({ kind: 'optionalFile', path: '/nonexistent' }), []);
  await assert.rejects(token({ kind: 'optionalFile', path: folder }), /token for the control plane: EISDIR/);
});

test("the operating system's roots are used where there are any", async () => {
  const system = { ...plane('https://localhost:1'), roots: { kind: 'system' }, token: undefined } as const;
  if (getCACertificates('system').length > 0) assert.ok((await controlPlaneConnection(system)).credentials);
  else await assert.rejects(controlPlaneConnection(system), /operating system's store holds no usable certificate/);
});

test('files and addresses that cannot be used are named', async () => {
  await writeFile(file('token'), 'first');
  const missing = { ...plane('https://localhost:1'), roots: { kind: 'file', path: '/nonexistent/root.pem' } } as const;
  await assert.rejects(controlPlaneConnection(missing), /roots for the control plane: ENOENT.*\/nonexistent\/root.pem/);
  const tokenless = { ...plane('https://localhost:1'), token: { kind: 'file', path: '/nonexistent/token' } } as const;
  await assert.rejects(controlPlaneConnection(tokenless), /token for the control plane: ENOENT.*\/nonexistent\/token/);
  for (const address of ['', 'localhost', 'ftp://localhost:1', 'https://localhost', 'https://localhost:1/path']) {
    await assert.rejects(controlPlaneConnection(plane(address)), /expected https:\/\/host:port/, address);
  }
  await writeFile(file('root.pem'), 'this is no certificate');
  await assert.rejects(controlPlaneConnection(plane('https://localhost:1')), /root.pem holds no usable certificate/);
});

test('a plain port gets no token, and a warning says what that means', async () => {
  const nowhere = { kind: 'file', path: '/nonexistent' } as const;
  const files = { roots: nowhere, token: nowhere };
  const { metadata, target } = await controlPlaneConnection({ ...plane('http://[::1]:1'), ...files });
  assert.deepEqual([target, metadata.get('authorization'), metadata.get('clusterid')], ['[::1]:1', [], ['Kubernetes']]);
  await writeFile(file('token'), 'secret');
  const fake = await FakeXds.start();
  const { stop } = start(`http://localhost:${fake.port}`, new FakeClock());
  try {
    assert.deepEqual((await fake.stream()).metadata.get('authorization'), []);
  } finally {
    stop.abort();
    fake.kill();
  }
  const lines: string[] = [];
  const sink = { levels: new LogLevels('warn'), format: 'plain' as const, write: (l: string) => void lines.push(l) };
  for (const address of ['https://istiod:15012', 'istiod:15012']) warnOfPlain(address, createLogger(sink, 'xds'));
  assert.deepEqual(lines, []);
  warnOfPlain('http://istiod:15010', createLogger(sink, 'xds'));
  assert.match(lines.join(), /unauthenticated.*http:\/\/istiod:15010/);
});
