/** Rapid reset (CVE-2023-44487) and its mirror, where the peer makes us reset (CVE-2025-8671). */

/** Requests that a connection may make before its resets are judged. */
const minimumRequests = 500;
/** Ms of life below which a reset counts. */
const premature = 1_000;

export interface ResetGuard {
  /** False when the connection is to be closed: more than half of more than 500 requests were reset within 1 s. */
  ended(lifetimeMs: number, resetByPeer: boolean): boolean;
}

export function createResetGuard(): ResetGuard {
  let requests = 0;
  let resets = 0;
  return {
    ended(lifetimeMs, resetByPeer) {
      requests++;
      if (resetByPeer && lifetimeMs < premature) resets++;
      return requests <= minimumRequests || resets * 2 <= requests;
    },
  };
}
