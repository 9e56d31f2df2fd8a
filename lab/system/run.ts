/** Runs the system's own tools (ip, nft, mount, nsenter), which are this part's interface to the kernel. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { MeshError } from '../../common/core/errors.ts';
import { exitCode } from './exit-code.ts';

export interface CommandResult {
  /** 128 + signal number when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Debian keeps ip, nft and tcpdump where a user's PATH does not look. */
export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Rejects with MeshError CONFIG only when the program cannot be started. */
export async function tryRun(argv: readonly string[], stdin = ''): Promise<CommandResult> {
  const [command = '', ...args] = argv;
  const child = spawn(command, args, { stdio: 'pipe', env: { PATH: systemPath, LC_ALL: 'C' } });
  const exited = new Promise<number>((resolve, reject) => {
    child.on('error', (e) => reject(new MeshError('CONFIG', `${command} cannot be run: ${e.message}`, { cause: e })));
    child.on('close', (code, signal) => resolve(exitCode(code, signal)));
  });
  // A command that ends without reading its input is judged by its exit code.
  child.stdin.on('error', () => undefined);
  child.stdin.end(stdin);
  const [code, stdout, stderr] = await Promise.all([exited, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

/** MeshError KERNEL with what the command said when it fails. */
export async function run(argv: readonly string[], stdin = ''): Promise<string> {
  const result = await tryRun(argv, stdin);
  if (result.code === 0) return result.stdout;
  const said = (result.stderr || result.stdout).trim() || `exit code ${result.code}`;
  throw new MeshError('KERNEL', `${argv.join(' ').slice(0, 300)}: ${said}`);
}
