/** The thread that makes a CA, where there is none, and the server's certificate. The library that it takes goes with it. */
import { KeyObject, webcrypto } from 'node:crypto';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { type Millis, millis } from '../../../common/core/brand.ts';
import { type Clock, systemClock } from '../../../common/core/clock.ts';
import { describeError } from '../../../common/core/errors.ts';
import { replaceDurably } from '../../../common/core/files.ts';
import { type LogFields, type Logger, silentLogger } from '../../../common/core/log.ts';
import { signServing } from '../../ca/authority.ts';
import { loadOrCreateRoot } from '../../ca/root-store.ts';
import type { Serving } from './kept.ts';

export interface Making {
  /** Where the CA's files are. */
  readonly folder: string;
  readonly servingFile: string;
  readonly trustDomain: string;
  readonly names: readonly string[];
  readonly ips: readonly string[];
  /** Ms since the epoch. */
  readonly now: number;
}

export type Made =
  | {
      readonly kind: 'made';
      readonly serving: Serving;
      readonly said: readonly { readonly message: string; readonly fields: LogFields }[];
    }
  | { readonly kind: 'failed'; readonly reason: string };

/** Ms. */
const lifetime = 365 * 86_400_000;

async function make({ folder, servingFile, trustDomain, names, ips, now }: Making): Promise<Made> {
  const said: { message: string; fields: LogFields }[] = [];
  const log: Logger = { ...silentLogger, info: (message, fields = {}) => void said.push({ message, fields }) };
  const clock: Clock = { ...systemClock, wall: (): Millis => millis(now) };
  const root = await loadOrCreateRoot({ dataDir: folder, trustDomain, clock, log, published: undefined });
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string;
  const certificate = await signServing(root, keys.publicKey, names, ips, lifetime, clock);
  await replaceDurably(join(folder, servingFile), `${key}${certificate}`);
  return { kind: 'made', serving: { authority: root.pem, key, certificate }, said };
}

// Not awaited by the module: V8 aborts where a module that awaits, and is imported by another, is ended at that moment.
void make(workerData as Making)
  .catch((e: unknown): Made => ({ kind: 'failed', reason: describeError(e) }))
  .then((answer) => parentPort!.postMessage(answer));
