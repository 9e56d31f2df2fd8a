import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type VolumeFile, writeVersion } from './atomic-files.ts';

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'aquifer-atomic-'));
});
after(() => rm(root, { recursive: true }));

const [uid, gid] = [process.getuid!(), process.getgid!()];
const file = (path: string, text: string, mode = 0o644): VolumeFile => ({
  path,
  content: Buffer.from(text),
  mode,
  uid,
  gid,
});

async function shown(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { recursive: true })).sort();
  const found: Record<string, string> = {};
  for (const name of names) {
    if (name.split('/')[0]!.startsWith('..')) continue;
    const path = join(folder, name);
    if ((await stat(path)).isFile()) found[name] = await readFile(path, 'utf8');
    else for (const inner of await readdir(path)) found[`${name}/${inner}`] = await readFile(join(path, inner), 'utf8');
  }
  return found;
}

test('what is shown is the last version, whatever came before, and nothing of others stays', async () => {
  const name = fc.constantFrom('a', 'b', 'c/d', 'c/e');
  const version = fc.uniqueArray(fc.tuple(name, fc.string()), { selector: ([n]) => n });
  await fc.assert(
    fc.asyncProperty(fc.array(version, { minLength: 1, maxLength: 4 }), async (versions) => {
      const folder = await mkdtemp(join(root, 'v-'));
      for (const [i, files] of versions.entries()) {
        await writeVersion(
          folder,
          files.map(([n, text]) => file(n, text)),
          i,
        );
        assert.deepEqual(await shown(folder), Object.fromEntries(files.toSorted(([a], [b]) => (a < b ? -1 : 1))));
        assert.equal((await readdir(folder)).filter((n) => n.startsWith('..')).length, 2);
      }
    }),
    { numRuns: 30 },
  );
});

test('the same again changes nothing; another permission does', async () => {
  const folder = await mkdtemp(join(root, 'same-'));
  const version = () => readlink(join(folder, '..data'));
  await writeVersion(folder, [file('a', 'x')], 0);
  const first = await version();
  await writeVersion(folder, [file('a', 'x')], 1);
  assert.equal(await version(), first);
  await writeVersion(folder, [file('a', 'x', 0o400)], 2);
  assert.notEqual(await version(), first);
  assert.equal((await stat(join(folder, 'a'))).mode & 0o777, 0o400);
});
