/** Whether this kernel can do capture by nftables: tried with the real rules in a scratch netns, never told by version. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { nft } from '../../../native/index.ts';
import type { ProbeResult } from '../choose.ts';
import { inScratchNetns, unusable } from '../scratch-netns.ts';
import { nftCgroup } from './cgroup.ts';
import { type NftCaptureOptions, podTableText } from './nft-capture.ts';
import { nodeTableText } from './node-table.ts';

export interface NftProbe extends Omit<NftCaptureOptions, 'node'> {
  /** Any cgroup2 folder that may get a child for a moment. */
  readonly cgroup: string;
}

/** Takes about 30 ms. */
export function probeNft({ cgroupMount, proberCgroup, cgroup }: NftProbe): ProbeResult {
  const scratch = join(cgroup, `aquifer-probe-${process.pid}`);
  try {
    mkdirSync(scratch);
  } catch (e) {
    return unusable(`a cgroup cannot be made in ${cgroup} (needed to try the rules)`, e);
  }
  try {
    return inScratchNetns((netns) => {
      try {
        nft(netns, nodeTableText(proberCgroup === undefined ? undefined : nftCgroup(proberCgroup, cgroupMount)));
        const wishes = { dns: true, plaintext: 'captured', virtualInterfaces: ['probe'] } as const;
        nft(netns, podTableText('probe', wishes, [nftCgroup(scratch, cgroupMount)]));
        return { kind: 'usable' };
      } catch (e) {
        return unusable(
          'rules of nftables cannot be made (needs CAP_NET_ADMIN and nf_tables with nat, socket and ct)',
          e,
        );
      }
    });
  } finally {
    rmdirSync(scratch);
  }
}
