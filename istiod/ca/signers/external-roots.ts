/** Roots of a CA elsewhere, from a file that its operator keeps; during a rotation it holds the old and the new ones. */
import { readFile } from 'node:fs/promises';
import { millis } from '../../../common/core/brand.ts';
import { type Clock, sleep } from '../../../common/core/clock.ts';
import { describeError, MeshError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { rootsIn, type TrustedRoot } from '../trust.ts';

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

export interface ExternalRoots {
  current(): readonly TrustedRoot[];
  onChange(listener: () => void): void;
}

export async function followRoots(path: string, options: Omit<FollowedFiles, 'paths' | 'use'>): Promise<ExternalRoots> {
  const listeners = new Set<() => void>();
  let roots: readonly TrustedRoot[] = [];
  await followFiles({
    ...options,
    paths: [path],
    use([text = '']) {
      const found = rootsIn(text);
      if (found.length === 0) throw new Error('it holds no certificate');
      roots = found;
      for (const listener of listeners) listener();
    },
  });
  return { current: () => roots, onChange: (listener) => void listeners.add(listener) };
}
