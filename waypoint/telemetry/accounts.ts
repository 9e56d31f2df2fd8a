/**
 * What is told of requests that are over, once the answers of a turn of the event loop are on their way: nobody waits for it, and one
 * account right behind the other takes less than each between two requests.
 */
import { setImmediate as turn } from 'node:timers/promises';

let waiting: (() => void)[] = [];

/** `account` must not throw. */
export function tellLater(account: () => void): void {
  if (waiting.length === 0) setImmediate(tellAll);
  waiting.push(account);
}

/** Resolves when all has been told that ended until now, or in what is about to run. */
export async function allTold(): Promise<void> {
  do await turn();
  while (waiting.length > 0);
}

function tellAll(): void {
  const accounts = waiting;
  waiting = [];
  for (const account of accounts) account();
}
