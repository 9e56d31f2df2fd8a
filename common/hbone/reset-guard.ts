/**
 * Rapid reset (CVE-2023-44487) and its mirror, where the peer makes us reset (CVE-2025-8671). A connection carries the
 * streams of many clients, of which some reset at once by habit (TCP health checks): what is slow never adds up.
 */

/** Requests that a connection may make in a window before its resets are judged. */
const minimumRequests = 500;
/** Ms of life below which a reset counts. */
const premature = 1_000;
/** Ms after which counting begins anew. */
const windowLength = 30_000;

export interface ResetGuard {
  /** False when the connection is to take no more: more than half of more than 500 requests were reset within 1 s each. */
  ended(opened: number, now: number, resetByPeer: boolean): boolean;
}

export function createResetGuard(): ResetGuard {
  let windowStart = Number.NEGATIVE_INFINITY;
  let requests = 0;
  let resets = 0;
  return {
    ended(opened, now, resetByPeer) {
      if (now - windowStart > windowLength) {
        windowStart = now;
        requests = 0;
        resets = 0;
      }
      requests++;
      if (resetByPeer && now - opened < premature) resets++;
      return requests <= minimumRequests || resets * 2 <= requests;
    },
  };
}
