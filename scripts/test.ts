/**
 * `npm test`, `test:unit`, `test:long`, `test:kubectl`, `test:envoy`: unit tests two files at a time, then the suites under test/ one after another
 * (they make network namespaces, cgroups and eBPF attachments), then a look at what they left behind.
 */
import { globSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import type { EventData } from 'node:test';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { unreachable } from '../test/envoy/unreachable.ts';
import { type Branches, branchesOf, unexplained } from '../test/harness/branches.ts';
import { childProcesses } from '../test/harness/children.ts';
import { leftovers, settledLeftovers } from '../test/harness/leftovers.ts';
import { Overdue } from '../test/harness/overdue.ts';

const root = join(import.meta.dirname, '..');
const unitFolders = [
  'common',
  'native',
  'ztunnel',
  'waypoint',
  'istiod',
  'cni',
  'dashboards',
  'image',
  'lab',
  'cli',
  'scripts',
  'demo',
  'bench',
];
const minute = 60_000;

interface Phase {
  readonly title: string;
  readonly files: readonly string[];
  readonly concurrency: number;
  /** Milliseconds a file may take. */
  readonly timeout: number;
}

interface Counts {
  tests: number;
  pass: number;
  fail: number;
  skipped: number;
}

const [mode = 'all', ...args] = process.argv.slice(2);
const only = args[0] === '--only' ? args[1] : undefined;
if (args.length > 0 && (only === undefined || args.length > 2)) {
  process.stderr.write('usage: npm test [-- --only PATTERN]   PATTERN: part of a file path, or of a test name\n');
  process.exit(2);
}
process.chdir(root);
process.env['NODE_TEST_RUN'] = String(process.pid);
if (mode === 'long') process.env['TEST_LONG'] = '1';

const allPhases = phases(mode);
const byPath = only === undefined ? [] : allPhases.flatMap((p) => p.files).filter((f) => f.includes(only));
const selected =
  byPath.length === 0 ? allPhases : allPhases.map((p) => ({ ...p, files: p.files.filter((f) => byPath.includes(f)) }));
const namePattern = only !== undefined && byPath.length === 0 ? only : undefined;

const before = leftovers();
const total: Counts = { tests: 0, pass: 0, fail: 0, skipped: 0 };
const skips: string[] = [];
/** Of test:envoy as a whole: every branch of the generators is covered by some case. */
const measuresBranches = mode === 'envoy' && only === undefined;
let branches: Branches | undefined;
const compared = { same: 0, differing: 0 };
/** How processes of files ended that did not end well. */
const ends: string[] = [];
const started = performance.now();
for (const phase of selected) {
  if (phase.files.length === 0) continue;
  process.stdout.write(`\n== ${phase.title}: ${phase.files.length} files\n`);
  await runPhase(phase);
}
const left = await settledLeftovers(before);
process.exitCode = summarise();

function phases(which: string): Phase[] {
  const units: Phase = {
    title: 'unit tests',
    files: [...unitFolders.flatMap((f) => testFiles(`${f}/**`)), ...testFiles('test')],
    concurrency: 2,
    timeout: (which === 'long' ? 30 : 3) * minute,
  };
  if (which === 'unit') return [units];
  if (which === 'kubectl') {
    return [{ title: 'kubectl', files: testFiles('test/kubectl'), concurrency: 1, timeout: 8 * minute }];
  }
  if (which === 'envoy') {
    return [
      {
        title: 'against Envoy',
        files: [...testFiles('test/envoy'), ...testFiles('test/grpc')],
        concurrency: 1,
        timeout: 8 * minute,
      },
    ];
  }
  const suites: Phase = {
    title: 'suites with real kernels and programs',
    files: testFiles('test/*/**'),
    concurrency: 1,
    timeout: (which === 'long' ? 60 : 8) * minute,
  };
  return [units, suites];
}

function testFiles(folder: string): string[] {
  return globSync(`${folder}/*.test.ts`, { cwd: root }).sort();
}

async function runPhase({ files, concurrency, timeout }: Phase): Promise<void> {
  const watchdog = endHungFiles(timeout);
  const stream = run({
    files: files.map((f) => join(root, f)),
    concurrency,
    timeout,
    execArgv: ['--disable-warning=ExperimentalWarning'],
    ...(measuresBranches && {
      coverage: true,
      coverageIncludeGlobs: ['istiod/envoy/**/*.ts'],
      // What is said in the status of objects comes to no proxy.
      coverageExcludeGlobs: ['**/*.test.ts', '**/testing/**', '**/status.ts', '**/unserved.ts'],
    }),
    ...(namePattern === undefined ? {} : { testNamePatterns: namePattern }),
  });
  stream.on('test:pass', (data) => noteSkip(data));
  stream.on('test:diagnostic', ({ message }) => noteCompared(message));
  stream.on('test:fail', (data) => noteEnd(data));
  stream.on('test:coverage', ({ summary }) => {
    branches = branchesOf(summary, root);
  });
  stream.on('test:summary', (data) => {
    if (data.file !== undefined) return;
    total.tests += data.counts.tests;
    total.pass += data.counts.passed;
    total.skipped += data.counts.skipped;
    total.fail += data.counts.tests - data.counts.passed - data.counts.skipped - data.counts.todo;
    if (!data.success && total.fail === 0) total.fail = 1;
  });
  // The runner's own totals come once, for both phases together.
  const output = stream
    .filter((event: { type: string }) => event.type !== 'test:coverage')
    .filter((event: { type: string; data: { nesting?: number; message?: string } }) => !isTotal(event))
    .compose(spec);
  for await (const text of output) process.stdout.write(String(text));
  clearInterval(watchdog);
}

/**
 * The runner's timeout fails the tests of a file but lets its process live, and then waits for it. A process that is still
 * there a while later is ended here, which the runner reports as a failure of that file.
 */
function endHungFiles(timeout: number): NodeJS.Timeout {
  const overdue = new Overdue(timeout + minute / 2);
  return setInterval(() => {
    for (const pid of overdue.of(childProcesses(process.pid), performance.now())) {
      ends.push(`process ${pid} was ended: its file took longer than ${timeout / minute} minutes`);
      process.kill(pid, 'SIGKILL');
    }
  }, 1_000);
}

/** How the process of a file ended that failed as a whole: the runner says "test failed" alone. */
function noteEnd({ file, details }: EventData.TestFail): void {
  const { exitCode, signal } = details.error as { exitCode?: number | null; signal?: string | null };
  if (file === undefined || (exitCode === undefined && signal === undefined)) return;
  ends.push(`${relative(root, file).split(sep).join('/')}: ended with ${signal ?? `code ${exitCode}`}`);
}

function isTotal({ type, data }: { type: string; data: { nesting?: number; message?: string } }): boolean {
  if (type !== 'test:diagnostic' || data.nesting !== 0) return false;
  return /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/.test(data.message ?? '');
}

/** What tests against Envoy say of how many requests they sent to both. */
function noteCompared(message: string): void {
  const [, count, differing] = /^compared (\d+), (\d+) differ$/.exec(message) ?? [];
  compared.same += Number(count ?? 0) - Number(differing ?? 0);
  compared.differing += Number(differing ?? 0);
}

function noteSkip(data: EventData.TestPass): void {
  if (data.skip === undefined || data.skip === false) return;
  const file = data.file === undefined ? '' : `${relative(root, data.file).split(sep).join('/')}: `;
  skips.push(`${file}${data.name}: ${data.skip === true ? 'no reason given' : data.skip}`);
}

/** Prints the totals in the test runner's words, as the last lines; returns the exit code. */
function summarise(): number {
  const strict = process.env['REQUIRE_ALL'] === '1';
  const out = (line: string) => process.stdout.write(`${line}\n`);
  if (skips.length > 0) {
    out(strict ? '\nREQUIRE_ALL=1, and these were skipped:' : '\nskipped:');
    for (const skip of skips) out(`  ${skip}`);
  }
  if (ends.length > 0) {
    out('\nfiles whose process failed:');
    for (const end of ends) out(`  ${end}`);
  }
  if (left.length > 0) {
    out('\nleft behind by the tests:');
    for (const thing of left) out(`  ${thing}`);
  }
  const lacks = branches && unexplained(branches, unreachable);
  if (branches && lacks) {
    if (branches.uncovered.length > 0) out('\nbranches of istiod/envoy that no case covers:');
    for (const { file, line, text } of branches.uncovered) out(`  ${file}:${line} ${text.trim()}`);
    for (const { file, line, text } of lacks.branches)
      out(`✖ ${file}:${line} "${text.trim()}" is neither covered nor in test/envoy/unreachable.ts`);
    for (const { file, text } of lacks.rows)
      out(`✖ ${file} "${text}" is covered: the row in test/envoy/unreachable.ts goes`);
  }
  if (total.tests === 0) out(`\nno test matches${only === undefined ? '' : ` "${only}"`}`);
  const unmet = (lacks?.branches.length ?? 0) + (lacks?.rows.length ?? 0);
  const failures = total.fail + unmet + (left.length > 0 ? 1 : 0) + (strict ? skips.length : 0);
  out('');
  out(`ℹ tests ${total.tests + (left.length > 0 ? 1 : 0)}`);
  out(`ℹ pass ${total.pass}`);
  out(`ℹ fail ${failures}`);
  out(`ℹ skipped ${strict ? 0 : total.skipped}`);
  out(`ℹ duration_ms ${Math.round(performance.now() - started)}`);
  if (branches) out(`branches of istiod/envoy: ${branches.covered} of ${branches.total}`);
  // Of `test:envoy` the requests count: the plain closing line.
  if (mode === 'envoy') out(`${compared.same} passed, ${compared.differing} failed`);
  return failures > 0 || total.tests === 0 ? 1 : 0;
}
