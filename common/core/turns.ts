/**
 * How long those who take pieces of work from a stream may go on in one turn of the event loop, all together. A socket that has two
 * megabytes is read in one turn, and what follows from that, too: 3,000 changes of pods were up to 150 ms of CPU.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Ms. Where cores are busy it takes a multiple of that. */
const share = 4;
/** When the first of this turn asked. */
let began: number | undefined;

/** After a piece of work: undefined where there is time for another one, else what resolves in the next turn. */
export function turnOver(): Promise<void> | undefined {
  const now = performance.now();
  if (began === undefined) {
    began = now;
    setImmediate(() => {
      began = undefined;
    });
  }
  return now - began < share ? undefined : nextTurn();
}
