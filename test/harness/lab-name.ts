/**
 * Names of the labs of tests: the same in each run of one checkout, so that a run clears away what a killed one left, and others
 * in another checkout, so that two runs on one machine do not take down each other's labs.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';

const checkout = join(import.meta.dirname, '../..');
const suffix = createHash('sha256').update(checkout).digest('hex').slice(0, 4);

/** `base`: 1 to 8 characters of a-z and 0-9 (a lab's name has at most 12). */
export function labName(base: string): string {
  return `${base}${suffix}`;
}
