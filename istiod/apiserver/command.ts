/** `istiod apiserver`: serves until a signal. Exit codes: 0 ended by a signal, 1 failed, 2 wrong use. */
import { reportMistakes, type Settings } from '../../common/config/reader.ts';
import { systemClock } from '../../common/core/clock.ts';
import { startApiServer } from './apiserver.ts';
import { apiServerHelp, parseApiServerConfig } from './config.ts';

/** Resolves with the exit code; rejects with what failed. */
export async function runApiServer(args: readonly string[], env: Settings): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${apiServerHelp}\n`);
    return 0;
  }
  const parsed = parseApiServerConfig(args, env);
  if (parsed.kind === 'invalid') {
    reportMistakes('istiod', parsed.errors);
    return 2;
  }
  const server = await startApiServer(parsed.config, { clock: systemClock, sink: parsed.sink });
  await new Promise<void>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve());
  });
  await server.stop();
  return 0;
}
