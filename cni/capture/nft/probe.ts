/** Whether this kernel can do capture by nftables: tried with the real rules in a scratch netns, never told by version. */
import { describeError } from '../../../common/core/errors.ts';
import { closeFd, isNativeError, newNetns } from '../../../native/index.ts';
import type { ProbeResult } from '../choose.ts';
import { NftCapture, type NftCaptureOptions } from './nft-capture.ts';

/** Takes about 30 ms. */
export function probeNft(options: Omit<NftCaptureOptions, 'node'>): ProbeResult {
  let netns: ReturnType<typeof newNetns>;
  try {
    netns = newNetns();
  } catch (e) {
    return unusable('a network namespace cannot be made (needs CAP_SYS_ADMIN, to make sockets inside pods)', e);
  }
  try {
    const capture = new NftCapture({ ...options, node: netns });
    capture.start();
    const wishes = { dns: true, plaintext: 'captured', virtualInterfaces: [] } as const;
    try {
      capture.enrol({ uid: 'probe', netns, cookie: 0n as never, ips: [], wishes });
    } catch (e) {
      // That loopback is down in there does not matter.
      if (!isNativeError(e) || e.code !== 'ENETDOWN') throw e;
    }
    return { kind: 'usable' };
  } catch (e) {
    return unusable('rules of nftables cannot be made (needs CAP_NET_ADMIN and nf_tables with nat, socket and ct)', e);
  } finally {
    closeFd(netns);
  }
}

function unusable(what: string, e: unknown): ProbeResult {
  return { kind: 'unusable', reason: `${what}: ${describeError(e)}` };
}
