/** A program that reads a kubeconfig, run in an environment of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { basename, dirname } from 'node:path';
import { closeFd, openTerminal, type Terminal } from '../../native/index.ts';

export interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run with a terminal of its own. */
export interface TerminalRun {
  /** 101 columns and 33 lines at first. */
  readonly terminal: Terminal;
  /** Grows as it writes. */
  readonly shown: { text: string };
  readonly code: Promise<number | null>;
}

export class ClientProgram {
  readonly #path: string;
  readonly #kubeconfig: string;

  constructor(path: string, kubeconfig: string) {
    this.#path = path;
    this.#kubeconfig = kubeconfig;
  }

  /** Its caches go beside the kubeconfig. */
  get env(): Record<string, string> {
    const home = dirname(this.#kubeconfig);
    return { PATH: process.env['PATH'] ?? '', HOME: home, KUBECONFIG: this.#kubeconfig };
  }

  /** `input` goes to its standard input, `more` into its environment. */
  run(args: readonly string[], input = '', more: Readonly<Record<string, string>> = {}): Promise<ProgramResult> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.#path, args, { env: { ...this.env, ...more } });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk) => {
        stdout += String(chunk);
      });
      child.stderr.on('data', (chunk) => {
        stderr += String(chunk);
      });
      child.on('error', reject);
      child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
      child.stdin.on('error', () => undefined);
      child.stdin.end(input);
    });
  }

  /** One that goes on by itself: its standard streams are pipes. */
  start(args: readonly string[], more: Readonly<Record<string, string>> = {}): ChildProcess {
    return spawn(this.#path, args, { env: { ...this.env, ...more } });
  }

  type(args: readonly string[], more: Readonly<Record<string, string>> = {}): TerminalRun {
    const { terminal, process } = openTerminal(0);
    terminal.resize(101, 33);
    const child = spawn('setsid', ['--ctty', '--wait', this.#path, ...args], {
      env: { ...this.env, TERM: 'xterm', ...more },
      stdio: [process, process, process],
    });
    closeFd(process);
    const shown = { text: '' };
    terminal.on('data', (chunk) => {
      shown.text += String(chunk);
    });
    return { terminal, shown, code: new Promise((resolve) => child.on('exit', resolve)) };
  }

  /** Standard output of a run that must succeed. */
  async ok(args: readonly string[], input = '', more: Readonly<Record<string, string>> = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input, more);
    if (code !== 0) throw new Error(`${basename(this.#path)} ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }
}
