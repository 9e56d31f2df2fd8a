/**
 * ztunnel's side of ZDS (ambient-wire 6.4): connects to the node agent, says hello, answers each request with exactly one
 * ack before it looks at the next, and connects again when the agent is gone. What runs keeps running meanwhile.
 */
import { closeSync } from 'node:fs';
import { type Fd, millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { decodeRequest, encodeAck, encodeHello } from '../../common/zds/codec.ts';
import type { WorkloadInfo, ZdsRequest } from '../../common/zds/types.ts';
import type { Packet, SeqpacketConnection } from '../../native/index.ts';

/** What the requests do; each returns the ack's error, empty for success. */
export interface ZdsHandler {
  /** Takes over the descriptor. */
  add(uid: string, info: WorkloadInfo, netns: Fd): Promise<string>;
  del(uid: string): string;
  /** These pods, and no others, exist; the others are drained. */
  snapshot(uids: ReadonlySet<string>): void;
}

export interface ZdsClientOptions {
  /** Throws when nobody listens. */
  readonly connect: () => SeqpacketConnection;
  readonly handler: ZdsHandler;
  /** The agent has told all its pods, and each was tried. */
  readonly onSnapshot: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * ms. Doubles from the first to the last. Where nobody listens a look costs nothing; and a new agent has only the older of two proxies to give
 * the pods to until the newer one has found it. An agent that closes before it has told all its pods is left in peace for longer.
 */
const reconnect = { first: 10, lastAway: 160, lastClosing: 15_000 };

export class ZdsClient {
  readonly #options: ZdsClientOptions;
  #connection: SeqpacketConnection | undefined;
  #delay = reconnect.first;
  #stopped = false;
  #reported = false;
  #refused = 0;

  constructor(options: ZdsClientOptions) {
    this.#options = options;
  }

  /** Packets that broke the protocol. */
  get refused(): number {
    return this.#refused;
  }

  start(): void {
    if (this.#stopped) return;
    const { connect, handler, onSnapshot, log } = this.#options;
    let connection: SeqpacketConnection;
    try {
      connection = connect();
    } catch (e) {
      // Once: an agent that is being upgraded is no news every 15 s.
      if (!this.#reported) log.warn('cannot reach the node agent, retrying', { error: describeError(e) });
      this.#reported = true;
      this.#retry(reconnect.lastAway);
      return;
    }
    this.#connection = connection;
    this.#reported = false;
    const session = new Session(connection, handler, log, {
      snapshot: () => {
        this.#delay = reconnect.first;
        onSnapshot();
      },
      refused: () => {
        this.#refused++;
      },
    });
    connection.onClose((error) => {
      if (this.#connection !== connection) return;
      this.#connection = undefined;
      session.end();
      if (this.#stopped) return;
      log.warn('the node agent closed the connection, reconnecting', error ? { error: error.message } : {});
      this.#retry(reconnect.lastClosing);
    });
    connection.onPacket((packet) => session.receive(packet));
    connection.send(encodeHello());
  }

  stop(): void {
    this.#stopped = true;
    this.#connection?.close();
  }

  #retry(last: number): void {
    this.#delay = Math.min(this.#delay, last);
    this.#options.clock.after(millis(this.#delay), () => this.start());
    this.#delay *= 2;
  }
}

interface SessionEvents {
  /** The agent has told all its pods. */
  readonly snapshot: () => void;
  readonly refused: () => void;
}

/** One connection: requests in order, one at a time. */
class Session {
  readonly #connection: SeqpacketConnection;
  readonly #handler: ZdsHandler;
  readonly #log: Logger;
  readonly #events: SessionEvents;
  readonly #mentioned = new Set<string>();
  #snapshotSeen = false;
  #queue: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(connection: SeqpacketConnection, handler: ZdsHandler, log: Logger, events: SessionEvents) {
    this.#connection = connection;
    this.#handler = handler;
    this.#log = log;
    this.#events = events;
  }

  end(): void {
    this.#ended = true;
  }

  receive(packet: Packet): void {
    this.#queue = this.#queue.then(async () => {
      if (this.#ended) return closeAll(packet.fds);
      const decoded = decodeRequest(packet.data);
      if (decoded.kind === 'malformed') {
        closeAll(packet.fds);
        return this.#protocolError(decoded.reason);
      }
      const wrong = misplaced(decoded.value, packet.fds.length, this.#snapshotSeen);
      if (wrong !== undefined) {
        closeAll(packet.fds);
        return this.#protocolError(wrong);
      }
      this.#answer(await this.#handle(decoded.value, packet.fds).catch(describeError));
    });
  }

  async #handle(request: ZdsRequest, fds: readonly Fd[]): Promise<string> {
    switch (request.kind) {
      case 'add':
        this.#mentioned.add(request.uid);
        return this.#handler.add(request.uid, request.info, fds[0]!);
      case 'keep':
        this.#mentioned.add(request.uid);
        return '';
      case 'del':
        this.#mentioned.delete(request.uid);
        return this.#handler.del(request.uid);
      case 'snapshotSent':
        this.#snapshotSeen = true;
        this.#handler.snapshot(this.#mentioned);
        this.#events.snapshot();
        return '';
    }
  }

  #answer(error: string): void {
    if (!this.#ended) this.#connection.send(encodeAck({ error }));
  }

  /** Istio's proxy exits here; closing the connection gives the agent the same chance to start over, and harms no traffic. */
  #protocolError(reason: string): void {
    this.#events.refused();
    this.#log.error('the node agent broke the ZDS protocol, closing the connection', { error: reason });
    this.#answer(reason);
    this.#connection.close();
  }
}

/** Why a request does not fit its place in the conversation, or undefined. */
export function misplaced(request: ZdsRequest, fds: number, snapshotSeen: boolean): string | undefined {
  if (request.kind === 'add') {
    return fds === 1 ? undefined : `add of ${request.uid} carries ${fds} descriptors, expected exactly one`;
  }
  if (fds !== 0) return `${request.kind} carries ${fds} descriptors, expected none`;
  if (request.kind === 'keep' && snapshotSeen) return `keep of ${request.uid} after the snapshot`;
  if (request.kind === 'snapshotSent' && snapshotSeen) return 'a second snapshot_sent';
  return undefined;
}

function closeAll(fds: readonly Fd[]): void {
  for (const fd of fds) closeSync(fd);
}
