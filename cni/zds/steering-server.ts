/** The agent's end of the steering socket (DESIGN 8): a ztunnel says where a pod's captured traffic shall go. */
import type { Fd } from '../../common/core/brand.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { decodeSteerPod, encodeSteering, steeringFds } from '../../common/zds/steering.ts';
import type { SteerPod } from '../../common/zds/types.ts';
import { closeFd, type Packet, type SeqpacketConnection, type SeqpacketListener } from '../../native/index.ts';
import type { SteeringTargets } from '../capture/types.ts';

export interface SteeringServerOptions {
  readonly log: Logger;
  /** Returns when capture stands; throws when it does not. The descriptors are closed afterwards. */
  readonly steer: (uid: string, targets: SteeringTargets) => void;
  /** A newer ztunnel has taken over from this process. */
  readonly isReplaced: (pid: number) => boolean;
  /** A packet was not as it must be. */
  readonly onRefused: () => void;
}

/** Characters, so that an answer is always a small packet. */
const longestError = 1_000;

/** Root's alone (or the agent's own user's, in tests): who steers traffic reads it. The socket's mode, 0600, says the same. */
export function serveSteering(listener: SeqpacketListener, options: SteeringServerOptions): { close(): void } {
  const connections = new Set<SeqpacketConnection>();
  listener.onConnection((connection) => {
    if (connection.peer.uid !== 0 && connection.peer.uid !== process.geteuid?.()) {
      options.log.warn('a process of another user connected to the steering socket', { ...connection.peer });
      connection.close();
      return;
    }
    connections.add(connection);
    connection.onClose(() => connections.delete(connection));
    connection.onPacket((packet) => receive(connection, packet, options));
  });
  return {
    close() {
      listener.close();
      for (const connection of connections) connection.close();
    },
  };
}

function receive(connection: SeqpacketConnection, { data, fds }: Packet, options: SteeringServerOptions): void {
  const { log } = options;
  try {
    const decoded = decodeSteerPod(data);
    if (decoded.kind === 'malformed' || fds.length !== steeringFds) {
      const reason =
        decoded.kind === 'malformed' ? decoded.reason : `${fds.length} descriptors instead of ${steeringFds}`;
      options.onRefused();
      log.warn('a wrong packet came on the steering socket, closing the connection', { reason });
      connection.close();
      return;
    }
    const { id, uid } = decoded.value;
    let error = '';
    try {
      if (options.isReplaced(connection.peer.pid)) throw new MeshError('CONFLICT', 'a newer ztunnel has taken over');
      options.steer(uid, targets(decoded.value, fds));
    } catch (e) {
      error = describeError(e).slice(0, longestError);
      log.warn('a pod could not be captured', { uid, error });
    }
    connection.send(encodeSteering({ kind: 'steered', id, error }));
  } finally {
    fds.forEach(closeFd);
  }
}

function targets(pod: SteerPod, fds: readonly Fd[]): SteeringTargets {
  const [plaintext4, plaintext6, hbone4, hbone6] = fds as [Fd, Fd, Fd, Fd];
  return {
    outbound: pod.outbound,
    dnsUdp: pod.dnsUdp,
    dnsTcp: pod.dnsTcp,
    listeners: { plaintext4, plaintext6, hbone4, hbone6 },
  };
}
