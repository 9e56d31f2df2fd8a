import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isCode, namesIn, readIfPresent, syncFolder, unlinkIfPresent, writeDurably } from './files.ts';

describe('files', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'aq-files-'));
  });
  after(() => rm(dir, { recursive: true }));

  it('writes a file once, readable by its owner alone', async () => {
    const path = join(dir, 'once');
    await writeDurably(path, 'first');
    await syncFolder(dir);
    await assert.rejects(writeDurably(path, 'second'), { code: 'EEXIST' });
    assert.equal(await readFile(path, 'utf8'), 'first');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('takes absence for an answer', async () => {
    const path = join(dir, 'absent');
    assert.equal(await readIfPresent(path), undefined);
    await unlinkIfPresent(path);
    assert.deepEqual(await namesIn(path), []);
  });

  it('finds what is there', async () => {
    const folder = join(dir, 'folder');
    await mkdir(folder);
    await writeDurably(join(folder, 'a'), 'text');
    assert.deepEqual(await namesIn(folder), ['a']);
    assert.equal(await readIfPresent(join(folder, 'a')), 'text');
    await unlinkIfPresent(join(folder, 'a'));
    assert.deepEqual(await namesIn(folder), []);
    await writeDurably(join(dir, 'file'), '');
    assert.deepEqual(await namesIn(join(dir, 'file')), [], 'a file where the folder should be');
  });

  it('passes every other error on', async () => {
    const folder = join(dir, 'in-the-way');
    await mkdir(folder);
    await assert.rejects(readIfPresent(folder), { code: 'EISDIR' });
    await assert.rejects(unlinkIfPresent(folder), { code: /EISDIR|EPERM/ });
    await assert.rejects(syncFolder(join(dir, 'absent')), { code: 'ENOENT' });
  });

  it('tells the code of an error, whatever was thrown', () => {
    assert.ok(isCode(Object.assign(new Error('gone'), { code: 'ENOENT' }), 'ENOENT'));
    assert.ok(!isCode(Object.assign(new Error('gone'), { code: 'ENOENT' }), 'EEXIST'));
    for (const thrown of [new Error('no code'), { code: 'ENOENT' }, undefined, 'ENOENT'])
      assert.ok(!isCode(thrown, 'ENOENT'));
  });
});
