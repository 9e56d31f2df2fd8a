/** Waiting in tests: for a condition, never for a time. */
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Resolves with the first value of `condition` that is neither undefined nor false. It is asked every 2 ms; after `deadlineMs`
 * (default 20,000: a bound for busy machines, not a limit that a test is about) this throws, with `what` and the last error that the condition threw.
 */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 20_000,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      last = undefined;
      const value = await condition();
      if (value !== undefined && value !== false) return value;
    } catch (e) {
      last = e;
    }
    if (performance.now() > end) {
      throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`, { cause: last });
    }
    await delay(2);
  }
}
