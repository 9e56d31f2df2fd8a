/** The program `istiod`: discovery for a folder, or the API server, until a signal. Exit codes: 0 ended by a signal, 1 failed, 2 wrong use. */
import { reportMistakes } from '../common/config/reader.ts';
import { systemClock } from '../common/core/clock.ts';
import { describeError } from '../common/core/errors.ts';
import { createLogger } from '../common/core/log.ts';
import { createFolderSource } from '../common/kube/folder/folder-source.ts';
import { runApiServer } from './apiserver/command.ts';
import { helpText, readConfig } from './config.ts';
import { startIstiod } from './istiod.ts';

async function main(args: readonly string[]): Promise<void> {
  if (args[0] !== 'apiserver') return discovery(args);
  try {
    process.exitCode = await runApiServer(args.slice(1), process.env);
  } catch (e) {
    process.stderr.write(`istiod: ${describeError(e)}\n`);
    process.exitCode = 1;
  }
}

async function discovery(args: readonly string[]): Promise<void> {
  const parsed = readConfig(args);
  if (parsed.kind === 'help') {
    process.stdout.write(`${helpText}\n`);
    return;
  }
  if (parsed.kind === 'invalid') {
    reportMistakes('istiod', parsed.errors);
    process.exitCode = 2;
    return;
  }
  const stop = new AbortController();
  try {
    const { sink } = parsed;
    const log = createLogger(sink, 'istiod');
    const source = await createFolderSource({
      dir: parsed.config.kubeDir,
      log: createLogger(sink, 'istiod::kube'),
      signal: stop.signal,
    });
    const istiod = await startIstiod(parsed.config, {
      clock: systemClock,
      sink,
      source,
      problems: () => source.problems(),
    });
    const signal = await new Promise<string>((resolve) => {
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
    });
    log.info('ending', { signal });
    stop.abort();
    await istiod.stop();
  } catch (e) {
    stop.abort();
    process.stderr.write(`istiod: ${describeError(e)}\n`);
    process.exitCode = 1;
  }
}

await main(process.argv.slice(2));
