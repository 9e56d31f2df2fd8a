/** `istiod apiserver` as a process of its own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { readKubeconfig, TestClient } from '../../istiod/apiserver/testing/client.ts';

export interface ServerProcess extends AsyncDisposable {
  readonly client: TestClient;
  readonly pid: number;
  /** Asks it to end, and waits. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

const program = join(import.meta.dirname, '../../bin/istiod');

/** Resolves when it serves. `before`: a command that runs it, such as strace; it passes signals on to its group. */
export async function startProcess(dataDir: string, before: readonly string[] = []): Promise<ServerProcess> {
  const [command, ...args] = [...before, program, 'apiserver', '--data-dir', dataDir, '--listen', '127.0.0.1:0'];
  // A group of its own, since strace does not pass signals on.
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const ended = once(child, 'exit');
  let text = '';
  for await (const chunk of child.stdout) {
    text += String(chunk);
    if (/\tserving /.test(text)) break;
  }
  if (!/\tserving /.test(text)) throw new Error(`istiod apiserver did not start: ${text}`);
  child.stdout.resume();
  const client = new TestClient(await readKubeconfig(join(dataDir, 'kubeconfig')));
  const end = async (signal: NodeJS.Signals) => {
    client.close();
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, signal);
    await ended;
  };
  return {
    client,
    pid: child.pid!,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    [Symbol.asyncDispose]: () => end('SIGKILL'),
  };
}
