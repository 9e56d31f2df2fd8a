/** Credentials over restarts: kept as long as they are good, made anew when they are not, and never with another CA unasked. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { type Millis, millis } from '../../../common/core/brand.ts';
import { type Clock, systemClock } from '../../../common/core/clock.ts';
import { silentLogger } from '../../../common/core/log.ts';
import { type Credentials, loadCredentials } from './credentials.ts';

let dataDir: string;
let first: Credentials;
before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'aquifer-credentials-'));
});
after(() => rm(dataDir, { recursive: true }));

const load = (addresses: readonly string[] = ['10.0.0.1'], clock: Clock = systemClock) =>
  loadCredentials({ dataDir, addresses, clock, log: silentLogger });
const file = (name: string) => join(dataDir, 'pki', name);

beforeEach(async () => {
  first = await load();
});

test('the next start has the same', async () => {
  const again = await load();
  assert.deepEqual([again.certificate, again.key, again.adminToken], [first.certificate, first.key, first.adminToken]);
  assert.equal(again.certificateAuthority.pem, first.certificateAuthority.pem);
  const own = new X509Certificate(first.certificate);
  assert.ok(own.checkIP('10.0.0.1') && own.checkHost('kubernetes.default.svc'));
  assert.ok(own.checkIssued(new X509Certificate(first.certificateAuthority.pem)));
});

test('another address, a damaged file and an end that comes near make another certificate of the same CA', async () => {
  const later: Clock = { ...systemClock, wall: (): Millis => millis(Date.now() + 340 * 86_400_000) };
  const causes = [
    () => load(['10.0.0.1', 'fd00::7']),
    () => load(['10.0.0.1'], later),
    async () => {
      await writeFile(file('serving.pem'), (await readFile(file('serving.pem'), 'utf8')).slice(0, -200));
      return load();
    },
  ];
  for (const cause of causes) {
    const other = await cause();
    assert.notEqual(other.certificate, first.certificate);
    assert.equal(other.certificateAuthority.pem, first.certificateAuthority.pem);
    const own = new X509Certificate(other.certificate);
    assert.ok(own.verify(new X509Certificate(first.certificateAuthority.pem).publicKey));
    first = other;
  }
});

test('what signs is read when it is asked for, and a damaged CA stops the start', async () => {
  const { certificateAuthority } = await load();
  assert.equal((await certificateAuthority.issuer()).pem, first.certificateAuthority.pem);
  const whole = await readFile(file('ca.pem'), 'utf8');
  await writeFile(file('ca.pem'), whole.replace(/^(.{60})..../ms, '$1AAAA'));
  await assert.rejects(load(), /ca\.pem is not a usable root of the CA/);
  await writeFile(file('ca.pem'), whole);
});

test('a CA that is gone while the server runs is not replaced by another one', async () => {
  const { certificateAuthority } = await load();
  const whole = await readFile(file('ca.pem'), 'utf8');
  await rm(file('ca.pem'));
  await assert.rejects(certificateAuthority.issuer(), /there is no root of the CA/);
  await writeFile(file('ca.pem'), whole);
});
