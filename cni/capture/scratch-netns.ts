/** What the probes of all captures share: a network namespace to try things in, and how they say why not. */
import type { Fd } from '../../common/core/brand.ts';
import { describeError } from '../../common/core/errors.ts';
import { closeFd, newNetns } from '../../native/index.ts';
import type { ProbeResult } from './choose.ts';

/** The namespace is gone when this returns. */
export function inScratchNetns(probe: (netns: Fd) => ProbeResult): ProbeResult {
  let netns: Fd;
  try {
    netns = newNetns();
  } catch (e) {
    return unusable('a network namespace cannot be made (needs CAP_SYS_ADMIN, to make sockets inside pods)', e);
  }
  try {
    return probe(netns);
  } finally {
    closeFd(netns);
  }
}

export function unusable(what: string, e: unknown): ProbeResult {
  return { kind: 'unusable', reason: `${what}: ${describeError(e)}` };
}
