import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readCommandLine } from './command-line.ts';

const known = ['--port', '--domain'] as const;

test('flags with values, and words', () => {
  const line = readCommandLine(['run', '--port=1', '--port', '2', 'more'], known);
  assert.deepEqual(line, { flags: { '--port': '2', '--domain': undefined }, words: ['run', 'more'], errors: [] });
  assert.equal(readCommandLine(['--domain='], known).flags['--domain'], '');
});

test('what is no flag, and flags without a value, are mistakes', () => {
  const line = readCommandLine(['--bla', '-x', '--toString', '--port'], known);
  assert.deepEqual(line.errors, [
    '--bla is not a flag; there are --port, --domain',
    '-x is not a flag; there are --port, --domain',
    '--toString is not a flag; there are --port, --domain',
    '--port needs a value',
  ]);
});

test('any arguments are read without an exception', () => {
  fc.assert(fc.property(fc.array(fc.string()), (args) => void readCommandLine(args, known)));
});
