/** Starts one worker process: a user of its own, no capability, no way to get one back, and one end of a socket pair as descriptor 3. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../../common/core/log.ts';
import { addonFile, closeFd, seqpacketFromFd, seqpacketPair } from '../../native/index.ts';
import type { ZtunnelConfig } from '../config.ts';
import type { WorkerProcess } from './running-worker.ts';
import { capabilityObstacle, obstacle, pathModes } from './worker-user.ts';

const program = fileURLToPath(new URL('../worker.ts', import.meta.url));

/** setpriv (util-linux) drops the capabilities before Node starts, so that no line of ours runs with them. */
const dropAll = ['--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs'] as const;

/**
 * Relayed chunks are short-lived buffers of up to 64 KiB outside V8's heap, which frees them only when it collects. Freed by a thread, they
 * count as used until the next collection, which starts full ones: one stream cost 6.0 s/GB of both workers' CPU with that thread, 3.2 without
 * it, and 40 % of the 6.0 were full collections (perf). With 16 MiB (MiB is the unit) of young generation a new connection costs 8 % less CPU
 * than with 4, and 14 % less where the thread that runs JavaScript collects alone; a stream costs the same (bench -- l4 --engine node).
 */
const chunkHeap = ['--max-semi-space-size=16', '--no-parallel-scavenge', '--no-concurrent-array-buffer-sweeping'];

/**
 * The native engine's chunks never come to JavaScript. By itself its young generation grows to 24 MB with a burst of connections and keeps
 * them: 1,000 idle ones took both proxies 27 MB of memory, with 4 MiB 14, for 4 % more CPU of a new connection (bench -- l4 --memory).
 */
const smallHeap = ['--max-semi-space-size=4'];

const heap: Readonly<Record<ZtunnelConfig['engine'], readonly string[]>> = {
  auto: smallHeap,
  node: chunkHeap,
  native: smallHeap,
};

/** bytes. Keeps glibc from returning each of those buffers to the kernel, which would have to clear its pages again: 10 %. */
const allocator = { MALLOC_MMAP_THRESHOLD_: '1048576', MALLOC_TRIM_THRESHOLD_: '33554432' };

export type WorkerSettings = Pick<ZtunnelConfig, 'engine' | 'workerUid' | 'xds' | 'ca' | 'localMesh' | 'crlFile'>;

/** The worker's program as it is started, without what becomes of its user. */
function argv(engine: ZtunnelConfig['engine']): readonly [string, ...string[]] {
  return [process.execPath, ...process.execArgv, ...heap[engine], program];
}

/** Loads the worker's program and ends. */
export function compileArgv(engine: ZtunnelConfig['engine']): readonly [string, ...string[]] {
  return [...argv(engine), 'compile'];
}

/** Options of setpriv; none, with a warning, where the worker's user could not read what a worker needs. */
function userOptions(settings: WorkerSettings, log: Logger): readonly string[] {
  const { workerUid } = settings;
  if (workerUid === 0) return [];
  // The group is taken in any case: rules of a dedicated proxy know the connections of workers by it.
  const group = [`--regid=${workerUid}`, '--clear-groups'];
  const missing = capabilityObstacle(readFileSync('/proc/self/status', 'utf8'));
  const files = [program, addonFile, process.execPath, ...settingsFiles(settings)];
  const reason = missing ?? obstacle(files.flatMap(pathModes), workerUid);
  if (reason === undefined) return [`--reuid=${workerUid}`, ...group];
  log.warn('workers keep the user of ztunnel, without capabilities', { wanted_uid: workerUid, reason });
  return missing === undefined ? group : [];
}

/** Files that settings name and workers read. */
function settingsFiles({ xds, ca, localMesh, crlFile }: WorkerSettings): readonly string[] {
  const planes = [xds, ca.kind === 'istiod' ? ca.plane : undefined];
  const files = planes
    .flatMap((plane) => [plane?.token, plane?.roots])
    .map((source) => source && 'path' in source && source.path);
  return [
    ...files,
    ca.kind === 'fake' && join(ca.folder, 'root-cert.pem'),
    ca.kind === 'fake' && join(ca.folder, 'ca-key.pem'),
    localMesh?.kind === 'file' && localMesh.path,
    crlFile,
  ].filter((file) => typeof file === 'string');
}

/** Throws NativeError when no socket pair can be made; a missing `setpriv` shows as the worker's exit. */
export function spawnWorker(env: NodeJS.ProcessEnv, config: WorkerSettings, log: Logger): WorkerProcess {
  const user = userOptions(config, log);
  const [ours, theirs] = seqpacketPair();
  const child = spawn('setpriv', [...user, ...dropAll, ...argv(config.engine)], {
    env: { ...allocator, ...env },
    stdio: ['ignore', 'inherit', 'inherit', theirs],
  });
  closeFd(theirs);
  const connection = seqpacketFromFd(ours);
  const ended = Promise.withResolvers<string>();
  child.once('exit', (code, signal) => ended.resolve(signal ? `signal ${signal}` : `exit code ${code}`));
  child.once('error', (e) => ended.resolve(`cannot run setpriv (package util-linux): ${e.message}`));
  return {
    pid: child.pid ?? 0,
    connection,
    onExit: (handler) => void ended.promise.then(handler),
    kill: (signal) => void child.kill(signal),
  };
}
