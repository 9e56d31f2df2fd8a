/** Starts one worker process: no capability, no way to get one back, and one end of a socket pair as descriptor 3. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { closeFd, seqpacketFromFd, seqpacketPair } from '../../native/index.ts';
import type { WorkerProcess } from './workers.ts';

const program = fileURLToPath(new URL('../worker.ts', import.meta.url));

/** setpriv (util-linux) drops the capabilities before Node starts, so that no line of ours runs with them. */
const dropAll = ['--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs'] as const;

/** Throws NativeError when no socket pair can be made; a missing `setpriv` shows as the worker's exit. */
export function spawnWorker(env: NodeJS.ProcessEnv): WorkerProcess {
  const [ours, theirs] = seqpacketPair();
  const child = spawn('setpriv', [...dropAll, process.execPath, ...process.execArgv, program], {
    env,
    stdio: ['ignore', 'inherit', 'inherit', theirs],
  });
  closeFd(theirs);
  const connection = seqpacketFromFd(ours);
  return {
    pid: child.pid ?? 0,
    connection,
    onExit(handler) {
      let reported = false;
      const once = (how: string) => {
        if (!reported) handler(how);
        reported = true;
      };
      child.once('exit', (code, signal) => once(signal ? `signal ${signal}` : `exit code ${code}`));
      child.once('error', (e) => once(`cannot run setpriv (package util-linux): ${e.message}`));
    },
    kill: (signal) => void child.kill(signal),
  };
}
