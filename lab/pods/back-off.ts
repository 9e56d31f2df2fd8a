/** When a container that has ended starts again. Pure: times are ms of whatever clock the caller has. */

/** As kubelet's. */
const first = 10_000;
const longest = 300_000;
/** A container that ended so long after its start is back at the beginning. */
const forgotten = 2 * longest;

export interface BackOff {
  /** What the next end waits for. */
  readonly delay: number;
  /** When the container was started last. */
  readonly started: number;
}

/** Ms from the end until the next start. The first one comes at once. */
export function waitAfter(backOff: BackOff | undefined, ended: number): number {
  return backOff === undefined || ended - backOff.started > forgotten ? 0 : backOff.delay;
}

/** `waited` is what {@link waitAfter} said before this start. */
export function startedAgain(backOff: BackOff | undefined, waited: number, now: number): BackOff {
  const delay = backOff === undefined || waited === 0 ? first : Math.min(backOff.delay * 2, longest);
  return { delay, started: now };
}

/** `10s`, `1m20s`: as kubelet writes it. */
export function delayText(delay: number): string {
  const seconds = Math.round(delay / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds % 60}s`;
}
