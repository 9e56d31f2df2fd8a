import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { millis } from '../../common/core/brand.ts';
import { systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { loadOrCreateRoot, newSerial, rootFile } from './root-store.ts';

async function withData(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'aq-root-'));
  try {
    await body(join(dir, 'data'));
  } finally {
    await rm(dir, { recursive: true });
  }
}
const load = (dir: string, clock = systemClock) => loadOrCreateRoot(dir, 'cluster.local', clock);

test('the root is made once, whole, for ten years, and readable by its owner only', () =>
  withData(async (dir) => {
    const made = await load(dir);
    const again = await load(dir);
    assert.equal(again.pem, made.pem);
    assert.deepEqual(await readdir(dir), [rootFile]);
    assert.equal((await stat(join(dir, rootFile))).mode & 0o777, 0o600);
    const years = (made.certificate.notAfter.getTime() - Date.now()) / (365 * 86_400_000);
    assert.ok(years > 9.99 && years <= 10);
  }));

test('of several that start at once all get one root', () =>
  withData(async (dir) => {
    const roots = await Promise.all([load(dir), load(dir), load(dir)]);
    assert.equal(new Set(roots.map((r) => r.pem)).size, 1);
  }));

test('what a start that was killed left behind is no root', () =>
  withData(async (dir) => {
    await load(dir);
    await rm(join(dir, rootFile));
    await writeFile(join(dir, `${rootFile}.1.tmp`), '-----BEGIN PRIVATE KEY-----\nhalf');
    await load(dir);
    assert.deepEqual(await readdir(dir), [rootFile]);
  }));

const damage: readonly [string, (text: string, other: string) => string, RegExp][] = [
  ['empty', () => '', /holds no private key/],
  ['key only', (t) => t.slice(0, t.indexOf('-----BEGIN CERT')), /holds no certificate/],
  ['certificate only', (t) => t.slice(t.indexOf('-----BEGIN CERT')), /holds no private key/],
  ['cut off', (t) => t.slice(0, -60), /holds no certificate/],
  [
    'a damaged key',
    (t) => t.replace(/(PRIVATE KEY-----\n).{20}/, '$1AAAAAAAAAAAAAAAAAAAA'),
    /private key cannot be read/,
  ],
  [
    'a damaged certificate',
    (t) => t.replace(/(BEGIN CERTIFICATE-----\n).{20}/, '$1AAAAAAAAAAAAAAAAAAAA'),
    /certificate cannot be read/,
  ],
  [
    'of two roots',
    (t, o) => t.slice(0, t.indexOf('-----BEGIN CERT')) + o.slice(o.indexOf('-----BEGIN CERT')),
    /do not belong together/,
  ],
];
for (const [name, change, expected] of damage) {
  test(`a root that is ${name} stops the start and stays as it is`, () =>
    withData(async (dir) => {
      await load(dir);
      await load(`${dir}2`);
      const path = join(dir, rootFile);
      const broken = change(await readFile(path, 'utf8'), await readFile(join(`${dir}2`, rootFile), 'utf8'));
      await writeFile(path, broken);
      await assert.rejects(load(dir), (e) => {
        assert.ok(e instanceof MeshError && e.code === 'CONFIG');
        assert.match(e.message, expected);
        assert.ok(e.message.includes(path) && e.message.includes('Restore'));
        return true;
      });
      assert.equal(await readFile(path, 'utf8'), broken);
    }));
}

test('an expired root stops the start', () =>
  withData(async (dir) => {
    await load(dir);
    const later = { ...systemClock, wall: () => millis(Date.now() + 11 * 365 * 86_400_000) };
    await assert.rejects(load(dir, later), /expired on/);
  }));

test('serial numbers are positive, 128 bits long and differ', () => {
  const serials = Array.from({ length: 100 }, newSerial);
  assert.ok(serials.every((s) => /^[4-7][0-9a-f]{31}$/.test(s)));
  assert.equal(new Set(serials).size, 100);
});
