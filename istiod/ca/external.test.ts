/** istiod as the registration authority of a CA elsewhere: by Kubernetes' signing requests, and by its own protocol. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { createCsr } from '../../common/identity/csr.ts';
import { parseSpiffe } from '../../common/identity/spiffe.ts';
import { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from '../../common/identity/x509.ts';
import { createInformer } from '../../common/kube/informer.ts';
import { configMapKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { type Cluster, type Replica, withCluster } from '../testing/cluster.ts';
import { bearer, sign } from '../testing/world.ts';
import { signServing, signWorkload, verifyCsr } from './authority.ts';
import { readIssuer } from './issuer.ts';
import { signingRequestKind } from './signers/kubernetes.ts';
import { createLocalSigner, unchanging } from './signers/local.ts';
import { makeAuthority } from './testing/authorities.ts';

const web = 'spiffe://cluster.local/ns/shop/sa/web';
const identity = parseSpiffe(web)!;
const csrFor = async (serviceAccount: string) => (await createCsr({ ...identity, serviceAccount })).csr;

async function withFolder(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'aq-ra-'));
  try {
    await body(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function node(c: Cluster): Promise<string> {
  await c.namespace('shop');
  const uid = await c.pod('zt', 'istio-system/ztunnel', 'node-1');
  await c.pod('web', 'shop/web', 'node-1');
  return c.token('istio-system/ztunnel', { name: 'zt', uid });
}

const ask = (r: Replica, token: string, csr: string) => sign(r, { metadata: bearer(token), impersonate: web, csr });

async function granted(r: Replica, token: string): Promise<readonly string[]> {
  const csr = await csrFor('web');
  return until('a certificate', async () => {
    const answer = await ask(r, token, csr);
    if (answer instanceof Error) throw answer;
    return answer;
  });
}

/** What somebody's signer does with requests that are approved. */
async function serveSigner(c: Cluster, signerName: string, dir: string) {
  const root = await makeAuthority({ name: 'O=elsewhere' });
  const lower = await makeAuthority({ above: root, name: 'O=lower' });
  const issuer = await readIssuer({ ...lower, chain: lower.certificate, roots: root.certificate }, Date.now());
  await writeFile(join(dir, 'roots.pem'), root.certificate);
  const stop = new AbortController();
  const state = { disobeys: false, denies: false, requests: 0 };
  const answer = async (object: Request) => {
    const { spec, status: before, metadata } = object;
    if (spec.signerName !== signerName || before?.certificate !== undefined) return;
    const conditions = before?.conditions ?? [];
    if (!conditions.some((x) => x.type === 'Approved')) return;
    state.requests++;
    const pem = Buffer.from(spec.request, 'base64').toString();
    const key = await verifyCsr(pem);
    const san = new Pkcs10CertificateRequest(pem).getExtension('2.5.29.17');
    const names = san ? new SubjectAlternativeNameExtension(san.rawData).names.items : [];
    const uri = names.find((n) => n.type === 'url')?.value;
    const leaf =
      uri === undefined
        ? await signServing(
            issuer,
            await key.export(),
            names.map((n) => n.value).filter((n) => /[a-z]/.test(n)),
            ['127.0.0.1'],
            3_600_000,
            systemClock,
          )
        : await signWorkload(
            issuer,
            key,
            state.disobeys ? { ...identity, serviceAccount: 'admin' } : parseSpiffe(uri)!,
            3_600_000,
            systemClock,
          );
    const failed = { type: 'Failed', status: 'True', reason: 'No', message: 'not today' };
    const next = state.denies
      ? { conditions: [...conditions, failed] }
      : { certificate: Buffer.from(leaf + lower.certificate).toString('base64') };
    await c.kube.patch(signingRequestKind, { name: metadata.name }, { status: next }, { subresource: 'status' });
  };
  // A request that is gone, or was changed meanwhile, comes again.
  const handle = (o: unknown) => void answer(o as Request).catch(() => undefined);
  createInformer({
    source: c.kube,
    kind: signingRequestKind,
    log: silentLogger,
    signal: stop.signal,
    handlers: { added: handle, modified: handle },
  });
  return { state, root, [Symbol.dispose]: () => stop.abort() };
}

interface Request {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly uid: string; readonly resourceVersion: string };
  readonly spec: { readonly signerName: string; readonly request: string };
  readonly status?: { readonly certificate?: string; readonly conditions?: readonly { readonly type: string }[] };
  readonly [field: string]: unknown;
}

test("by Kubernetes' signing requests: istiod approves what it checked, and sends on only what was asked for", () =>
  withFolder((dir) =>
    withCluster(async (c) => {
      using signer = await serveSigner(c, 'example.test/mesh', dir);
      const r = await c.start({
        EXTERNAL_CA: 'ISTIOD_RA_KUBERNETES_API',
        K8S_SIGNER: 'example.test/mesh',
        PILOT_CERT_PROVIDER: 'k8s.io/example.test/mesh',
        AQUIFER_EXTERNAL_CA_ROOTS: join(dir, 'roots.pem'),
      });
      const token = await node(c);
      const chain = (await granted(r, token)).map((p) => new X509Certificate(p));
      assert.deepEqual(
        chain.slice(1).map((x) => x.subject),
        ['O=lower', 'O=elsewhere'],
      );
      assert.equal(chain[0]!.subjectAltName, `URI:${web}`);
      const wanted = new X509Certificate(signer.root.certificate).toString();
      const published = async () =>
        (await c.kube.get(configMapKind, { namespace: 'shop', name: 'istio-ca-root-cert' }))?.data?.['root-cert.pem'];
      await until('the root in the namespace', async () => (await published()) === wanted);
      const left = await c.kube.list(signingRequestKind, new AbortController().signal);
      assert.equal(left.items.length, 0);

      const before = signer.state.requests;
      const differs = await ask(r, token, await csrFor('admin'));
      assert.ok(differs instanceof Error && differs.code === status.INVALID_ARGUMENT);
      assert.match(differs.details, /sa\/admin/);
      assert.equal(signer.state.requests, before);

      signer.state.disobeys = true;
      const wrong = await ask(r, token, await csrFor('web'));
      assert.ok(wrong instanceof Error && wrong.code === status.UNAVAILABLE);
      assert.ok(r.lines.some((l) => l.includes('not signed') && l.includes('sa/admin')));
      signer.state.denies = true;
      const denied = await ask(r, token, await csrFor('web'));
      assert.ok(denied instanceof Error && denied.code === status.UNAVAILABLE);
      assert.ok(r.lines.some((l) => l.includes('not today')));
    }),
  ));

test('by its own protocol: the CA elsewhere sees who asks, and what it signs is checked', () =>
  withFolder((dir) =>
    withCluster(async (c) => {
      const upstream = await c.start();
      const [roots, cert, key] = ['roots.pem', 'tls.pem', 'key.pem'].map((n) => join(dir, n)) as [
        string,
        string,
        string,
      ];
      await writeFile(roots, upstream.istiod.rootCertificate);
      const ca = await makeAuthority({ name: 'O=serving' });
      const issuer = await readIssuer({ ...ca, chain: '', roots: ca.certificate }, Date.now());
      const local = createLocalSigner(unchanging({ issuer, roots: [issuer.root] }), systemClock);
      const serving = await local.serving({ dns: ['localhost'], ips: [], ttlMs: 3_600_000 });
      await writeFile(cert, serving.chain);
      await writeFile(key, serving.key);
      const r = await c.start(
        {
          EXTERNAL_CA: 'ISTIOD_RA_ISTIO_API',
          CA_ADDR: `https://localhost:${upstream.istiod.ports.secureGrpc}`,
          AQUIFER_EXTERNAL_CA_ROOTS: roots,
        },
        {},
        [`--tlsCertFile=${cert}`, `--tlsKeyFile=${key}`],
      );
      const token = await node(c);
      await granted(upstream, token);
      const through = { ...r, tls: () => r.tlsOf(ca.certificate) };
      const chain = (await granted(through, token)).map((p) => new X509Certificate(p));
      assert.equal(chain[0]!.subjectAltName, `URI:${web}`);
      assert.equal(chain.at(-1)!.toString(), new X509Certificate(upstream.istiod.rootCertificate).toString());
      const issued = upstream.lines.filter(
        (l) => l.includes('certificate issued') && l.includes('istio-system/ztunnel'),
      );
      assert.equal(issued.length, 2);
      const differs = await ask(through, token, await csrFor('admin'));
      assert.ok(differs instanceof Error && differs.code === status.INVALID_ARGUMENT);
      await upstream.stop();
      const away = await ask(through, token, await csrFor('web'));
      assert.ok(away instanceof Error && away.code === status.UNAVAILABLE, String(away));
    }),
  ));
