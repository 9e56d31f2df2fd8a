/** Time as an injected part, so that tests step it (common/testing/fake-clock.ts) and never sleep. */
import { type Millis, millis } from './brand.ts';

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall time, ms since the epoch: for certificates, tokens and logs. */
  wall(): Millis;
  /** Monotonic ms: for durations and deadlines. */
  now(): Millis;
  /** Runs `fn` once after `delay`. The timer does not keep the process alive. */
  after(delay: Millis, fn: () => void): Timer;
}

export const systemClock: Clock = {
  wall: () => millis(Date.now()),
  now: () => millis(performance.now()),
  after(delay, fn) {
    // setTimeout turns more than 2^31-1 ms into 1 ms; 24 days is later than any timer of ours needs.
    const handle = setTimeout(fn, Math.min(delay, 2_147_483_647));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delay`, or at once when the signal aborts. Never rejects. */
export function sleep(clock: Clock, delay: Millis, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      timer.cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(delay, done);
    signal.addEventListener('abort', done, { once: true });
  });
}
