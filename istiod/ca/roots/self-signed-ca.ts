/** The CA whose root is its own: signs as its vault says, which the replicas of istiod share and any of them may change. */
import { millis } from '../../../common/core/brand.ts';
import { type Clock, sleep } from '../../../common/core/clock.ts';
import { describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import type { Issuing, IssuingSource } from '../signers/local.ts';
import { issuingOf, type OpenRoot } from './open-root.ts';
import type { RootVault, Stored } from './vault.ts';

export interface SelfSignedOptions {
  readonly vault: RootVault;
  readonly opened: OpenRoot;
  /**
   * Ms for which the vault may be out of reach before this stops signing: others may have replaced the root meanwhile, and drop the old
   * one after their time (rotation/steps.ts).
   */
  readonly longestBlindness: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface SelfSignedCa extends IssuingSource {
  /** What the vault held when it was last read. */
  stored(): Stored;
  /** Reads it now. */
  refresh(): Promise<void>;
}

/** Ms between looks at the vault; oftener where it may be out of reach for a short time only. */
const longestInterval = 5_000;

export function followVault(options: SelfSignedOptions): SelfSignedCa {
  const { vault, opened, longestBlindness, clock, log, signal } = options;
  const listeners = new Set<() => void>();
  let stored = opened.stored;
  let issuing: Issuing = opened;
  let seenAt = clock.now();
  let seen = stored.version;
  let failing = false;

  const refresh = async (): Promise<void> => {
    const found = await vault.read();
    if (found === undefined) throw new Error(`${vault.where} is gone; the root that it held is used until a restart`);
    seenAt = clock.now();
    if (found.version === seen) return;
    seen = found.version;
    const next = await issuingOf(found.content, clock);
    const changed = JSON.stringify(found.content) !== JSON.stringify(stored.content);
    [issuing, stored] = [next, found];
    if (!changed) return;
    const roots = next.roots.map((r) => r.id).join();
    log.info('the CA follows its vault', { place: vault.where, signs: next.issuer.root.id, roots });
    for (const listener of listeners) listener();
  };

  const interval = millis(Math.min(longestInterval, longestBlindness / 4));
  const follow = async () => {
    for (;;) {
      await sleep(clock, interval, signal);
      if (signal.aborted) return;
      try {
        await refresh();
        failing = false;
      } catch (e) {
        if (!failing)
          log.warn('the root of the CA cannot be read anew; the last good one signs', {
            place: vault.where,
            error: describeError(e),
          });
        failing = true;
      }
    }
  };
  void follow();

  return {
    current: () => issuing,
    refusal() {
      const blind = clock.now() - seenAt;
      if (blind <= longestBlindness) return undefined;
      return `${vault.where} could not be read for ${Math.round(blind / 1000)} s: its root may have been replaced meanwhile`;
    },
    onChange: (listener) => void listeners.add(listener),
    stored: () => stored,
    refresh,
  };
}
