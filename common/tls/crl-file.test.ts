import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { millis } from '../core/brand.ts';
import { createLogger, LogLevels } from '../core/log.ts';
import { identity } from '../testing/builders.ts';
import { createFakeCa } from '../testing/fake-ca.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { until } from '../testing/until.ts';
import { followCrlFile } from './crl-file.ts';

const ca = await createFakeCa();
const certificates = await Promise.all(['a', 'b', 'c'].map((name) => ca.issue(identity('default', name))));
/** A list of the first n. */
const listOf = (n: number) => ca.revoke(certificates.slice(0, n).map((c) => c.chain[0]!));

/** A folder as Kubernetes mounts a ConfigMap: `crl.pem -> ..data/crl.pem`, `..data -> ..<version>`. */
class Mount {
  readonly folder = mkdtempSync(join(tmpdir(), 'aq-crl-'));
  readonly path = join(this.folder, 'crl.pem');
  #version = 0;

  publish(text: string): void {
    const version = `..${this.#version++}`;
    mkdirSync(join(this.folder, version));
    writeFileSync(join(this.folder, version, 'crl.pem'), text);
    symlinkSync(version, join(this.folder, '..data_tmp'));
    renameSync(join(this.folder, '..data_tmp'), join(this.folder, '..data'));
    if (version === '..0') symlinkSync('..data/crl.pem', this.path);
    else rmSync(join(this.folder, `..${this.#version - 2}`), { recursive: true });
  }
}

async function following(mount: Mount) {
  const clock = new FakeClock();
  const stopped = new AbortController();
  const lines: string[] = [];
  const sizes: number[] = [];
  const log = createLogger({ levels: new LogLevels('info'), format: 'plain', write: (l) => void lines.push(l) }, 'crl');
  await followCrlFile({
    path: mount.path,
    clock,
    log,
    signal: stopped.signal,
    onLists: (lists) => void sizes.push(lists.reduce((n, l) => n + l.revoked.size, 0)),
  });
  /** Lets time pass until the condition holds. */
  const passing = (what: string, condition: () => boolean) =>
    until(what, () => {
      clock.advance(millis(1_000));
      return condition();
    });
  const stop = () => {
    stopped.abort();
    rmSync(mount.folder, { recursive: true });
  };
  return { sizes, lines, passing, stop };
}

test('a mount that is swapped by its symbolic link is read anew', async () => {
  const mount = new Mount();
  mount.publish(await listOf(1));
  const { sizes, lines, passing, stop } = await following(mount);
  assert.deepEqual(sizes, [1], 'before the first connection');
  for (const n of [2, 3]) {
    mount.publish(await listOf(n));
    await passing(`list ${n}`, () => sizes.at(-1) === n);
  }
  assert.deepEqual(sizes, [1, 2, 3]);
  assert.equal(lines.length, 3);
  assert.match(lines[2]!, /in force path=".*crl\.pem" lists=1 revoked=3/);
  stop();
});

test('a file that is damaged or away is said once, and the last good one holds until the next', async () => {
  const mount = new Mount();
  const { sizes, lines, passing, stop } = await following(mount);
  assert.match(lines[0]!, /error\tcrl\t.*the last good ones hold.*ENOENT/);
  mount.publish(await listOf(1));
  await passing('the first list', () => sizes.length === 1);
  mount.publish('half a li');
  await passing('the complaint', () => lines.length === 3);
  assert.match(lines[2]!, /the last good ones hold.*no PEM block/);
  unlinkSync(mount.path);
  await passing('the other complaint', () => lines.length === 4);
  writeFileSync(mount.path, await listOf(2));
  await passing('the next list', () => sizes.length === 2);
  assert.deepEqual(sizes, [1, 2]);
  assert.equal(lines.length, 5);
  stop();
});
