/** Signs with what is plugged in, and follows it. What is broken there changes nothing, and is said. */
import type { Millis } from '../../../common/core/brand.ts';
import { type Clock, sleep } from '../../../common/core/clock.ts';
import { describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import type { Holding } from '../rotation/holding.ts';
import type { MeshView } from '../rotation/outstanding.ts';
import type { Issuing, IssuingSource } from '../signers/local.ts';
import { distinct, type TrustedRoot } from '../trust.ts';
import { changeOf } from './change.ts';
import { type Plugged, type PluggedFiles, type PluggedPlace, parsePlugged } from './read.ts';

export interface PluggedCaOptions {
  readonly place: PluggedPlace;
  readonly first: { readonly files: PluggedFiles; readonly plugged: Plugged };
  /** What the mesh trusted before this start: kept while certificates below it may be in use. */
  readonly before: readonly TrustedRoot[];
  readonly defaultTtl: Millis;
  /** Between two looks. */
  readonly interval: Millis;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** How many certificates a change waits for. */
  readonly waiting: (certificates: number) => void;
}

export interface PluggedCa extends IssuingSource {
  revoked(): string | undefined;
  /** Begins to follow. */
  watch(mesh: () => Omit<MeshView, 'now'>, holdings: () => Promise<readonly Holding[]>): void;
}

export function createPluggedCa(options: PluggedCaOptions): PluggedCa {
  const { place, first, before, clock, log, signal } = options;
  const listeners = new Set<() => void>();
  let { files, plugged: wanted } = first;
  let issuing: Issuing = { issuer: wanted.issuer, roots: distinct([...wanted.roots, ...before]) };
  let since: number = clock.wall();
  let broken = '';
  let held = '';

  const look = async (): Promise<void> => {
    const found = await place.read();
    if (found === undefined) throw new Error('it is gone');
    if (JSON.stringify(found) === JSON.stringify(files)) return;
    const next = await parsePlugged(found, clock.wall());
    files = found;
    wanted = next;
    log.info('the plugged-in CA was replaced', { place: place.where, root: next.issuer.root.id });
  };

  const settle = async (mesh: Omit<MeshView, 'now'>, holdings: () => Promise<readonly Holding[]>): Promise<void> => {
    const same = wanted.issuer.pem === issuing.issuer.pem;
    const roots = idsOf(wanted.roots);
    if (same && roots === idsOf(issuing.roots)) return;
    const { signs, trusts, missing } = changeOf({
      current: { root: issuing.issuer.root.id, roots: issuing.roots },
      wanted: { root: wanted.issuer.root.id, roots: wanted.roots },
      holdings: await holdings(),
      view: { ...mesh, now: clock.wall() },
      defaultTtl: options.defaultTtl,
      since,
    });
    options.waiting(missing.length);
    const next: Issuing = { issuer: signs === 'wanted' ? wanted.issuer : issuing.issuer, roots: trusts };
    tellOfWaiting(missing.map((m) => `${m.pod} ${m.identity}: ${m.why}`));
    if (next.issuer.pem === issuing.issuer.pem && idsOf(trusts) === idsOf(issuing.roots)) return;
    if (next.issuer.root.id !== issuing.issuer.root.id) since = clock.wall();
    issuing = next;
    log.info('the CA follows what is plugged in', { signs: next.issuer.root.id, trusted: idsOf(trusts) });
    for (const listener of listeners) listener();
  };

  const tellOfWaiting = (missing: readonly string[]): void => {
    const text = missing.join('; ');
    if (text !== '' && held === '')
      log.warn(
        'the plugged-in CA has another root, which is given out beside the old one; it signs once every proxy trusts it',
        {
          certificates: missing.length,
          first: missing[0],
        },
      );
    held = text;
  };

  return {
    current: () => issuing,
    refusal: () => undefined,
    onChange: (listener) => void listeners.add(listener),
    revoked: () => wanted.revoked,
    watch(mesh, holdings) {
      const run = async () => {
        while (!signal.aborted) {
          let trouble = '';
          try {
            const revoked = wanted.revoked;
            await look();
            if (wanted.revoked !== revoked) for (const listener of listeners) listener();
          } catch (e) {
            trouble = describeError(e);
          }
          if (trouble !== '' && trouble !== broken)
            log.error('the plugged-in CA cannot be used; the last good one signs', {
              place: place.where,
              error: trouble,
            });
          broken = trouble;
          await settle(mesh(), holdings).catch((e: unknown) =>
            log.warn('the change of the plugged-in CA stands still', { error: describeError(e) }),
          );
          await sleep(clock, options.interval, signal);
        }
      };
      void run();
    },
  };
}

function idsOf(roots: readonly TrustedRoot[]): string {
  return roots
    .map((r) => r.id)
    .sort()
    .join();
}
