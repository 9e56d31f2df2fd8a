import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../commands.ts';
import { candidates } from './candidates.ts';
import { scripts, shells } from './scripts.ts';

const offered = (line: string) => {
  const found = candidates(root, line.split(' '));
  return found.kind === 'words' ? found.words.map((c) => c.word) : `${found.offer}:${found.prefix}`;
};

test('verbs, options, values, and what the shell or the cluster knows', () => {
  assert.deepEqual(offered('ztunnel-c'), ['ztunnel-config']);
  assert.deepEqual(offered('zc c'), ['certificate', 'connections']);
  assert.deepEqual(offered('-n x zc w --work'), []);
  assert.deepEqual(offered('zc w --work'), ['--workload-namespace', '--workload-node']);
  assert.deepEqual(offered('zc w -o '), ['short', 'json', 'yaml']);
  assert.deepEqual(offered('zc w --output=j'), ['--output=json']);
  assert.equal(offered('zc w --node n'), 'node:n');
  assert.equal(offered('pc cluster web'), 'pod:web');
  assert.equal(offered('validate -f '), 'file:');
  assert.deepEqual(offered('why a -- '), []);
  assert.deepEqual(offered('completion '), ['bash', 'fish', 'powershell', 'zsh']);
});

test('the script of bash offers what the program says', () => {
  const folder = mkdtempSync(join(tmpdir(), 'aquifer-completion-'));
  try {
    symlinkSync(join(import.meta.dirname, '../../bin/aquifer'), join(folder, 'aquifer'));
    const script = `${scripts.bash}
COMP_WORDS=(aquifer zc cert --o); COMP_CWORD=3; _aquifer; echo "\${COMPREPLY[@]}"
COMP_WORDS=(aquifer zc w -o ""); COMP_CWORD=4; _aquifer; echo "\${COMPREPLY[@]}"`;
    const env = { PATH: `${folder}:${process.env['PATH']}` };
    const lines = execFileSync('bash', ['--norc', '-c', script], { encoding: 'utf8', env }).trim().split('\n');
    assert.deepEqual(lines, ['--output', 'short json yaml']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('each shell that is here takes its script', () => {
  for (const shell of shells) {
    const parse = { bash: ['-n'], zsh: ['-n'], fish: ['--no-execute'], powershell: undefined }[shell];
    if (parse === undefined || spawnSync(shell, ['-c', 'exit']).error !== undefined) continue;
    const { status, stderr } = spawnSync(shell, parse, { input: scripts[shell], encoding: 'utf8' });
    assert.equal(status, 0, `${shell}: ${stderr}`);
  }
});
