import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Metadata } from '@grpc/grpc-js';
import { Registry } from 'prom-client';
import { SettingsReader } from '../../../common/config/reader.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { createLogger, LogLevels } from '../../../common/core/log.ts';
import { createCsr } from '../../../common/identity/csr.ts';
import { configMapKind, namespaceKind, type Pod, secretKind } from '../../../common/kube/kinds/core.ts';
import { FakeClock } from '../../../common/testing/fake-clock.ts';
import { FakeKube } from '../../../common/testing/fake-kube.ts';
import { until } from '../../../common/testing/until.ts';
import { verifyCsr } from '../authority.ts';
import { type Ca, startCa } from '../ca.ts';
import { readCaSettings } from '../config.ts';
import { makeAuthority, type TestAuthority } from '../testing/authorities.ts';

const namespace = 'istio-system';
const key = { namespace, name: 'cacerts' };
const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };
const b64 = (files: Record<string, string>) =>
  Object.fromEntries(Object.entries(files).map(([k, v]) => [k, Buffer.from(v).toString('base64')]));

/** As an operator makes them: an intermediate below a root. */
function filesOf(lower: TestAuthority, root: TestAuthority, roots = root.certificate): Record<string, string> {
  return {
    'ca-cert.pem': lower.certificate,
    'ca-key.pem': lower.key,
    'cert-chain.pem': lower.certificate + root.certificate,
    'root-cert.pem': roots,
  };
}

async function rig(env: Record<string, string> = {}) {
  const [source, clock, stop] = [new FakeKube(), new FakeClock(Date.now()), new AbortController()];
  const lines: string[] = [];
  const sink = { levels: new LogLevels('info'), format: 'plain' as const, write: (l: string) => void lines.push(l) };
  const settings = readCaSettings(new SettingsReader({ ROOT_CA_DIR: '/nonexistent', ...env }));
  await source.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const pods = new Map<string, Pod>();
  return {
    source,
    clock,
    lines,
    pods,
    stop: () => stop.abort(),
    plug: (data: Record<string, string>) =>
      source.create(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata: key, data: b64(data) }),
    replace: (data: Record<string, string>) => source.patch(secretKind, key, { data: b64(data) }),
    start: () =>
      startCa({
        settings,
        namespace,
        trustDomain: 'cluster.local',
        clusterId: 'Kubernetes',
        source,
        leadership: { leads: true, whileLeading: (work) => work(stop.signal), release: async () => undefined },
        registry: new Registry(),
        clock,
        log: createLogger(sink, 'ca'),
        signal: stop.signal,
      }),
    /** Turns of the loops, without waiting for a time. */
    async pass(ms: number) {
      for (let t = 0; t < ms; t += 2_000) {
        clock.advance(2_000);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  };
}

/** A certificate as the service gives one to the ztunnel of the pod's node. */
async function issue(ca: Ca): Promise<readonly X509Certificate[]> {
  const { csr } = await createCsr(identity);
  const request = {
    csr,
    key: await verifyCsr(csr),
    identity,
    ttlMs: 3_600_000,
    call: new Metadata(),
    impersonated: true,
  };
  const signed = await ca.signer.sign(request);
  const chain = signed.chain.map((c) => new X509Certificate(c));
  const caller = { namespace, serviceAccount: 'ztunnel', pod: { name: 'zt', uid: 'zt-uid' } };
  ca.issued({ caller, identity, impersonated: true, leaf: chain[0]!, signed });
  return [...chain, ...signed.roots.map((r) => new X509Certificate(r.pem))];
}

const subjects = (chain: readonly X509Certificate[]) => chain.slice(1).map((c) => c.subject);
const trusted = (ca: Ca) => ca.signer.roots().map((r) => new X509Certificate(r.pem).subject);

test('Secret cacerts signs, and an intermediate below the same root replaces another at once', async () => {
  const r = await rig();
  const root = await makeAuthority({ kind: 'rsa', name: 'O=root' });
  const first = await makeAuthority({ kind: 'rsa', above: root, name: 'O=first' });
  await r.plug({ ...filesOf(first, root), 'ca-crl.pem': 'revoked' });
  const ca = await r.start();
  ca.watch(r.pods);
  assert.deepEqual(subjects(await issue(ca)), ['O=first', 'O=root']);
  const chain = await issue(ca);
  for (const [i, c] of chain.slice(0, -1).entries()) assert.ok(c.verify(chain[i + 1]!.publicKey));
  await until('the list of revoked ones', () => r.source.get(configMapKind, { namespace, name: 'istio-ca-crl' }));
  const second = await makeAuthority({ above: root, name: 'O=second' });
  await r.replace(filesOf(second, root));
  await r.pass(4_000);
  await until('the second', async () => subjects(await issue(ca))[0] === 'O=second');
  r.stop();
});

test('what is broken changes nothing, is said once, and a good one counts again', async () => {
  const r = await rig();
  const root = await makeAuthority({ name: 'O=root' });
  const lower = await makeAuthority({ above: root, name: 'O=lower' });
  await r.plug(filesOf(lower, root));
  const ca = await r.start();
  ca.watch(r.pods);
  const other = await makeAuthority({ name: 'O=other' });
  await r.replace({ ...filesOf(lower, root), 'root-cert.pem': other.certificate });
  await r.pass(6_000);
  assert.deepEqual(subjects(await issue(ca)), ['O=lower', 'O=root']);
  const said = () => r.lines.filter((l) => l.includes('the last good one signs'));
  assert.equal(said().length, 1);
  assert.match(said()[0]!, /leads to none of its roots/);
  await r.source.delete(secretKind, key);
  await r.pass(4_000);
  assert.equal(said().length, 2);
  assert.deepEqual(subjects(await issue(ca)), ['O=lower', 'O=root']);
  const next = await makeAuthority({ above: root, name: 'O=next' });
  await r.plug(filesOf(next, root));
  await r.pass(4_000);
  await until('the next', async () => subjects(await issue(ca))[0] === 'O=next');
  r.stop();
});

test('another root is given out first, signs when every proxy trusts it, and the old one goes when it is out of use', async () => {
  const r = await rig({ AQUIFER_ROOT_SETTLE_TIME: '10s', DEFAULT_WORKLOAD_CERT_TTL: '1h' });
  const [a, b] = [await makeAuthority({ name: 'O=a' }), await makeAuthority({ name: 'O=b' })];
  const [inA, inB] = [
    await makeAuthority({ above: a, name: 'O=in-a' }),
    await makeAuthority({ above: b, name: 'O=in-b' }),
  ];
  await r.plug(filesOf(inA, a));
  const ca = await r.start();
  const pod = (name: string, ns: string, account: string, uid: string, annotations = {}) =>
    r.pods.set(`${ns}/${name}`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: ns, uid, resourceVersion: '1', annotations },
      spec: { serviceAccountName: account, nodeName: 'n', containers: [] },
      status: { phase: 'Running' },
    } as Pod);
  pod('zt', namespace, 'ztunnel', 'zt-uid');
  pod('web', 'shop', 'web', 'web-uid', { 'ambient.istio.io/redirection': 'enabled' });
  ca.watch(r.pods);
  await issue(ca);
  await r.replace(filesOf(inB, b));
  await r.pass(20_000);
  assert.deepEqual(trusted(ca), ['O=b', 'O=a']);
  assert.deepEqual(subjects(await issue(ca)), ['O=in-a', 'O=b', 'O=a']);
  await r.pass(6_000);
  assert.deepEqual(trusted(ca), ['O=b', 'O=a']);
  assert.equal(
    new X509Certificate((await ca.signer.serving({ dns: ['x'], ips: [], ttlMs: 1_000 })).chain).issuer,
    'O=in-a',
  );
  await r.pass(10_000);
  await until('the switch', () =>
    r.lines.some((l) => l.includes('follows what is plugged in') && trusted(ca).length === 2),
  );
  assert.deepEqual(subjects(await issue(ca)), ['O=in-b', 'O=b', 'O=a']);
  await r.pass(20_000);
  assert.deepEqual(trusted(ca), ['O=b', 'O=a']);
  r.clock.advance(3_600_000);
  await issue(ca);
  await r.pass(20_000);
  await until('the old root to go', () => trusted(ca).join() === 'O=b');
  assert.equal(r.lines.filter((l) => l.includes('once every proxy trusts it')).length, 1);
  r.stop();
});

test('what cannot be used stops the start, and nothing is made in its place', async () => {
  const r = await rig();
  const root = await makeAuthority();
  await r.plug({ ...filesOf(root, root), 'ca-key.pem': 'nonsense' });
  await assert.rejects(r.start(), (e) => {
    assert.ok(e instanceof MeshError && e.code === 'CONFIG');
    assert.match(e.message, /^Secret istio-system\/cacerts is no usable CA: it holds no private key/);
    return true;
  });
  assert.equal(await r.source.get(secretKind, { namespace, name: 'istio-ca-secret' }), undefined);
  r.stop();
});

test("a mounted folder goes before the Secret, also with cert-manager's names; an empty one does not", async () => {
  const dir = await mkdtemp(join(tmpdir(), 'aq-cacerts-'));
  const root = await makeAuthority({ name: 'O=mounted' });
  const other = await makeAuthority({ name: 'O=secret' });
  const r = await rig({ ROOT_CA_DIR: join(dir, 'cacerts') });
  await r.plug(filesOf(other, other));
  assert.deepEqual(trusted(await r.start()), ['O=secret']);
  await mkdir(join(dir, 'cacerts'));
  assert.deepEqual(trusted(await r.start()), ['O=secret']);
  const files = { 'tls.crt': root.certificate, 'tls.key': root.key, 'ca.crt': root.certificate };
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, 'cacerts', name), text);
  const ca = await r.start();
  assert.equal(trusted(ca)[0], 'O=mounted');
  r.stop();
  await rm(dir, { recursive: true });
});
