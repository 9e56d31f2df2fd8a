/**
 * libFuzzer on the engine's parsers: records, HTTP/2, HPACK, header lists, whole tunnels, state and units that are handed over. 2,000
 * inputs each that begin with the kept corpora; 10 minutes each with TEST_LONG=1.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { longOr, skipUnless } from '../harness/require.ts';

const engine = join(import.meta.dirname, '../../native/engine');
const targets = ['records', 'session', 'hpack', 'headers', 'tunnel', 'state', 'unit'] as const;
const length = longOr(['-runs=2000'], ['-max_total_time=600']);

describe('fuzzers of the native engine', { skip: skipUnless('linux', 'engine-programs') }, () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aquifer-fuzz-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const target of targets) {
    it(`${target}: nothing crashes, leaks, hangs or breaks an invariant`, async (t) => {
      const corpus = await mkdtemp(join(folder, `${target}-`));
      // One input a line, in hexadecimal digits: the repository holds no binaries.
      const lines = (await readFile(join(engine, `fuzz/corpus/${target}.txt`), 'utf8')).split('\n').filter(Boolean);
      await Promise.all(lines.map((line, i) => writeFile(join(corpus, `kept-${i}`), Buffer.from(line, 'hex'))));
      const options = ['-rss_limit_mb=512', '-timeout=60', '-max_len=2048', '-print_final_stats=1'];
      const { output, code } = await run(join(engine, `build/fuzz-${target}`), [...length, ...options, corpus]);
      t.diagnostic(/number_of_executed_units: \d+/.exec(output)?.[0] ?? 'no figures');
      assert.equal(code, 0, output.slice(-6_000));
    });
  }

  async function run(program: string, args: readonly string[]): Promise<{ output: string; code: number }> {
    const options = {
      // What fails is left in the folder that goes; its bytes are in the output.
      cwd: folder,
      // Freed memory that is kept to catch late uses would count against the limit.
      env: { ...process.env, ASAN_OPTIONS: 'quarantine_size_mb=32' },
      maxBuffer: 64 * 1024 * 1024,
      encoding: 'utf8',
    } as const;
    return promisify(execFile)(program, args, options).then(
      ({ stderr }) => ({ output: stderr, code: 0 }),
      (error: { stderr: string; code?: number }) => ({ output: error.stderr, code: error.code ?? -1 }),
    );
  }
});
