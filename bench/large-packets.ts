/** BIG TCP on every interface of the bench's own lab, so that all that is compared has it. */
import { closeSync, readdirSync } from 'node:fs';
import { bigSize } from '../cni/capture/big-tcp.ts';
import { netnsPath, netnsPrefix } from '../lab/names.ts';
import { linkSizes, openNetns, setLinkSize } from '../native/index.ts';

/** How many interfaces there were. Throws where the kernel has no BIG TCP for IPv4 (Linux 6.3). */
export function enlargeAllPackets(lab: string): number {
  let count = 0;
  for (const name of readdirSync('/run/netns').filter((n) => n.startsWith(netnsPrefix(lab)))) {
    const netns = openNetns(netnsPath(name));
    for (const { index, least } of linkSizes(netns)) {
      if (least === undefined) throw new Error('--big-tcp: this kernel has no BIG TCP for IPv4 (Linux 6.3)');
      setLinkSize(netns, index, bigSize);
      count++;
    }
    closeSync(netns);
  }
  return count;
}
