/** A client program that runs on and prints a line of JSON for what happens to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { until } from '../../common/testing/until.ts';
import type { Json } from '../../istiod/apiserver/testing/client.ts';
import { ClientProgram } from './client-program.ts';

/** Ms in which things must come about on a slow machine. */
export const wait = 30_000;

export class Running implements AsyncDisposable {
  readonly lines: Json[] = [];
  readonly #child: ChildProcess;

  constructor([program = '', ...args]: readonly string[], kubeconfig: string) {
    const { env } = new ClientProgram(program, kubeconfig);
    this.#child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'ignore'] });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.lines.push(JSON.parse(line)));
  }

  events(name: string): Json[] {
    return this.lines.filter((l) => l.event === name);
  }

  /** What an informer's cache holds now: name -> resourceVersion. */
  async cache(): Promise<Readonly<Record<string, string>>> {
    const before = this.events('cache').length;
    this.#child.stdin!.write('\n');
    await until('the cache is told', () => this.events('cache').length > before, wait);
    return this.events('cache').at(-1).held;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill(signal);
    await once(this.#child, 'exit');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill('SIGKILL');
  }
}
