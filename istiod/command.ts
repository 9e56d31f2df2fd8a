/** `istiod discovery` as a program. */
import { reportMistakes, type Settings } from '../common/config/reader.ts';
import { systemClock } from '../common/core/clock.ts';
import { createLogger } from '../common/core/log.ts';
import { openSource } from '../common/kube/open-source.ts';
import { helpText, parseConfig } from './config.ts';
import { startIstiod } from './istiod.ts';

/** Runs until a signal; resolves with the exit code. MeshError CONFIG. */
export async function runDiscovery(args: readonly string[], env: Settings): Promise<number> {
  const parsed = parseConfig(args, env);
  if (parsed.kind === 'help') {
    process.stdout.write(`${helpText}\n`);
    return 0;
  }
  if (parsed.kind === 'invalid') {
    reportMistakes('istiod', parsed.errors);
    return 2;
  }
  const { sink, config } = parsed;
  const stop = new AbortController();
  try {
    const source = openSource(config.objects, stop.signal);
    const istiod = await startIstiod(config, {
      clock: systemClock,
      sink,
      source,
      problems: () => [],
      apply: (object, how) => source.apply(object, how),
      document: (path) => source.document(path),
    });
    const signal = await endingSignal();
    createLogger(sink, 'istiod').info('ending', { signal });
    stop.abort();
    await istiod.stop();
    return 0;
  } finally {
    stop.abort();
  }
}

/** Resolves with the first signal that asks the program to end. */
export function endingSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
  });
}
