/** Waits between two looks at the kernel or at files. Keeps the process alive, which the timers of Clock do not. */
import { setTimeout } from 'node:timers/promises';

export function pause(milliseconds: number): Promise<void> {
  return setTimeout(milliseconds);
}
