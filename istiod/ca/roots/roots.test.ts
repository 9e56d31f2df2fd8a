/** Both vaults by one suite, and what replicas that share one do. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../../common/core/clock.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { silentLogger } from '../../../common/core/log.ts';
import { type Secret, secretKind } from '../../../common/kube/kinds/core.ts';
import { FakeClock } from '../../../common/testing/fake-clock.ts';
import { FakeKube } from '../../../common/testing/fake-kube.ts';
import { until } from '../../../common/testing/until.ts';
import { makeRoot, tenYears } from '../self-signed.ts';
import { createFileVault } from './file-vault.ts';
import { type OpenRootOptions, openRoot } from './open-root.ts';
import { createSecretVault } from './secret-vault.ts';
import { followVault } from './self-signed-ca.ts';
import type { RootVault, VaultContent } from './vault.ts';

const namespace = 'istio-system';
const key = { namespace, name: 'istio-ca-secret' };
const open = (vault: RootVault, more: Partial<OpenRootOptions> = {}) =>
  openRoot({
    vault,
    trustDomain: 'cluster.local',
    lifetime: tenYears,
    clock: systemClock,
    log: silentLogger,
    published: async () => undefined,
    ...more,
  });
const newRoot = () => makeRoot('cluster.local', systemClock);

const backends: Record<string, (body: (make: () => RootVault) => Promise<void>) => Promise<void>> = {
  async secret(body) {
    const source = new FakeKube();
    await body(() => createSecretVault(source, namespace));
  },
  async folder(body) {
    const dir = await mkdtemp(join(tmpdir(), 'aq-vault-'));
    try {
      await body(() => createFileVault(join(dir, 'data')));
    } finally {
      await rm(dir, { recursive: true });
    }
  },
};

for (const [name, withVault] of Object.entries(backends)) {
  test(`${name}: what is put in comes out, in every state of a rotation`, () =>
    withVault(async (make) => {
      const vault = make();
      assert.equal(await vault.read(), undefined);
      const [a, b] = [await newRoot(), await newRoot()];
      assert.equal(await vault.create({ current: a }), true);
      assert.equal(await vault.create({ current: b }), false);
      const states: VaultContent[] = [
        { current: a, next: b, request: 'one "two"\nthree: # 4' },
        { current: b, previous: a.certificate, since: 1_700_000_000_000, request: 'r' },
        { current: b, request: 'r' },
      ];
      for (const state of states) {
        const before = await make().read();
        assert.equal(await vault.replace(state, before!.version), true);
        const { content } = (await make().read())!;
        assert.deepEqual(JSON.parse(JSON.stringify(content)), state);
        assert.equal(await vault.replace({ current: a }, before!.version), false);
        const { issuer, roots } = await open(make());
        assert.equal(issuer.pem, state.current.certificate);
        assert.equal(roots.length, state === states[2] ? 1 : 2);
      }
    }));

  test(`${name}: of several that start at once all have one root`, () =>
    withVault(async (make) => {
      const opened = await Promise.all([1, 2, 3, 4].map(() => open(make())));
      assert.equal(new Set(opened.map((o) => o.issuer.root.id)).size, 1);
    }));

  test(`${name}: a root is not made beside one that the mesh trusts, unless that was made meanwhile`, () =>
    withVault(async (make) => {
      await assert.rejects(open(make(), { published: async () => 'x' }), (e) => {
        assert.ok(e instanceof MeshError && e.code === 'CONFIG');
        assert.match(e.message, /istio-ca-root-cert/);
        return true;
      });
      const root = await newRoot();
      const published = async () => {
        await make().create({ current: root });
        return root.certificate;
      };
      assert.equal((await open(make(), { published })).issuer.pem, root.certificate);
    }));
}

test('the Secret is what a stock istiod reads and writes', async () => {
  const source = new FakeKube();
  await open(createSecretVault(source, namespace));
  const secret = (await source.get(secretKind, key)) as Secret;
  assert.equal(secret['type'], 'istio.io/ca-root');
  assert.deepEqual(Object.keys(secret.data ?? {}).sort(), ['ca-cert.pem', 'ca-key.pem']);
  const theirs = new FakeKube();
  const data = { ...secret.data, 'cert-chain.pem': '', 'key.pem': '', 'root-cert.pem': '' };
  await theirs.create(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata: key, data });
  const { issuer } = await open(createSecretVault(theirs, namespace));
  assert.equal(Buffer.from(secret.data?.['ca-cert.pem'] ?? '', 'base64').toString(), issuer.pem);
});

test('a Secret that is no root stops the start with what to do', async () => {
  const root = await newRoot();
  const b64 = (text: string) => Buffer.from(text).toString('base64');
  for (const [data, expected] of [
    [{}, /no ca-key.pem/],
    [{ 'ca-key.pem': b64(root.key) }, /no ca-cert.pem/],
    [{ 'ca-key.pem': b64('x'), 'ca-cert.pem': b64(root.certificate) }, /holds no private key/],
    [{ 'ca-key.pem': b64((await newRoot()).key), 'ca-cert.pem': b64(root.certificate) }, /do not belong together/],
  ] as const) {
    const source = new FakeKube();
    await source.create(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata: key, data });
    await assert.rejects(open(createSecretVault(source, namespace)), (e) => {
      assert.ok(e instanceof MeshError && e.code === 'CONFIG');
      assert.match(e.message, expected);
      assert.match(e.message, /^Secret istio-system\/istio-ca-secret .*Restore/);
      return true;
    });
  }
});

test('who follows a vault signs with the new root, keeps the last good one, and stops when it is blind for too long', async () => {
  const [source, clock, stop] = [new FakeKube(), new FakeClock(Date.now()), new AbortController()];
  const vault = createSecretVault(source, namespace);
  const opened = await open(vault, { clock });
  let away = false;
  const seen: RootVault = { ...vault, read: () => (away ? Promise.reject(new Error('away')) : vault.read()) };
  const options = { vault: seen, opened, longestBlindness: 60_000, clock, log: silentLogger, signal: stop.signal };
  const ca = followVault(options);
  let changes = 0;
  ca.onChange(() => changes++);
  const next = await newRoot();
  await vault.replace({ ...opened.stored.content, next }, opened.stored.version);
  clock.advance(5_000);
  await until('both roots', () => ca.current().roots.length === 2);
  assert.equal(ca.current().issuer.root.id, opened.issuer.root.id);
  await source.patch(secretKind, key, { data: { 'ca-key.pem': 'AAAA' } });
  for (let i = 0; i < 3; i++) {
    clock.advance(5_000);
    await until('a look', () => clock.timers === 1);
  }
  assert.equal(ca.current().roots.length, 2);
  assert.equal(changes, 1);
  away = true;
  for (let i = 0; i < 12; i++) {
    assert.equal(ca.refusal(), undefined, String(i));
    clock.advance(5_000);
    await until('a look', () => clock.timers === 1);
  }
  clock.advance(5_000);
  await until('refusal', () => ca.refusal()?.includes('could not be read'));
  stop.abort();
});
