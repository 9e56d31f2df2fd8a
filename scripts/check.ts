/** `npm run check`: types, lint, and the rules of the architecture (arrows, cycles, paths that the documents name). */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = (name: string) => join(root, 'node_modules/.bin', name);

const checks: readonly { readonly name: string; readonly command: string; readonly args: readonly string[] }[] = [
  { name: 'types (tsc)', command: bin('tsc'), args: ['-p', root] },
  {
    name: "types of the console's pages (tsc)",
    command: bin('tsc'),
    args: ['-p', join(root, 'istiod/console/web')],
  },
  { name: 'lint and format (biome)', command: bin('biome'), args: ['check', '--diagnostic-level=warn', root] },
  {
    name: 'architecture (arrows, cycles, documents)',
    command: process.execPath,
    args: ['--test', '--test-reporter=dot', join(root, 'test/architecture.test.ts')],
  },
];

let failed = 0;
for (const { name, command, args } of checks) {
  const started = performance.now();
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  const ok = result.status === 0;
  if (!ok) failed++;
  process.stdout.write(`  ${ok ? '✔' : '✘'} ${name} ${seconds} s\n`);
  if (!ok) process.stdout.write(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}\n`);
}
process.exitCode = failed === 0 ? 0 : 1;
