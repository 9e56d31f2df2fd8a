/** nftables by libnftables, inside a network namespace. */
import type { Fd } from '../common/core/brand.ts';
import { MeshError } from '../common/core/errors.ts';
import { addon, isNativeError } from './addon.ts';

/**
 * Runs commands in nft's own language as one transaction, and returns what they printed. Paths of cgroups are those below
 * /sys/fs/cgroup of this process. About 5 ms. MeshError KERNEL with nft's words; NOT_FOUND where it names what is not there.
 */
export function nft(netns: Fd, commands: string): string {
  try {
    const { ok, text } = addon().nftRun(netns, commands);
    if (ok) return text;
    const missing = text.includes('No such file or directory');
    throw new MeshError(missing ? 'NOT_FOUND' : 'KERNEL', `nftables refused: ${text.trim()}`);
  } catch (cause) {
    if (!isNativeError(cause)) throw cause;
    const what =
      cause.syscall === 'dlopen'
        ? 'libnftables.so.1 is not installed; install the package nftables'
        : `nftables cannot be reached: ${cause.message}`;
    throw new MeshError('KERNEL', what, { cause });
  }
}
