/**
 * One ztunnel's connection to the agent (ambient-wire 6.4): hello, then requests in strict lock-step. Whatever it sends out of
 * turn, and five seconds of silence where an answer is due, end the connection; it will come back and get a snapshot.
 */
import { type Fd, millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { Logger, LogLevel } from '../../common/core/log.ts';
import { decodeAck, decodeHello, encodeRequest } from '../../common/zds/codec.ts';
import type { ZdsAck, ZdsRequest } from '../../common/zds/types.ts';
import { closeFd, type Packet, type SeqpacketConnection } from '../../native/index.ts';

/** As Istio's agent: for the hello and for every ack. */
const answerDeadline = millis(5_000);

export interface SessionOptions {
  readonly connection: SeqpacketConnection;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onHello: (session: ZdsSession) => void;
  /** It sent what breaks the protocol, which ends the connection. */
  readonly onRefused: () => void;
  /** Called once. */
  readonly onClose: (session: ZdsSession) => void;
}

interface Waiting {
  readonly request: ZdsRequest;
  /** Taken when the packet is sent; undefined: the request is no longer wanted. */
  readonly fds: () => readonly Fd[] | undefined;
  readonly resolve: (ack: ZdsAck | undefined) => void;
  readonly reject: (error: Error) => void;
}

export class ZdsSession {
  readonly #options: SessionOptions;
  readonly #queue: Waiting[] = [];
  /** The request whose ack is due. */
  #sent: Waiting | undefined;
  #state: 'hello' | 'open' | 'closed' = 'hello';
  #deadline: Timer | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { connection } = options;
    this.#expectAnswer('its hello');
    connection.onClose((error) => this.#end(error?.message ?? 'ztunnel closed the connection'));
    connection.onPacket((packet) => this.#receive(packet));
  }

  /**
   * Rejects with MeshError when the connection ends first; resolves with undefined when `fds` says that it is not wanted any
   * more. Requests go out in the order of the calls.
   */
  request(request: ZdsRequest, fds: () => readonly Fd[] | undefined = () => []): Promise<ZdsAck | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'closed') return reject(new MeshError('CANCELLED', 'the connection to ztunnel has ended'));
      this.#queue.push({ request, fds, resolve, reject });
      this.#sendNext();
    });
  }

  /** Process at the other end. */
  get pid(): number {
    return this.#options.connection.peer.pid;
  }

  close(reason: string): void {
    this.#end(reason, 'info');
  }

  /** It is none to talk to. */
  refuse(reason: string): void {
    this.#options.onRefused();
    this.#end(reason);
  }

  #sendNext(): void {
    while (this.#state === 'open' && this.#sent === undefined) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      const fds = next.fds();
      if (fds === undefined) {
        next.resolve(undefined);
        continue;
      }
      let packet: Uint8Array;
      try {
        packet = encodeRequest(next.request);
      } catch (e) {
        next.reject(e as Error);
        continue;
      }
      this.#sent = next;
      this.#expectAnswer(`the answer to ${next.request.kind}`);
      this.#options.connection.send(packet, fds);
    }
  }

  #receive({ data, fds }: Packet): void {
    fds.forEach(closeFd);
    if (this.#state === 'closed') return;
    if (fds.length > 0) this.refuse(`ztunnel sent ${fds.length} descriptors, expected none`);
    else if (this.#state === 'hello') this.#receiveHello(data);
    else this.#receiveAck(data);
  }

  #receiveHello(data: Uint8Array): void {
    const hello = decodeHello(data);
    if (hello.kind === 'malformed') {
      this.refuse(hello.reason);
      return;
    }
    this.#deadline?.cancel();
    this.#state = 'open';
    this.#options.onHello(this);
    this.#sendNext();
  }

  #receiveAck(data: Uint8Array): void {
    const sent = this.#sent;
    const ack = decodeAck(data);
    if (sent === undefined) {
      this.refuse('ztunnel sent a message that nothing asked for');
    } else if (ack.kind === 'malformed') {
      this.refuse(ack.reason);
    } else {
      this.#deadline?.cancel();
      this.#sent = undefined;
      sent.resolve(ack.value);
      this.#sendNext();
    }
  }

  #expectAnswer(what: string): void {
    this.#deadline = this.#options.clock.after(answerDeadline, () => {
      this.#end(`ztunnel did not send ${what} within 5 s`);
    });
  }

  #end(reason: string, level: LogLevel = 'warn'): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#deadline?.cancel();
    this.#options.log.log(level, 'connection to ztunnel ended', { reason });
    this.#options.connection.close();
    const error = new MeshError('CANCELLED', `the connection to ztunnel ended: ${reason}`);
    for (const waiting of [...(this.#sent ? [this.#sent] : []), ...this.#queue.splice(0)]) waiting.reject(error);
    this.#sent = undefined;
    this.#options.onClose(this);
  }
}
