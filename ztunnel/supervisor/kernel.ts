/** What the supervisor asks of the kernel, as one injected part: tests put loopback sockets in its place. */
import type { Fd } from '../../common/core/brand.ts';
import {
  closeFd,
  netnsIdentity,
  type SocketSpec,
  socketName,
  socketsHere,
  socketsInNetns,
} from '../../native/index.ts';

export interface Kernel {
  /** `count` equal sockets, made inside the namespace. All or none; throws NativeError. */
  socketsInNetns(netns: Fd, spec: SocketSpec, count: number): readonly Fd[];
  /** Port that a bound socket has. */
  localPort(fd: Fd): number;
  /** Same text exactly when two descriptors mean the same network namespace. */
  netnsKey(netns: Fd): string;
  close(fd: Fd): void;
}

export const systemKernel: Kernel = {
  socketsInNetns,
  localPort: (fd) => socketName(fd).port,
  netnsKey(netns) {
    const { dev, ino } = netnsIdentity(netns);
    return `${dev}:${ino}`;
  },
  close: closeFd,
};

/**
 * For dedicated mode: sockets of this process's own namespace, which belong to the workers' user. Rules of a virtual machine
 * know by that which connections are the proxy's, those that workers make themselves (to istiod) as well.
 */
export function ownNetnsKernel(owner: number): Kernel {
  return { ...systemKernel, socketsInNetns: (_netns, spec, count) => socketsHere({ ...spec, owner }, count) };
}
