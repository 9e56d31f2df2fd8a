/**
 * Between workers, who judge which pairs of pods may connect past the proxy, and the node agent, who carries it out. Keeps who answers for
 * which pair, so that a pair ends with the last worker that does.
 */
import type { Logger } from '../../common/core/log.ts';
import type { SocketAddr } from '../../common/core/net.ts';
import { type DirectFlow, decodeSameNodeNews, encodeSameNode, type SameNodeOrder } from '../../common/zds/same-node.ts';
import type { SeqpacketConnection } from '../../native/index.ts';
import type { ToWorker } from '../control/messages.ts';

/** A worker as far as it is told. */
export interface Listener {
  send(message: ToWorker): void;
}

export interface SameNodeBrokerOptions {
  /** Throws when nobody listens: the agent has no such path. */
  readonly connect: () => SeqpacketConnection;
  readonly log: Logger;
}

interface Answered {
  readonly order: SameNodeOrder;
  readonly by: Set<Listener>;
}

export class SameNodeBroker {
  readonly #options: SameNodeBrokerOptions;
  readonly #workers = new Set<Listener>();
  readonly #eligible = new Set<string>();
  readonly #pairs = new Map<string, Answered>();
  /** Who was told of a connection's beginning. */
  readonly #flows = new Map<string, Listener>();
  #connection: SeqpacketConnection | undefined;

  constructor(options: SameNodeBrokerOptions) {
    this.#options = options;
  }

  /** Where there is such an agent; called whenever one may have come. */
  open(): void {
    if (this.#connection) return;
    let connection: SeqpacketConnection;
    try {
      connection = this.#options.connect();
    } catch {
      // Its owner has not switched the path on, or it is Istio's.
      return;
    }
    this.#connection = connection;
    connection.onPacket(({ data }) => {
      const news = decodeSameNodeNews(data);
      if (news.kind === 'malformed') {
        this.#options.log.error('malformed packet on the same-node socket', { error: news.reason });
        connection.close();
      } else if (news.value.kind === 'flow') this.#flow(news.value);
      else {
        const { uid, eligible } = news.value;
        if (eligible) this.#eligible.add(uid);
        else this.#eligible.delete(uid);
        this.#tellAll({ kind: 'sameNode', news: news.value });
      }
    });
    connection.onClose(() => {
      if (this.#connection !== connection) return;
      this.#connection = undefined;
      this.#eligible.clear();
      this.#pairs.clear();
      this.#flows.clear();
      this.#tellAll({ kind: 'sameNode', news: { kind: 'gone' } });
    });
  }

  close(): void {
    this.#connection?.close();
  }

  workerStarted(worker: Listener): void {
    this.#workers.add(worker);
    for (const uid of this.#eligible)
      worker.send({ kind: 'sameNode', news: { kind: 'eligible', uid, eligible: true } });
  }

  /** What it alone answered for nobody does any more. */
  workerEnded(worker: Listener): void {
    this.#workers.delete(worker);
    for (const [key, { order, by }] of [...this.#pairs])
      if (by.delete(worker) && by.size === 0) this.#revoke(key, order);
    for (const [key, told] of [...this.#flows]) if (told === worker) this.#flows.delete(key);
  }

  ordered(worker: Listener, order: SameNodeOrder): void {
    if (!this.#connection || !this.#workers.has(worker)) return;
    const key = pairKey(order.source, order);
    if (order.kind === 'revoke') {
      this.#revoke(key, order);
      return;
    }
    const known = this.#pairs.get(key);
    if (known?.order.destination === order.destination) known.by.add(worker);
    else this.#pairs.set(key, { order, by: new Set([worker]) });
    this.#connection.send(encodeSameNode(order));
  }

  /** Who denies is right, whoever else would allow. */
  #revoke(key: string, order: SameNodeOrder): void {
    this.#pairs.delete(key);
    this.#connection?.send(encodeSameNode({ ...order, kind: 'revoke' }));
  }

  #flow(flow: DirectFlow): void {
    const pair = pairKey(flow.source, flow);
    const key = `${flow.clientIp} ${flow.clientPort} ${pair}`;
    const [answering] = this.#pairs.get(pair)?.by ?? [];
    const worker = this.#flows.get(key) ?? answering;
    if (!worker) return;
    if (flow.event === 'opened') this.#flows.set(key, worker);
    else this.#flows.delete(key);
    worker.send({ kind: 'sameNode', news: flow });
  }

  #tellAll(message: ToWorker): void {
    for (const worker of this.#workers) worker.send(message);
  }
}

function pairKey(source: string, { ip, port }: SocketAddr): string {
  return `${source} ${ip} ${port}`;
}
