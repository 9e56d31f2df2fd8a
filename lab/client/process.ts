/** Starts processes in pods and on hosts of a lab, from any process of the machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { MeshError } from '../../common/core/errors.ts';
import type { ExecResult, LabProcess } from '../api.ts';
import { trySignal } from '../system/cgroup.ts';
import { exitCode } from '../system/exit-code.ts';

type Env = Readonly<Record<string, string>>;

/** Rejects with MeshError KERNEL when the process cannot be started. */
export async function launch(argv: readonly string[], env: Env): Promise<LabProcess> {
  const child = spawn(argv[0]!, argv.slice(1), { stdio: 'pipe', env });
  const exited = exitOf(child);
  const pid = await pidOf(child, exited, argv);
  // A process that ends without reading its input is judged by its exit code.
  child.stdin.on('error', () => undefined);
  return {
    pid,
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exited,
    kill: (signal = 'SIGTERM') => signalRunning(child, pid, signal),
  };
}

export interface RunOptions {
  readonly env: Env;
  readonly stdin: string | Uint8Array | undefined;
  /** Milliseconds; then the process is killed and MeshError KERNEL thrown. */
  readonly timeout: number;
}

/** Runs to the end. What is given as input is a file for the process, so that it may open /dev/stdin, which a socket refuses. */
export async function runToEnd(argv: readonly string[], what: string, o: RunOptions): Promise<ExecResult> {
  const stdin = inputFile(o.stdin);
  const child = spawn(argv[0]!, argv.slice(1), { stdio: [stdin, 'pipe', 'pipe'], env: o.env });
  if (typeof stdin === 'number') closeSync(stdin);
  const exited = exitOf(child);
  const pid = await pidOf(child, exited, argv);
  const outputs = Promise.all([buffer(child.stdout as Readable), buffer(child.stderr as Readable)]);
  outputs.catch(() => undefined);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    signalRunning(child, pid, 'SIGKILL');
    // What the process has started may hold the pipes open.
    child.stdout?.destroy();
    child.stderr?.destroy();
  }, o.timeout);
  const code = await exited;
  clearTimeout(timer);
  if (late) throw new MeshError('KERNEL', `${what}: no end within ${o.timeout} ms`);
  const [stdout, stderr] = await outputs;
  return { code, stdout: stdout.toString('utf8'), stderr: stderr.toString('utf8') };
}

/** With this process's own stdin, stdout and stderr. A signal of the terminal reaches both; the child decides what it means. */
export async function runAttached(argv: readonly string[], env: Env): Promise<number> {
  const child = spawn(argv[0]!, argv.slice(1), { stdio: 'inherit', env });
  const ignore = () => undefined;
  process.on('SIGINT', ignore);
  try {
    const exited = exitOf(child);
    await pidOf(child, exited, argv);
    return await exited;
  } finally {
    process.off('SIGINT', ignore);
  }
}

/** The open file has no name any more. */
function inputFile(content: string | Uint8Array | undefined): number | 'ignore' {
  if (content === undefined) return 'ignore';
  const folder = mkdtempSync(join(tmpdir(), 'aquifer-stdin-'));
  try {
    const path = join(folder, 'stdin');
    writeFileSync(path, content);
    return openSync(path, 'r');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** When the output has ended too. */
function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', (code, signal) => resolve(exitCode(code, signal)));
  });
}

async function pidOf(child: ChildProcess, exited: Promise<number>, argv: readonly string[]): Promise<number> {
  if (child.pid !== undefined) return child.pid;
  await exited;
  throw new MeshError('KERNEL', `${argv[0]} cannot be started`);
}

function signalRunning(child: ChildProcess, pid: number, signal: NodeJS.Signals): void {
  if (child.exitCode === null && child.signalCode === null) trySignal(pid, signal);
}
