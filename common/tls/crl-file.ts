/** Follows the file that revocation lists are delivered in (CRL_PATH, ambient-wire 1.2). */
import { readFile, stat } from 'node:fs/promises';
import { millis } from '../core/brand.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { describeError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { parseRevocationLists, type RevocationList } from './crl.ts';

export interface CrlFileOptions {
  readonly path: string;
  /** Ends the following. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  /** What holds from now on. A file that is damaged or away changes nothing. */
  readonly onLists: (lists: readonly RevocationList[]) => void;
}

/**
 * ms between looks. inotify would have to follow each symbolic link on the way (Kubernetes swaps `..data`) and sees nothing on some
 * file systems; a stat a second costs nothing.
 */
const lookInterval = millis(1_000);

/** Resolves when the file has been looked at once; goes on looking until the signal aborts. Never rejects. */
export async function followCrlFile(options: CrlFileOptions): Promise<void> {
  const { clock, signal } = options;
  let seen = '';
  const look = async () => {
    seen = await readChanged(options, seen);
  };
  await look();
  void (async () => {
    for (;;) {
      await sleep(clock, lookInterval, signal);
      if (signal.aborted) return;
      await look();
    }
  })();
}

/** Reads the file if it is not the one that was `seen`; returns which one it was, good or not. */
async function readChanged({ path, log, onLists }: CrlFileOptions, seen: string): Promise<string> {
  const now = await fingerprint(path);
  if (now === seen) return seen;
  try {
    const lists = parseRevocationLists(await readFile(path, 'utf8'));
    onLists(lists);
    const revoked = lists.reduce((n, l) => n + l.revoked.size, 0);
    log.info('certificate revocation lists are in force', { path, lists: lists.length, revoked });
  } catch (e) {
    const error = describeError(e);
    log.error('certificate revocation lists cannot be read; the last good ones hold', { path, error });
  }
  return now;
}

async function fingerprint(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${dev} ${ino} ${size} ${mtimeNs}`;
  } catch (e) {
    return describeError(e);
  }
}
