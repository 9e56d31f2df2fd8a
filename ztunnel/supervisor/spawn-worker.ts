/** Starts one worker process: no capability, no way to get one back, and one end of a socket pair as descriptor 3. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { closeFd, seqpacketFromFd, seqpacketPair } from '../../native/index.ts';
import type { WorkerProcess } from './workers.ts';

const program = fileURLToPath(new URL('../worker.ts', import.meta.url));

/** setpriv (util-linux) drops the capabilities before Node starts, so that no line of ours runs with them. */
const dropAll = ['--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs'] as const;

/**
 * Relayed chunks are short-lived buffers of 64 KiB outside V8's heap, which frees them only when it collects. With its default
 * young generation they pile up and start full collections (a sixth of a busy worker's time, by perf); with 2 MiB (MiB is the
 * unit) one stream went from 1.9 to 2.4 Gbit/s. 1 MiB is faster still for streams but costs requests a second.
 */
const heap = '--max-semi-space-size=2';

/** bytes. Keeps glibc from returning each of those buffers to the kernel, which would have to clear its pages again: 10 %. */
const allocator = { MALLOC_MMAP_THRESHOLD_: '1048576', MALLOC_TRIM_THRESHOLD_: '33554432' };

/** Throws NativeError when no socket pair can be made; a missing `setpriv` shows as the worker's exit. */
export function spawnWorker(env: NodeJS.ProcessEnv): WorkerProcess {
  const [ours, theirs] = seqpacketPair();
  const child = spawn('setpriv', [...dropAll, process.execPath, ...process.execArgv, heap, program], {
    env: { ...allocator, ...env },
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
