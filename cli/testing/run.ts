/** The command line as a process of its own. Only for tests. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  /** Nothing of the machine's own is read without one. */
  readonly kubeconfig?: string;
  readonly input?: string;
}

export function aquifer(args: readonly string[], { kubeconfig = '', input = '' }: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const env = { ...process.env, KUBECONFIG: kubeconfig, HOME: '/nonexistent' };
    const child = execFile(
      process.execPath,
      [join(import.meta.dirname, '../main.ts'), ...args],
      { env },
      (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
    child.stdin?.end(input);
  });
}
