/** Interfaces of a network namespace, and how large a packet each takes before it is cut. */
import type { Fd } from '../common/core/brand.ts';
import { addon, type LinkSize } from './addon.ts';

export type { LinkSize } from './addon.ts';

export function linkSizes(netns: Fd): readonly LinkSize[] {
  return addon().linkSizes(netns);
}

/** Sets all four, in bytes. Throws EINVAL beyond what the driver can do. Needs CAP_NET_ADMIN over the namespace and CAP_SYS_ADMIN. */
export function setLinkSize(netns: Fd, index: number, size: number): void {
  addon().setLinkSize(netns, index, size);
}
