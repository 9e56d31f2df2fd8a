/**
 * Asks the API server, and where that cannot be asked looks at the token itself: signed by keys that the server published, not expired,
 * for us, and bound to a pod that was there, with that very uid, when the server was last seen. A pod that was deleted since is not
 * noticed until the server is back; all else is refused as ever.
 */
import { millis } from '../../../common/core/brand.ts';
import type { Clock } from '../../../common/core/clock.ts';
import type { Logger } from '../../../common/core/log.ts';
import type { Pod } from '../../../common/kube/kinds/core.ts';
import { Unauthenticated } from '../../caller.ts';
import { boundPod } from '../node-authorization.ts';
import { ReviewUnavailable, type TokenReviewer } from './reviewer.ts';

export interface FallbackOptions {
  readonly api: TokenReviewer;
  readonly offline: TokenReviewer;
  /** By `namespace/name`, as last seen. */
  readonly pods: () => ReadonlyMap<string, Pod>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Ms that an answer of the API server is waited for; node proxies wait 10 s for theirs. */
const patience = millis(3_000);
/** Ms after a failure for which the server is not asked. */
const pause = 5_000;

export function createFallbackReviewer({ api, offline, pods, clock, log }: FallbackOptions): TokenReviewer {
  let awayUntil = Number.NEGATIVE_INFINITY;
  const alone = async (token: string) => {
    const caller = await offline.review(token);
    const bound = boundPod(caller, pods());
    if (bound.kind === 'refuse') throw new Unauthenticated(`${bound.reason}, and the API server cannot be asked`);
    return caller;
  };
  return {
    async review(token) {
      if (clock.now() < awayUntil) return alone(token);
      const late = Promise.withResolvers<never>();
      const timer = clock.after(patience, () => late.reject(new ReviewUnavailable('no answer in time')));
      try {
        return await Promise.race([api.review(token), late.promise]);
      } catch (e) {
        if (!(e instanceof ReviewUnavailable)) throw e;
        log.warn('tokens are reviewed without the API server', { error: e.message });
        awayUntil = clock.now() + pause;
        return await alone(token);
      } finally {
        timer.cancel();
      }
    },
  };
}
