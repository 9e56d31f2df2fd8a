/**
 * Tells the node agent where captured traffic of a pod shall go (DESIGN 8). The socket exists only beside our own agent;
 * with Istio's agent the supervisor binds the well-known ports instead.
 */
import { type Fd, millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { decodeSteerAck, encodeSteering } from '../../common/zds/steering.ts';
import type { SteerPod } from '../../common/zds/types.ts';
import type { SeqpacketConnection } from '../../native/index.ts';

/** ms. Shorter than the 5 s after which an agent gives a ZDS request up. */
const answerTimeout = 4_000;

export interface SteeringClientOptions {
  /** Throws when nobody listens. */
  readonly connect: () => SeqpacketConnection;
  readonly clock: Clock;
  readonly log: Logger;
}

export class SteeringClient {
  readonly #options: SteeringClientOptions;
  readonly #waiting = new Map<number, (error: string) => void>();
  #connection: SeqpacketConnection | undefined;
  #nextId = 1;

  constructor(options: SteeringClientOptions) {
    this.#options = options;
  }

  /** Resolves when capture stands. Rejects with MeshError KERNEL and the agent's reason, or CONNECT_FAILED. */
  async steer(pod: Omit<SteerPod, 'kind' | 'id'>, fds: readonly Fd[]): Promise<void> {
    const id = this.#nextId++;
    const connection = this.#open();
    const error = await new Promise<string>((resolve) => {
      const timer = this.#options.clock.after(millis(answerTimeout), () => resolve('the agent did not answer in 4 s'));
      this.#waiting.set(id, (reason) => {
        timer.cancel();
        resolve(reason);
      });
      connection.send(encodeSteering({ kind: 'steer', id, ...pod }), fds);
    });
    this.#waiting.delete(id);
    if (error !== '') throw new MeshError('KERNEL', `capture of pod ${pod.uid} could not be set up: ${error}`);
  }

  /** Whether an agent listens there. A socket that an agent left behind is none. */
  get answers(): boolean {
    try {
      this.#open();
      return true;
    } catch {
      // Nobody listens: the agent is Istio's, or gone, which its ZDS socket tells.
      return false;
    }
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  #open(): SeqpacketConnection {
    if (this.#connection) return this.#connection;
    let connection: SeqpacketConnection;
    try {
      connection = this.#options.connect();
    } catch (cause) {
      throw new MeshError('CONNECT_FAILED', 'the steering socket of the node agent does not answer', { cause });
    }
    this.#connection = connection;
    connection.onPacket((packet) => {
      const ack = decodeSteerAck(packet.data);
      if (ack.kind === 'malformed') {
        this.#options.log.error('malformed packet on the steering socket', { error: ack.reason });
        connection.close();
      } else {
        this.#waiting.get(ack.value.id)?.(ack.value.error);
      }
    });
    connection.onClose(() => {
      if (this.#connection === connection) this.#connection = undefined;
      for (const answer of this.#waiting.values()) answer('the agent closed the steering socket');
    });
    return connection;
  }
}
