import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createLogger, LogLevels } from '../../../common/core/log.ts';
import { loadOrCreateSigningKey } from './signing-key.ts';

const log = createLogger({ levels: new LogLevels('off'), format: 'plain', write: () => undefined }, 'test');
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aquifer-key-'));
});
after(() => rm(folder, { recursive: true }));

const pem = (curve: string) =>
  generateKeyPairSync('ec', { namedCurve: curve }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

describe('the key for service-account tokens', () => {
  test('is made once, also by many at a time, and only its owner reads it', async () => {
    const path = join(folder, 'made.pem');
    const made = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateSigningKey(path, log)));
    const again = await loadOrCreateSigningKey(path, log);
    assert.equal(new Set([...made, again].map((k) => k.id)).size, 1);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(
      (await readdir(folder)).filter((n) => n.endsWith('.tmp')),
      [],
    );
    assert.equal('d' in again.publicJwk, false);
  });

  test('stops the start when it is damaged, and is left as it is', async () => {
    const good = pem('P-256');
    const cut = good.split('\n').slice(0, 2).join('\n');
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
    for (const text of ['', 'no key', cut, pem('P-384'), String(rsa), mixed(good, pem('P-256'))]) {
      const path = join(folder, 'bad.pem');
      await writeFile(path, text);
      await assert.rejects(loadOrCreateSigningKey(path, log), {
        code: 'CONFIG',
        message: /bad\.pem.*Restore the file/s,
      });
      assert.equal(await readFile(path, 'utf8'), text);
    }
  });
});

/** The private number of one key with the public point of another: the point is the last 64 bytes. */
function mixed(a: string, b: string): string {
  const [x, y] = [a, b].map((t) => Buffer.from(t.replace(/-----.*-----|\s/g, ''), 'base64'));
  const der = Buffer.concat([x!.subarray(0, -64), y!.subarray(-64)]);
  return `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`;
}
