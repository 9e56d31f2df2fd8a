import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { type Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { certificateService, type PbCertificateRequest, stringField } from '../api/index.ts';
import { MeshError } from '../core/errors.ts';
import type { Identity } from '../mesh/types.ts';
import { createFakeCa, type FakeCa } from '../testing/fake-ca.ts';
import { type CaClientOptions, createCaClient } from './ca-client.ts';
import { formatSpiffe } from './spiffe.ts';

const identity: Identity = { trustDomain: 'cluster.local', namespace: 'apps', serviceAccount: 'client' };
const never = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), 'aquifer-ca-'));
const rootFile = join(folder, 'root.pem');
const tokenFile = join(folder, 'token');
const server = new Server();
const calls: { request: PbCertificateRequest; metadata: Metadata }[] = [];
/** What the CA does with the next request. */
let answer: (request: PbCertificateRequest) => Promise<readonly string[]>;
let ca: FakeCa;
let address: string;

before(async () => {
  ca = await createFakeCa();
  const serving = await ca.issue(identity, { uris: [], dns: ['localhost'] });
  writeFileSync(rootFile, ca.root);
  writeFileSync(tokenFile, 'token-1\n');
  server.addService(certificateService, {
    CreateCertificate(
      call: { request: PbCertificateRequest; metadata: Metadata },
      callback: (error: object | null, response?: { certChain: readonly string[] }) => void,
    ) {
      calls.push(call);
      answer(call.request).then(
        (certChain) => callback(null, { certChain }),
        () => callback({ code: status.UNAUTHENTICATED, details: 'request authenticate failure' }),
      );
    },
  });
  const credentials = ServerCredentials.createSsl(null, [
    { private_key: Buffer.from(serving.privateKey), cert_chain: Buffer.from(serving.chain.join('\n')) },
  ]);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  address = `localhost:${port}`;
});

after(() => {
  server.forceShutdown();
  rmSync(folder, { recursive: true });
});

const sign = async (request: PbCertificateRequest) => [await ca.sign(request.csr, identity), ca.root];
const settings = (): CaClientOptions => ({
  address,
  roots: { kind: 'file', path: rootFile },
  token: { kind: 'file', path: tokenFile },
  clusterId: 'Kubernetes',
  ttlSeconds: 86_400,
  impersonate: true,
});
const client = () => createCaClient(settings());
const refused = (pattern: RegExp) => (e: unknown) =>
  e instanceof MeshError && e.code === 'IDENTITY_UNAVAILABLE' && pattern.test(e.message);

it('asks for the identity with token, cluster and validity, and returns key, chain and roots', async () => {
  answer = sign;
  const certificate = await client().fetch(identity, never);
  const { request, metadata } = calls.at(-1)!;
  assert.deepEqual(metadata.get('authorization'), ['Bearer token-1']);
  assert.deepEqual(metadata.get('clusterid'), ['Kubernetes']);
  assert.equal(Number(request.validityDuration), 86_400);
  assert.equal(stringField(request.metadata, 'ImpersonatedIdentity'), formatSpiffe(identity));
  assert.deepEqual(certificate.identity, identity);
  assert.equal(certificate.chain.length, 1);
  assert.equal(certificate.roots.length, 1);
  assert.ok(certificate.notAfter - certificate.notBefore > 86_000_000);
});

it('names no identity when it asks for its own, and refuses another', async () => {
  answer = sign;
  const own = createCaClient({ ...settings(), impersonate: false });
  await own.fetch(identity, never);
  assert.equal(calls.at(-1)!.request.metadata, null);
  await assert.rejects(own.fetch({ ...identity, serviceAccount: 'other' }, never), refused(/the leaf is for spiffe/));
});

it('reads the token and the roots again for each request', async () => {
  answer = sign;
  const c = client();
  writeFileSync(tokenFile, 'token-2');
  await c.fetch(identity, never);
  assert.deepEqual(calls.at(-1)!.metadata.get('authorization'), ['Bearer token-2']);
  const other = await createFakeCa();
  writeFileSync(rootFile, other.root);
  await assert.rejects(c.fetch(identity, never), refused(/certificate/));
  writeFileSync(rootFile, `${other.root}\n${ca.root}`);
  await c.fetch(identity, never);
});

it('splits the last element into roots and keeps intermediates in the chain', async () => {
  const other = await createFakeCa();
  answer = async (request) => [await ca.sign(request.csr, identity), other.root, `${ca.root}\n${other.root}\n`];
  const certificate = await client().fetch(identity, never);
  assert.equal(certificate.chain.length, 2);
  assert.equal(certificate.roots.length, 2);
});

it('refuses answers that it cannot use', async () => {
  const leaf = (request: PbCertificateRequest) => ca.sign(request.csr, identity);
  answer = async (request) => [await leaf(request)];
  await assert.rejects(client().fetch(identity, never), refused(/1 elements/));
  answer = async () => [];
  await assert.rejects(client().fetch(identity, never), refused(/0 elements/));
  answer = async (request) => [await leaf(request), 'no certificate'];
  await assert.rejects(client().fetch(identity, never), refused(/holds no certificate/));
  answer = async () => ['junk', ca.root];
  await assert.rejects(client().fetch(identity, never), refused(/invalid/));
  answer = async (request) => [await ca.sign(request.csr, { ...identity, serviceAccount: 'other' }), ca.root];
  await assert.rejects(client().fetch(identity, never), refused(/is for spiffe:.*other/));
  answer = async () => [(await ca.issue(identity)).chain[0]!, ca.root];
  await assert.rejects(client().fetch(identity, never), refused(/another key/));
});

it("names the CA's refusal, a CA that is away, and files that are missing", async () => {
  answer = () => Promise.reject(new Error('no'));
  await assert.rejects(client().fetch(identity, never), refused(/request authenticate failure/));
  await assert.rejects(
    createCaClient({ ...settings(), address: 'localhost:1' }).fetch(identity, never),
    refused(/localhost:1/),
  );
  const tokenless = createCaClient({ ...settings(), token: { kind: 'file', path: join(folder, 'none') } });
  await assert.rejects(tokenless.fetch(identity, never), refused(/token/));
});

it('stops when its signal aborts', async () => {
  const asked = Promise.withResolvers<void>();
  answer = () => {
    asked.resolve();
    return new Promise(() => undefined);
  };
  const abort = new AbortController();
  const pending = client().fetch(identity, abort.signal);
  await asked.promise;
  abort.abort(new Error('enough'));
  await assert.rejects(pending, /enough/);
});
