import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { silentLogger } from '../../common/core/log.ts';
import { until } from '../../common/testing/until.ts';
import { logWriter } from './log-files.ts';

it('lines of access logs come to their files whole and in their order, whatever their characters are', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'aq-log-'));
  try {
    const write = logWriter(silentLogger);
    const files = ['a', 'b'].map((name) => join(folder, name));
    let expected = '';
    for (let portion = 0; portion < 3; portion++) {
      for (let i = 0; i < 1_000; i++) {
        const line = `${portion} ${i} ${['é', '漢', '🙂', 'plain'][i % 4]!.repeat(i % 50)}\n`;
        expected += line;
        for (const file of files) write(file, line);
      }
      for (const file of files) await until('all lines are there', () => readFileSync(file, 'utf8') === expected);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
