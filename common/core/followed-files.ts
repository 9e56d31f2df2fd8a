/** Files that somebody else keeps, read again when they changed. */
import { readFile } from 'node:fs/promises';
import { millis } from './brand.ts';
import { type Clock, sleep } from './clock.ts';
import { describeError, MeshError } from './errors.ts';
import type { Logger } from './log.ts';

export interface FollowedFiles {
  readonly paths: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** With the text of each; what it throws is said, and then the last good one holds. */
  readonly use: (texts: readonly string[]) => void;
}

/** Ms between looks. */
const lookInterval = millis(5_000);

/** MeshError CONFIG when they cannot be used at the start. */
export async function followFiles({ paths, clock, log, signal, use }: FollowedFiles): Promise<void> {
  const read = () => Promise.all(paths.map((path) => readFile(path, 'utf8')));
  let seen = '';
  const look = async () => {
    const texts = await read();
    if (texts.join('\0') === seen) return;
    seen = texts.join('\0');
    use(texts);
  };
  try {
    await look();
  } catch (e) {
    throw new MeshError('CONFIG', `${paths.join(' and ')} cannot be used: ${describeError(e)}`, { cause: e });
  }
  let failing = false;
  void (async () => {
    for (;;) {
      await sleep(clock, lookInterval, signal);
      if (signal.aborted) return;
      try {
        await look();
        failing = false;
      } catch (e) {
        if (!failing)
          log.error('a file cannot be used; the last good one holds', { files: paths.join(), error: describeError(e) });
        failing = true;
      }
    }
  })();
}
