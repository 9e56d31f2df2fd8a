/**
 * The promise, or the signal's reason as a rejection when it aborts first. What arrives too late is given to `discard`, since
 * nobody else would release it.
 */
import type { CancelSignal } from './cancel.ts';

export function abortable<T>(promise: Promise<T>, signal: CancelSignal, discard?: (late: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    let aborted = false;
    const onAbort = () => {
      aborted = true;
      reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    promise.then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        if (aborted) discard?.(value);
        else resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}
