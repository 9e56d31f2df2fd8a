/** `bin/ztunnel`, or `bin/ztunnel proxy ztunnel` as Istio's image starts it: the supervisor of this node's proxy. */
import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { reportMistakes } from '../common/config/reader.ts';
import { systemClock } from '../common/core/clock.ts';
import { describeError } from '../common/core/errors.ts';
import { createLogger, type Logger } from '../common/core/log.ts';
import { seqpacketConnect } from '../native/index.ts';
import { parseConfig, type ZtunnelConfig } from './config.ts';
import { checkRequirements } from './requirements.ts';
import { ownNetnsKernel, systemKernel } from './supervisor/kernel.ts';
import { compileArgv, spawnWorker } from './supervisor/spawn-worker.ts';
import { compiledFrom, fillWorkerCache } from './supervisor/worker-cache.ts';
import { surroundings } from './surroundings.ts';

const usage =
  'usage: ztunnel [proxy ztunnel | version]   (settings come from the environment; see ztunnel/config.ts)\n';

async function main(args: readonly string[]): Promise<number> {
  if (args.join(' ') === 'version') {
    process.stdout.write(`${(await import('./version.ts')).versionText()}\n`);
    return 0;
  }
  if (args.length > 0 && args[0] !== 'proxy') {
    process.stderr.write(usage);
    return 2;
  }
  const parsed = parseConfig(process.env, surroundings());
  if (parsed.kind === 'invalid') {
    reportMistakes('ztunnel', parsed.errors);
    return 2;
  }
  const { config, sink } = parsed;
  const { mode, workerUid } = config;
  checkRequirements(readFileSync('/proc/self/status', 'utf8'), mode.kind);
  const log = createLogger(sink, 'supervisor');
  // Unhandled, it would end this process at once. Workers that are about to be started are new anyway.
  let replaceWorkers = async () => log.info('SIGUSR2 replaces no worker: the first ones are only starting');
  process.on('SIGUSR2', () => void replaceWorkers());
  await checkLocal(config);
  const spawn = () => spawnWorker(process.env, config, log);
  // A worker loads for longer than the supervisor, so the first one starts before the supervisor's own modules are loaded.
  const early = [spawn()];
  const { startSupervisor } = await import('./supervisor/supervisor.ts');
  const stopped = Promise.withResolvers<void>();
  const supervisor = await startSupervisor({
    config,
    kernel: mode.kind === 'shared' ? systemKernel : ownNetnsKernel(workerUid),
    clock: systemClock,
    sink,
    spawnWorker: () => early.pop() ?? spawn(),
    connect: seqpacketConnect,
    onQuit: () => stopped.resolve(),
  });
  replaceWorkers = supervisor.replaceWorkers;
  flushCompileCache();
  process.once('SIGTERM', () => stopped.resolve());
  process.once('SIGINT', () => stopped.resolve());
  if (workerUid !== process.geteuid?.()) void supervisor.warm.then(() => prepareNextWorker(config, log));
  await stopped.promise;
  await supervisor.drain();
  return 0;
}

/** What workers read besides the environment, so that mistakes end the start and not one worker after another. */
async function checkLocal({ localMesh, trustDomain, ca }: ZtunnelConfig): Promise<void> {
  if (localMesh) (await import('./local/mesh.ts')).readLocalMesh(localMesh, trustDomain);
  if (ca.kind === 'fake') (await import('./local/ca.ts')).checkFolder(ca.folder);
}

async function prepareNextWorker({ engine, workerUid: uid }: ZtunnelConfig, log: Logger): Promise<void> {
  const folder = process.env['NODE_COMPILE_CACHE'];
  if (folder === undefined) return;
  try {
    if (await fillWorkerCache({ folder, argv: compileArgv(engine), uid, sources: compiledFrom })) {
      log.info('compiled code was put aside, for the next worker to start faster', { folder });
    }
  } catch (e) {
    log.info('workers start more slowly than they could', { folder, error: describeError(e) });
  }
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (e: unknown) => {
    process.stderr.write(`ztunnel: ${describeError(e)}\n`);
    process.exit(1);
  },
);
