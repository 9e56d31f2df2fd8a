/** `npm run test:long [-- --only PATTERN]`: all tests in their long forms, and then in their short ones under sanitizers. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const args = process.argv.slice(2);
const programs = [['test.ts', 'long'], ['test-sanitized.ts']] as const;
const codes = programs.map(([file, ...mode]) => {
  const argv = [...process.execArgv, join(import.meta.dirname, file), ...mode, ...args];
  const { status, error } = spawnSync(process.execPath, argv, { stdio: 'inherit' });
  if (error) throw error;
  return status ?? 1;
});
process.exitCode = Math.max(...codes);
