import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import { programEnded } from '../programs/supervised.ts';
import { daemonStart, explainStart } from './daemon-start.ts';

const long = 30_000;

function daemon(script: string): ChildProcess {
  return spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
}

describe('how the start of a daemon went', () => {
  test('as it says itself, also when it ends right afterwards', async () => {
    const message = { kind: 'failed', message: 'no room' };
    const script = `process.send(${JSON.stringify(message)}, () => process.exit(1))`;
    assert.deepEqual(await daemonStart(daemon(script), long), message);
  });

  test('one that ends without a word is not waited for', async () => {
    assert.deepEqual(await daemonStart(daemon('process.exit(3)'), long), {
      kind: 'silent',
      message: 'its daemon ended with code 3',
    });
    assert.deepEqual(await daemonStart(daemon('process.kill(process.pid, "SIGKILL")'), long), {
      kind: 'silent',
      message: 'its daemon ended with SIGKILL',
    });
  });

  test('one that says nothing is given up', async () => {
    const child = daemon('setInterval(() => undefined, 1000)');
    const start = await daemonStart(child, 1);
    child.kill('SIGKILL');
    assert.deepEqual(start, { kind: 'silent', message: 'its daemon is not up within 1 ms' });
  });
});

describe('what the logs say about a failed start', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'aq-logs-'));
    const lines = Array.from({ length: 20 }, (_, i) => `line ${i}`);
    const sink = { levels: new LogLevels(), format: 'plain' as const, write: (line: string) => void lines.push(line) };
    const log = createLogger(sink, 'lab');
    log.warn(programEnded, { name: 'dns', host: 'cp', code: 1 });
    log.warn(programEnded, { name: 'dns', host: 'cp', code: 1 });
    await writeFile(join(dir, 'lab@cp.log'), `${lines.join('\n')}\n`);
    await writeFile(join(dir, 'dns@cp.log'), 'cluster DNS: bind EADDRINUSE\n');
    await writeFile(join(dir, 'istiod@cp.log'), 'all is well\n');
  });
  after(() => rm(dir, { recursive: true }));

  test('of a daemon that said nothing: the end of its log, and of those of programs that keep ending', async () => {
    const lines = (await explainStart({ kind: 'silent', message: 'its daemon ended with code 1' }, dir)).split('\n');
    assert.deepEqual(
      lines.map((line) => line.trim().replace(/^\d{4}-\S+/, 'TIME')),
      [
        'its daemon ended with code 1',
        'lab@cp.log:',
        ...Array.from({ length: 10 }, (_, i) => `line ${i + 10}`),
        ...Array(2).fill(`TIME\twarn\tlab\t${programEnded} name="dns" host="cp" code=1`),
        'dns@cp.log (ended 2 times):',
        'cluster DNS: bind EADDRINUSE',
      ],
    );
  });

  test('of a failure that the daemon told: only those of programs', async () => {
    const text = await explainStart({ kind: 'failed', message: 'the cluster DNS ended before it listened' }, dir);
    assert.match(text, /^the cluster DNS ended[^\n]*\n {2}dns@cp\.log \(ended 2 times\):\n {4}cluster DNS: bind/);
  });

  test('without logs: the message', async () => {
    const start = { kind: 'silent', message: 'spawn EAGAIN' } as const;
    assert.equal(await explainStart(start, join(dir, 'absent')), 'spawn EAGAIN\n  lab@cp.log is empty');
  });
});
