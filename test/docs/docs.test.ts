/** Every command of the documents, run as a newcomer would: one shell a document, in the order of the text. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { goProgramPath } from '../harness/go-programs.ts';
import { skipWithoutHelm } from '../harness/helm.ts';
import { kubectlPath, skipWithoutKubectl } from '../harness/kubectl.ts';
import { labName } from '../harness/lab-name.ts';
import { skipUnless } from '../harness/require.ts';
import { type Step, stepsOf } from './commands.ts';

const checkout = join(import.meta.dirname, '../..');
const skip = skipWithoutKubectl() || skipWithoutHelm() || skipUnless('ebpf', 'program:ip', 'program:nft');

/** Each document uses a lab of its own name, which is another one here. */
const documents = [
  { file: 'docs/tutorial.md', lab: 'tutorial' },
  { file: 'docs/operations.md', lab: 'operations' },
  { file: 'docs/migration.md', lab: 'migration' },
  { file: 'docs/upgrade.md', lab: 'upgrade' },
] as const;

describe('documents', { skip }, () => {
  for (const { file, lab } of documents) {
    test(file, async (t) => {
      const name = labName('docs');
      const text = readFileSync(join(checkout, file), 'utf8')
        .replaceAll(`--lab ${lab}`, `--lab ${name}`)
        .replaceAll(`/run/aquifer/${lab}/`, `/run/aquifer/${name}/`);
      const shell = new Shell();
      try {
        for (const step of stepsOf(text)) {
          await t.test(`line ${step.line}: ${step.commands.split('\n')[0]}`, async () => {
            const { code, output } = await shell.run(step.commands);
            assert.equal(code, 0, `${step.commands}\n${output}`);
            if (step.prints !== undefined) assert.ok(output.includes(step.prints), `no ${step.prints} in: ${output}`);
          });
        }
      } finally {
        await shell.run(`bin/aquifer lab down --lab ${name}`);
        shell.end();
      }
    });
  }
});

/** Blocks of commands that cannot be run here. */
const unrun: Readonly<Record<string, readonly string[]>> = {
  // They need a registry, and programs that Debian's image does not have.
  'docs/operations.md': ['podman build'],
};

test('no document has commands that nobody runs', () => {
  const all = globSync('docs/*.md', { cwd: checkout }).toSorted();
  for (const file of all) {
    const blocks = readFileSync(join(checkout, file), 'utf8').matchAll(/^(```|~~~)(.*)\n([\s\S]*?)^\1$/gm);
    const isRun = documents.some((d) => d.file === file);
    const left = [...blocks].filter(([, , language]) => language !== 'sh' || !isRun).map(([, , , text]) => text!);
    const known = unrun[file] ?? [];
    assert.equal(left.length, known.length, `${file}: ${left.join('\n')}`);
    for (const [i, text] of left.entries()) assert.ok(text.startsWith(known[i]!), text);
  }
  assert.ok(documents.every(({ file }) => all.includes(file)));
});

test('what a document says is read as it stands', () => {
  const step = (line: number, commands: string, prints?: string): Step => ({ line, commands, prints });
  const text =
    'a\n\n```sh\none\ntwo\n```\n\nprints `x y`.\n\n```yaml\nno: command\n```\n\n```sh\nthree\n```\n\nprints nothing\n';
  assert.deepEqual(stepsOf(text), [step(4, 'one\ntwo\n', 'x y'), step(15, 'three\n')]);
});

/** bash that stops a step at its first command that fails. */
class Shell {
  readonly #child;
  readonly #over: Promise<void>;
  #output = '';
  #told: (() => void) | undefined;

  constructor() {
    const programs = [kubectlPath(), goProgramPath('helm')].map(dirname);
    const path = [...programs, process.env['PATH']].join(delimiter);
    this.#child = spawn('bash', ['--norc'], { cwd: checkout, env: { ...process.env, PATH: path }, stdio: 'pipe' });
    this.#over = new Promise((resolve) => this.#child.once('exit', () => resolve()));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (part: string) => {
        this.#output += part;
        this.#told?.();
      });
    }
  }

  /** What it prints on either stream. */
  async run(commands: string): Promise<{ readonly code: number; readonly output: string }> {
    this.#output = '';
    // A command that starts with `!` is to fail; each exported variable outlives the step.
    const guarded = commands
      .trimEnd()
      .split('\n')
      .map((line) => (line.startsWith('! ') ? `if ${line.slice(2)}; then false; fi` : line))
      .join(' &&\n');
    this.#child.stdin.write(`${guarded}\necho "[ended $?]"\n`);
    for (;;) {
      const ended = /\[ended (\d+)\]\n$/.exec(this.#output);
      if (ended) return { code: Number(ended[1]), output: this.#output.slice(0, ended.index) };
      if (this.#child.exitCode !== null) throw new Error(`the shell has ended: ${this.#output}`);
      const told = new Promise<void>((resolve) => {
        this.#told = resolve;
      });
      await Promise.race([told, this.#over]);
    }
  }

  end(): void {
    this.#child.stdin.end();
  }
}
