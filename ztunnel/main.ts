/** `bin/ztunnel`, or `bin/ztunnel proxy ztunnel` as Istio's image starts it: the supervisor of this node's proxy. */
import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { reportMistakes } from '../common/config/reader.ts';
import { systemClock } from '../common/core/clock.ts';
import { describeError } from '../common/core/errors.ts';
import { createLogger } from '../common/core/log.ts';
import { seqpacketConnect } from '../native/index.ts';
import { parseConfig } from './config.ts';
import { processLimits } from './process-limits.ts';
import { checkRequirements } from './requirements.ts';
import { ownNetnsKernel, systemKernel } from './supervisor/kernel.ts';
import { spawnWorker } from './supervisor/spawn-worker.ts';
import { startSupervisor } from './supervisor/supervisor.ts';

const usage = 'usage: ztunnel [proxy ztunnel]   (settings come from the environment; see ztunnel/config.ts)\n';

async function main(args: readonly string[]): Promise<number> {
  if (args.length > 0 && args.join(' ') !== 'proxy ztunnel') {
    process.stderr.write(usage);
    return 2;
  }
  const parsed = parseConfig(process.env, processLimits());
  if (parsed.kind === 'invalid') {
    reportMistakes('ztunnel', parsed.errors);
    return 2;
  }
  const { mode, workerUid } = parsed.config;
  checkRequirements(readFileSync('/proc/self/status', 'utf8'), mode.kind);
  const stopped = Promise.withResolvers<void>();
  const supervisor = await startSupervisor({
    config: parsed.config,
    kernel: mode.kind === 'shared' ? systemKernel : ownNetnsKernel(workerUid),
    clock: systemClock,
    sink: parsed.sink,
    spawnWorker: () => spawnWorker(process.env, parsed.config, createLogger(parsed.sink, 'supervisor')),
    connect: seqpacketConnect,
    onQuit: () => stopped.resolve(),
  });
  flushCompileCache();
  process.once('SIGTERM', () => stopped.resolve());
  process.once('SIGINT', () => stopped.resolve());
  await stopped.promise;
  await supervisor.drain();
  return 0;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (e: unknown) => {
    process.stderr.write(`ztunnel: ${describeError(e)}\n`);
    process.exit(1);
  },
);
