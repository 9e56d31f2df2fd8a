/** What a start needs of the API server: asked for until it answers, since a control plane that ends instead helps nobody. */
import { millis } from '../common/core/brand.ts';
import { type Clock, sleep } from '../common/core/clock.ts';
import { describeError, MeshError } from '../common/core/errors.ts';
import type { Logger } from '../common/core/log.ts';

export interface WaitOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Why it waits, for whoever asks whether it is ready. */
  readonly onWaiting: (reason: string) => void;
}

const firstDelay = 250;
const longestDelay = 5_000;

/** Errors other than API_UNAVAILABLE are the work's; the signal's reason when it aborts. */
export async function whenAvailable<T>(work: () => Promise<T>, options: WaitOptions): Promise<T> {
  const { clock, log, signal, onWaiting } = options;
  for (let delay = firstDelay; ; delay = Math.min(delay * 2, longestDelay)) {
    try {
      return await work();
    } catch (e) {
      if (!(e instanceof MeshError && e.code === 'API_UNAVAILABLE')) throw e;
      onWaiting(`waiting for the API server: ${describeError(e)}`);
      log.warn('the API server does not answer; waiting for it', { error: describeError(e), retry_ms: delay });
    }
    await sleep(clock, millis(delay), signal);
    signal.throwIfAborted();
  }
}
