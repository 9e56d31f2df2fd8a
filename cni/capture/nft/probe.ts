/** Whether this kernel can do capture by nftables: tried with the real rules in a scratch netns, never told by version. */
import { nft } from '../../../native/index.ts';
import type { ProbeResult } from '../choose.ts';
import { inScratchNetns, unusable } from '../scratch-netns.ts';
import { nftCgroup } from './cgroup.ts';
import { type NftCaptureOptions, podTableText } from './nft-capture.ts';
import { nodeTableText } from './node-table.ts';

/** Takes about 30 ms. */
export function probeNft({ cgroupMount, ztunnelCgroup, proberCgroup }: Omit<NftCaptureOptions, 'node'>): ProbeResult {
  return inScratchNetns((netns) => {
    try {
      nft(netns, nodeTableText(proberCgroup === undefined ? undefined : nftCgroup(proberCgroup, cgroupMount)));
      const wishes = { dns: true, plaintext: 'captured', virtualInterfaces: ['probe'] } as const;
      nft(netns, podTableText('probe', wishes, nftCgroup(ztunnelCgroup, cgroupMount)));
      return { kind: 'usable' };
    } catch (e) {
      return unusable(
        'rules of nftables cannot be made (needs CAP_NET_ADMIN and nf_tables with nat, socket and ct)',
        e,
      );
    }
  });
}
