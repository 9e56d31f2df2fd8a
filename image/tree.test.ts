import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digest, entriesOf, settle } from './tree.ts';

test('rights and times are the same whoever made the folder, and the digest tells all else', () => {
  const root = mkdtempSync(join(tmpdir(), 'aquifer-tree-'));
  try {
    const make = (name: string, mode: number, text: string) => {
      const folder = join(root, name);
      mkdirSync(join(folder, 'a/tmp'), { recursive: true });
      writeFileSync(join(folder, 'a/file'), text);
      writeFileSync(join(folder, 'a/program'), '');
      chmodSync(join(folder, 'a/file'), mode);
      chmodSync(join(folder, 'a/program'), 0o4711);
      symlinkSync('file', join(folder, 'a/link'));
      symlinkSync('a', join(folder, 'b'));
      settle(folder, new Set(['a/tmp']), 1_000);
      return folder;
    };
    const one = make('one', 0o600, 'x');
    assert.deepEqual(
      entriesOf(one).map((e) => [e.path, e.kind, e.kind === 'link' ? 0 : e.mode]),
      [
        ['a', 'folder', 0o755],
        ['a/file', 'file', 0o644],
        ['a/link', 'link', 0],
        ['a/program', 'file', 0o755],
        ['a/tmp', 'folder', 0o1777],
        ['b', 'link', 0],
      ],
    );
    assert.equal(digest(make('two', 0o666, 'x')), digest(one));
    const before = digest(one);
    assert.notEqual(digest(make('three', 0o600, 'y')), before);
    chmodSync(join(one, 'a/file'), 0o600);
    assert.notEqual(digest(one), before);
  } finally {
    rmSync(root, { recursive: true });
  }
});
