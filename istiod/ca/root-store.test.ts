import assert from 'node:assert/strict';
import { type FileHandle, mkdtemp, open, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { millis } from '../../common/core/brand.ts';
import { systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { createLogger, LogLevels, silentLogger } from '../../common/core/log.ts';
import { loadOrCreateRoot, type RootOptions } from './root-store.ts';
import { rootFile } from './roots/file-vault.ts';
import { newSerial } from './self-signed.ts';

async function withData(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'aq-root-'));
  try {
    await body(join(dir, 'data'));
  } finally {
    await rm(dir, { recursive: true });
  }
}
const load = (dataDir: string, more: Partial<RootOptions> = {}) =>
  loadOrCreateRoot({
    dataDir,
    trustDomain: 'cluster.local',
    clock: systemClock,
    log: silentLogger,
    published: undefined,
    ...more,
  });

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

test('a start is on the disk also when an earlier one was killed before it was', (t) =>
  withData(async (dir) => {
    await load(dir);
    const synced: string[] = [];
    const handle = await open(dir);
    const prototype: FileHandle = Object.getPrototypeOf(handle);
    await handle.close();
    const { sync } = prototype;
    t.mock.method(prototype, 'sync', async function (this: FileHandle) {
      synced.push(await readlink(`/proc/self/fd/${this.fd}`));
      return sync.call(this);
    });
    await load(dir);
    assert.deepEqual(synced, [dir, dirname(dir)]);
  }));

test('a new root is logged with its file, once', () =>
  withData(async (dir) => {
    const lines: string[] = [];
    const sink = { levels: new LogLevels('info'), format: 'plain' as const, write: (l: string) => void lines.push(l) };
    const log = createLogger(sink, 'ca');
    await load(dir, { log });
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /made a new root/);
    assert.ok(lines[0]!.includes(join(dir, rootFile)));
    await load(dir, { log });
    assert.equal(lines.length, 1);
  }));

test('no new root is made where another is published: workloads would trust either one or the other', () =>
  withData(async (dir) => {
    const refusal = await load(dir, { published: 'another' }).catch((e: unknown) => e);
    assert.ok(refusal instanceof MeshError && refusal.code === 'CONFIG');
    for (const said of [join(dir, rootFile), 'istio-ca-root-cert', 'Restore', 'delete'])
      assert.ok(refusal.message.includes(said), said);
    await assert.rejects(stat(dir), { code: 'ENOENT' });
    const made = await load(dir);
    assert.equal((await load(dir, { published: 'another' })).pem, made.pem);
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
    await assert.rejects(load(dir, { clock: later }), /expired on/);
  }));

test('serial numbers are positive, 128 bits long and differ', () => {
  const serials = Array.from({ length: 100 }, newSerial);
  assert.ok(serials.every((s) => /^[4-7][0-9a-f]{31}$/.test(s)));
  assert.equal(new Set(serials).size, 100);
});
