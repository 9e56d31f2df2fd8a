/** The programs of bin/ start from any working directory, also by a link, and tell users what they did wrong. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

const bin = join(import.meta.dirname, '../bin');

/** Exit code and output of arguments that make a program answer and end. */
const programs = [
  { name: 'aquifer', args: ['--help'], code: 0, says: /aquifer lab/ },
  { name: 'aquifer', args: ['laboratory'], code: 64, says: /aquifer laboratory: there is no such command/ },
  { name: 'istiod', args: ['--help'], code: 0, says: /istiod discovery/ },
  { name: 'istiod', args: ['--no-such-flag'], code: 2, says: /^istiod: .*--no-such-flag/ },
  { name: 'ztunnel', args: ['--help'], code: 2, says: /^usage: ztunnel/ },
  { name: 'waypoint', args: ['--help'], code: 0, says: /usage: waypoint/ },
  { name: 'waypoint', args: ['--envoy', '/x'], code: 2, says: /waypoint: POD_NAME/ },
  { name: 'cni-agent', args: ['--help'], code: 2, says: /usage: cni-agent/ },
] as const;

describe('bin', () => {
  const folder = mkdtempSync(join(tmpdir(), 'aquifer-bin-'));
  after(() => rmSync(folder, { recursive: true }));

  /** Without the environment of the tests, which might hold a program's settings. */
  function start(file: string, args: readonly string[]): { code: number | null; output: string } {
    const { PATH } = process.env;
    const { status, stdout, stderr } = spawnSync(file, args, {
      cwd: folder,
      env: { PATH },
      encoding: 'utf8',
      timeout: 30_000,
    });
    return { code: status, output: `${stdout}${stderr}` };
  }

  for (const { name, args, code, says } of programs) {
    it(`${name} ${args.join(' ')} ends with ${code} from another folder`, () => {
      const told = start(join(bin, name), args);
      assert.equal(told.code, code, told.output);
      assert.match(told.output, says);
      assert.doesNotMatch(told.output, /^ {4}at /m, 'no stack is for users');
    });
  }

  it('is found through a link', () => {
    symlinkSync(join(bin, 'aquifer'), join(folder, 'mesh'));
    assert.equal(start(join(folder, 'mesh'), ['--help']).code, 0);
  });
});
