/** The C++ units of the native engine, under ASAN and UBSAN: one program, of which each case is a test here. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { skipUnless } from '../harness/require.ts';

const program = join(import.meta.dirname, '../../native/engine/build/units');

describe('units of the native engine', { skip: skipUnless('linux', 'engine-programs') }, () => {
  let output = '';
  before(async () => {
    const options = { maxBuffer: 16 * 1024 * 1024, encoding: 'utf8' } as const;
    output = await promisify(execFile)(program, options).then(
      ({ stdout }) => stdout,
      (error: { stdout: string; stderr: string }) => `${error.stdout}\n${error.stderr}`,
    );
  });

  it('all pass, and no sanitizer complains', () => {
    assert.ok(existsSync(program));
    const failures = output.split('\n').filter((line) => !/^ok |^# |^\d+ run, 0 failed$|^$/.test(line));
    assert.deepEqual(failures, []);
    assert.match(output, /^[1-9]\d+ run, 0 failed$/m);
  });
});
