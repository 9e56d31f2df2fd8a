/** `istiod quota`: counts until a signal. Exit codes: 0 ended by a signal, 1 failed, 2 wrong use. */
import { reportMistakes, type Settings } from '../../common/config/reader.ts';
import { systemClock } from '../../common/core/clock.ts';
import { parseQuotaConfig, quotaHelp } from './config.ts';
import { startQuotaService } from './service.ts';

/** Resolves with the exit code; rejects with what failed. */
export async function runQuota(args: readonly string[], env: Settings): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${quotaHelp}\n`);
    return 0;
  }
  const parsed = parseQuotaConfig(args, env);
  if (parsed.kind === 'invalid') {
    reportMistakes('istiod', parsed.errors);
    return 2;
  }
  const service = await startQuotaService(parsed.config, { clock: systemClock, sink: parsed.sink });
  await new Promise<void>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve());
  });
  service.stop();
  return 0;
}
