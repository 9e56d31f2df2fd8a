import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { processStart } from './process-start.ts';

test('of two processes the later has the larger number, and none has 0', async () => {
  const child = spawn('sleep', ['60']);
  await once(child, 'spawn');
  assert.ok(processStart(child.pid!) >= processStart(process.pid));
  assert.ok(processStart(1) < processStart(process.pid));
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(processStart(child.pid!), 0);
});
