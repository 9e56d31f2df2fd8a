/** The C++ units of the native engine, under ASAN and UBSAN: one program, of which each case is a test here. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { skipUnless } from '../harness/require.ts';

const program = join(import.meta.dirname, '../../native/engine/build/units');

describe('units of the native engine', { skip: skipUnless('linux', 'engine-programs') }, () => {
  it('all pass, and no sanitizer complains', async (t) => {
    assert.ok(existsSync(program));
    const options = { maxBuffer: 16 * 1024 * 1024, encoding: 'utf8' } as const;
    const { stdout, complaints } = await promisify(execFile)(program, options).then(
      ({ stdout, stderr }) => ({ stdout, complaints: stderr }),
      (error: { stdout: string; stderr: string }) => ({ stdout: error.stdout, complaints: error.stderr }),
    );
    for (const [, not, name = '', why = ''] of stdout.matchAll(/^(not )?ok (.+)\n((?: {2}.*\n)*)/gm)) {
      await t.test(name, () => assert.ok(not === undefined, why));
    }
    // What a sanitizer ends has no line of its own: it is the case behind the last one.
    const last = stdout.match(/^(?:not )?ok .+$/gm)?.at(-1) ?? 'the start';
    assert.equal(complaints, '', `after "${last}": ${complaints}`);
    assert.match(stdout, /^[1-9]\d+ run, 0 failed$/m);
  });
});
