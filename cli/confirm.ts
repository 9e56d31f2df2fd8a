/** Asks whoever sits at the terminal. */
import { createInterface } from 'node:readline/promises';
import { UsageError } from './arguments.ts';

/** UsageError where nobody does. */
export async function isConfirmed(what: string, skip: boolean): Promise<boolean> {
  if (skip) return true;
  if (!process.stdin.isTTY) throw new UsageError(`${what} Nobody is here to confirm it: --skip-confirmation`);
  const asked = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await asked.question(`${what} Proceed? (y/N) `)).trim());
  } finally {
    asked.close();
  }
}
