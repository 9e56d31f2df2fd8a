/**
 * How long those who work piece by piece may go on in one turn of the event loop, all together. A socket that has two megabytes is
 * read in one turn, and what follows from that, too: 3,000 changes of pods were up to 150 ms of CPU.
 */

/** Ms. Where cores are busy it takes a multiple of that. */
const share = 4;
/** When the first of this turn asked. */
let began: number | undefined;
/** Each of them gets a turn, in the order in which they came. */
const waiting: (() => void)[] = [];

/** Between two pieces of work: undefined where there is time for another one, else what resolves when it is one's turn. */
export function turnOver(): Promise<void> | undefined {
  const now = performance.now();
  if (began === undefined) {
    began = now;
    setImmediate(next);
  }
  return now - began < share ? undefined : new Promise((resolve) => waiting.push(resolve));
}

function next(): void {
  began = undefined;
  const first = waiting.shift();
  if (first === undefined) return;
  began = performance.now();
  setImmediate(next);
  first();
}
