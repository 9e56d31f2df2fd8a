/** kill -9 of a running demo, and the next one, which clears away what the first could not. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { clearStage, labName } from '../../demo/stage.ts';
import { leftovers, newLeftovers } from '../harness/leftovers.ts';
import { skipUnless } from '../harness/require.ts';

const repository = join(import.meta.dirname, '../..');

describe('the demo', {
  timeout: 180_000,
  skip: skipUnless('ebpf', 'program:ip', 'program:nft', 'program:tcpdump'),
}, () => {
  const started: ChildProcess[] = [];
  after(async () => {
    for (const child of started) child.kill('SIGKILL');
    await clearStage();
  });

  test('that was killed is cleared away by the next', async () => {
    const before = leftovers();
    const killed = start();
    // The first claims are checked on a lab that stands.
    await until('the first claim', () => killed.output().includes('✔ 1.'), 90_000);
    assert.equal(killed.child.kill('SIGKILL'), true);
    await killed.ended;
    assert.ok(existsSync(`/run/netns/aq-${labName}-net`), 'the lab outlives the demo');

    const next = start('--once');
    assert.equal(await next.ended, 0, next.output());
    assert.match(next.output(), /✔ \d+ of \d+ claims hold/);
    await until(
      'nothing is left',
      () => newLeftovers(before, leftovers()).every((thing) => !thing.includes(`aq-${labName}-`)),
      10_000,
    );
    assert.equal(existsSync(`/run/aquifer/${labName}`), false);
  });

  function start(...args: readonly string[]) {
    const child = spawn(join(repository, 'scripts/pinned-node'), [join(repository, 'demo/main.ts'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    started.push(child);
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    return { child, ended, output: () => printed };
  }
});
