/** Which TCP sockets a pod's network namespace has: those of its apps, and the proxy's on their behalf. */
import type { LabApi, PodRef } from '../../lab/index.ts';

/** Numbers of linux/tcp_states.h. */
const states = { established: 1, closeWait: 8, lastAck: 9 } as const;

export interface SocketCounts {
  readonly established: number;
  readonly closeWait: number;
  readonly lastAck: number;
}

/** `port`: only those of this port, on whichever side. */
export async function socketsOf(lab: LabApi, pod: PodRef, port?: number): Promise<SocketCounts> {
  const { stdout } = await lab.exec(pod, ['cat', '/proc/net/tcp', '/proc/net/tcp6']);
  const rows = [...stdout.matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]{2}) /gm)];
  const count = (state: number) =>
    rows.filter(([, local, remote, is]) => {
      const ports = [local, remote].map((p) => Number.parseInt(p!, 16));
      return Number.parseInt(is!, 16) === state && (port === undefined || ports.includes(port));
    }).length;
  return {
    established: count(states.established),
    closeWait: count(states.closeWait),
    lastAck: count(states.lastAck),
  };
}
