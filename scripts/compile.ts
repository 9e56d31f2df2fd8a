/** Starts the API server once, in a folder that goes again: what it loads is compiled, and its first start is as quick as others. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const program = join(import.meta.dirname, '../bin/istiod');
const dir = await mkdtemp(join(tmpdir(), 'aquifer-compile-'));
try {
  const args = ['apiserver', '--data-dir', dir, '--listen', '127.0.0.1:0'];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false }))
    if (/\tserving /.test(String(chunk))) break;
  child.stdout.resume();
  child.kill('SIGTERM');
  const [code, signal] = await ended;
  if (code !== 0) throw new Error(`istiod apiserver ended with ${signal ?? code}`);
} finally {
  await rm(dir, { recursive: true });
}
