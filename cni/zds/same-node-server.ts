/**
 * The agent's end of the same-node socket: what a ztunnel judged becomes a pair in the kernel if both pods take part, and what the kernel
 * tells of their connections goes to whoever answers for the pair.
 */

import type { NetnsCookie } from '../../common/core/brand.ts';
import { millis } from '../../common/core/brand.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { formatSocketAddr, type Ip } from '../../common/core/net.ts';
import {
  decodeSameNodeOrder,
  encodeSameNode,
  pairLifetime,
  type SameNodeOrder,
  type SameNodePair,
} from '../../common/zds/same-node.ts';
import type { SeqpacketConnection, SeqpacketListener } from '../../native/index.ts';
import type { DirectEvent, DirectPair, SameNode } from '../capture/types.ts';

/** A pod that takes part, as it is captured now. */
export interface DirectPod {
  readonly uid: string;
  readonly cookie: NetnsCookie;
  readonly ips: readonly Ip[];
}

export interface SameNodeServerOptions {
  readonly log: Logger;
  readonly sameNode: SameNode;
  /** By UID; undefined: it does not take part, or is not captured. */
  readonly pod: (uid: string) => DirectPod | undefined;
  /** UIDs of pods that take part. */
  readonly eligible: () => readonly string[];
  /** A packet was not as it must be. */
  readonly onRefused: () => void;
}

interface Granted {
  readonly uids: readonly [string, string];
  readonly pair: DirectPair;
  /** Who answers for it, the first for its connections. */
  readonly by: Set<SeqpacketConnection>;
}

export class SameNodeServer {
  readonly #options: SameNodeServerOptions;
  readonly #listener: SeqpacketListener;
  readonly #connections = new Set<SeqpacketConnection>();
  readonly #granted = new Map<string, Granted>();

  constructor(listener: SeqpacketListener, options: SameNodeServerOptions) {
    this.#listener = listener;
    this.#options = options;
    listener.onConnection((connection) => this.#accept(connection));
  }

  /** A pod takes part from here on, or no more: then its pairs end, with their connections. */
  changed(uid: string, eligible: boolean): void {
    if (!eligible) {
      for (const [key, { uids }] of [...this.#granted]) if (uids.includes(uid)) this.#end(key);
    }
    const news = encodeSameNode({ kind: 'eligible', uid, eligible });
    for (const connection of this.#connections) connection.send(news);
  }

  /** Pairs end, with their connections: nobody could tell any more when they must. */
  close(): void {
    this.#listener.close();
    for (const key of [...this.#granted.keys()]) this.#end(key);
    for (const connection of this.#connections) connection.close();
  }

  onEvent(event: DirectEvent): void {
    for (const { pair, uids, by } of this.#granted.values()) {
      if (pair.source !== event.netns || formatSocketAddr(pair.target) !== formatSocketAddr(event.server)) continue;
      const { kind, client, server, ms, sent, received } = event;
      const [first] = by;
      const ends = { clientIp: client.ip, clientPort: client.port, ip: server.ip, port: server.port };
      first?.send(encodeSameNode({ kind: 'flow', event: kind, source: uids[0], ...ends, ms, sent, received }));
      return;
    }
  }

  #accept(connection: SeqpacketConnection): void {
    const { log } = this.#options;
    // As of the steering socket: root's alone, or the agent's own user's.
    if (connection.peer.uid !== 0 && connection.peer.uid !== process.geteuid?.()) {
      log.warn('a process of another user connected to the same-node socket', { ...connection.peer });
      connection.close();
      return;
    }
    this.#connections.add(connection);
    connection.onClose(() => {
      this.#connections.delete(connection);
      for (const key of [...this.#granted.keys()]) this.#leave(key, connection);
    });
    connection.onPacket(({ data, fds }) => {
      const order = decodeSameNodeOrder(data);
      if (order.kind === 'ok' && fds.length === 0) {
        this.#obey(connection, order.value);
        return;
      }
      this.#options.onRefused();
      const reason = order.kind === 'malformed' ? order.reason : `${fds.length} descriptors instead of none`;
      log.warn('a wrong packet came on the same-node socket, closing the connection', { reason });
      connection.close();
    });
    for (const uid of this.#options.eligible())
      connection.send(encodeSameNode({ kind: 'eligible', uid, eligible: true }));
  }

  #obey(connection: SeqpacketConnection, order: SameNodeOrder): void {
    const key = keyOf(order);
    if (order.kind === 'revoke') {
      // Whoever denies is right.
      this.#end(key);
      return;
    }
    const source = this.#options.pod(order.source);
    const destination = this.#options.pod(order.destination);
    if (!source || !destination?.ips.includes(order.ip)) {
      this.#options.log.debug('a pair does not take part in the same-node path', {
        source: order.source,
        destination: order.destination,
      });
      return;
    }
    const pair = { source: source.cookie, destination: destination.cookie, target: { ip: order.ip, port: order.port } };
    try {
      this.#options.sameNode.grant(pair, millis(pairLifetime));
    } catch (e) {
      this.#options.log.warn('a pair cannot connect past the proxy', { error: describeError(e) });
      return;
    }
    const known = this.#granted.get(key);
    if (known && known.pair.source === pair.source) known.by.add(connection);
    else this.#granted.set(key, { uids: [order.source, order.destination], pair, by: new Set([connection]) });
  }

  #leave(key: string, connection: SeqpacketConnection): void {
    const granted = this.#granted.get(key);
    if (granted?.by.delete(connection) && granted.by.size === 0) this.#end(key);
  }

  #end(key: string): void {
    const granted = this.#granted.get(key);
    if (!granted) return;
    // Tells of the connections that it cuts before it returns.
    this.#options.sameNode.revoke(granted.pair);
    this.#granted.delete(key);
  }
}

function keyOf({ source, destination, ip, port }: SameNodePair): string {
  return `${source} ${destination} ${ip} ${port}`;
}
