/** The examples by the cases that they come with, and a case that is wrong. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../bin/aquifer', import.meta.url));
const examples = fileURLToPath(new URL('../../waypoint/examples/filters', import.meta.url));

function run(...args: string[]): Promise<{ readonly code: number; readonly text: string }> {
  return new Promise((resolve) => {
    execFile(program, ['filter', 'test', ...args], (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, text: stdout + stderr }),
    );
  });
}

for (const [name, count] of [
  ['canary.ts', 5],
  ['sign.ts', 3],
] as const) {
  test(`the example ${name} does what its cases say`, async () => {
    const { code, text } = await run(join(examples, name));
    assert.equal(code, 0, text);
    assert.match(text, new RegExp(`^${count} of ${count} cases are as expected$`, 'm'));
  });
}

test('what differs is named, and the exit code is 1', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'filter-'));
  try {
    const file = join(folder, 'a.ts');
    writeFileSync(file, `export default { onRequest(r: { path: string }) { r.path = '/b'; return undefined; } };\n`);
    writeFileSync(join(folder, 'a.cases.yaml'), '- name: moved\n  expect: { path: /c, headers: { x: y } }\n');
    const { code, text } = await run(file);
    assert.equal(code, 1, text);
    assert.match(text, /FAILED moved\n +headers\.x: expected "y", got null\n +path: expected "\/c", got "\/b"\n0 of 1/);
    writeFileSync(join(folder, 'a.cases.yaml'), 'name: no list\n');
    assert.match((await run(file)).text, /expected a list of cases/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
