/** Starts processes in pods and on hosts of a lab, from any process of the machine. */
import { spawn } from 'node:child_process';
import { buffer } from 'node:stream/consumers';
import { MeshError } from '../../common/core/errors.ts';
import type { ExecResult, LabProcess } from '../api.ts';
import { trySignal } from '../system/cgroup.ts';
import { exitCode } from '../system/exit-code.ts';

/** Rejects with MeshError KERNEL when the process cannot be started. */
export async function launch(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<LabProcess> {
  const child = spawn(argv[0]!, argv.slice(1), { stdio: 'pipe', env });
  const exited = new Promise<number>((resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', (code, signal) => resolve(exitCode(code, signal)));
  });
  const pid = child.pid;
  if (pid === undefined) {
    await exited;
    throw new MeshError('KERNEL', `${argv[0]} cannot be started`);
  }
  // A process that ends without reading its input is judged by its exit code.
  child.stdin.on('error', () => undefined);
  return {
    pid,
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exited,
    kill: (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) trySignal(pid, signal);
    },
  };
}

/** `what` names the command in the error when it takes longer than `timeout` milliseconds. */
export async function collect(
  process: LabProcess,
  stdin: string | Uint8Array | undefined,
  timeout: number,
  what: string,
): Promise<ExecResult> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    process.kill('SIGKILL');
    // What the process has started may hold the pipes open.
    process.stdout.destroy();
    process.stderr.destroy();
  }, timeout);
  try {
    process.stdin.end(stdin ?? '');
    const outputs = Promise.all([buffer(process.stdout), buffer(process.stderr)]);
    outputs.catch(() => undefined);
    const code = await process.exited;
    if (late) throw new MeshError('KERNEL', `${what}: no end within ${timeout} ms`);
    const [stdout, stderr] = await outputs;
    return { code, stdout: stdout.toString('utf8'), stderr: stderr.toString('utf8') };
  } finally {
    clearTimeout(timer);
  }
}
