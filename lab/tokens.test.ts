import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { issuerUrl, jwksFile, openIssuer } from './tokens.ts';

describe('the issuer of tokens', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aquifer-issuer-'));
  });
  after(() => rm(folder, { recursive: true }));

  const subject = {
    namespace: 'shop',
    serviceAccount: { name: 'web', uid: 's' },
    pod: { name: 'web-1', uid: 'p' },
    node: { name: 'node-1', uid: 'n' },
  };
  const verify = async (token: string, audience: string) => {
    const keys = createLocalJWKSet(JSON.parse(await readFile(join(folder, jwksFile), 'utf8')));
    return (await jwtVerify(token, keys, { issuer: issuerUrl, audience })).payload;
  };

  test('its tokens verify against its JWKS file, also after it was opened again', async () => {
    const first = await openIssuer(folder);
    const second = await openIssuer(folder);
    for (const issuer of [first, second]) {
      const payload = await verify(await issuer.issue(subject, 600, 'istio-ca', Date.now()), 'istio-ca');
      assert.equal(payload.sub, 'system:serviceaccount:shop:web');
      assert.equal(payload.exp! - payload.iat!, 600);
      assert.deepEqual(payload['kubernetes.io'], {
        namespace: 'shop',
        serviceaccount: subject.serviceAccount,
        pod: subject.pod,
        node: subject.node,
      });
    }
  });

  test('a token is good for its audience and its time only', async () => {
    const issuer = await openIssuer(folder);
    await assert.rejects(verify(await issuer.issue(subject, 600, 'istio-ca', Date.now()), 'other'), /aud/);
    await assert.rejects(
      verify(await issuer.issue(subject, 600, 'istio-ca', Date.now() - 3_600_000), 'istio-ca'),
      /exp/,
    );
    assert.deepEqual((await verify(await issuer.issue(subject, 600, undefined, Date.now()), issuerUrl)).aud, [
      issuerUrl,
    ]);
  });

  test('the JWKS file holds no private key', async () => {
    const { keys } = JSON.parse(await readFile(join(folder, jwksFile), 'utf8')) as { keys: object[] };
    assert.equal(
      keys.some((k) => 'd' in k),
      false,
    );
  });

  test('a damaged key is an error, not a new key', async () => {
    const damaged = await mkdtemp(join(tmpdir(), 'aquifer-issuer-'));
    await writeFile(join(damaged, 'key.json'), '{');
    await assert.rejects(openIssuer(damaged), { code: 'CONFIG' });
    await rm(damaged, { recursive: true });
  });
});
