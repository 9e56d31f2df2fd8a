import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fillWorkerCache } from './worker-cache.ts';

const uid = 1337;

function options(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'aq-cache-'));
  t.after(() => rmSync(root, { recursive: true }));
  const folder = join(root, 'cache');
  const source = join(root, 'source');
  mkdirSync(folder);
  mkdirSync(source);
  const program = join(source, 'program.cjs');
  writeFileSync(join(source, 'module.cjs'), 'module.exports = () => 1;');
  writeFileSync(program, "require(__dirname + '/module.cjs');");
  return { folder, argv: [process.execPath, program] as const, uid, sources: [source], program };
}

test('the folder of the worker holds what the program loads; others may read it, only its owner write', async (t) => {
  const { program, ...o } = options(t);
  assert.equal(await fillWorkerCache(o), true);
  const [name, ...others] = readdirSync(o.folder);
  assert.deepEqual(others, []);
  assert.match(name!, /^v26\..*-1337$/);
  assert.equal(statSync(join(o.folder, name!)).mode & 0o777, 0o755);
  const files = readdirSync(join(o.folder, name!));
  assert.equal(files.length, 2);
  for (const file of files) assert.equal(statSync(join(o.folder, name!, file)).mode & 0o777, 0o644);
});

test('it is filled again only when a source is newer', async (t) => {
  const { program, ...o } = options(t);
  assert.equal(await fillWorkerCache(o), true);
  assert.equal(await fillWorkerCache(o), false);
  const later = new Date(Date.now() + 10_000);
  utimesSync(program, later, later);
  assert.equal(await fillWorkerCache(o), true);
  assert.equal(readdirSync(o.folder).length, 1);
});

test('a program that fails leaves nothing behind', async (t) => {
  const { program, ...o } = options(t);
  writeFileSync(program, 'process.exit(3);');
  await assert.rejects(fillWorkerCache(o));
  assert.deepEqual(readdirSync(o.folder), []);
});

test('where nothing can be written nothing is run', async (t) => {
  const { program, folder, ...o } = options(t);
  writeFileSync(program, `require('node:fs').writeFileSync(${JSON.stringify(join(folder, 'ran'))}, '')`);
  // Nobody makes a folder there, root neither.
  await assert.rejects(fillWorkerCache({ ...o, folder: '/proc/self' }));
  assert.deepEqual(readdirSync(folder), []);
});
