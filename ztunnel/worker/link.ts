/** A worker's end of the line to its supervisor. */

import type { Registry } from 'prom-client';
import type { Fd } from '../../common/core/brand.ts';
import { assertNever, describeError } from '../../common/core/errors.ts';
import type { LogSink } from '../../common/core/log.ts';
import type { SeqpacketConnection } from '../../native/index.ts';
import { decodeFromSupervisor, encode, metricsChunk, type ToSupervisor, type ToWorker } from '../control/messages.ts';
import type { WorkerCore } from './core.ts';

export interface LinkOptions {
  readonly connection: SeqpacketConnection;
  readonly core: WorkerCore;
  readonly registry: Registry;
  readonly sink: LogSink;
  /** The supervisor asks to drain, or is gone: then with its default deadline. */
  readonly onDrain: (deadlineMs: number | undefined) => void;
}

export class SupervisorLink {
  readonly #options: LinkOptions;

  constructor(options: LinkOptions) {
    this.#options = options;
    options.connection.onPacket(({ data, fds }) => this.#receive(decodeFromSupervisor(data), fds));
    options.connection.onClose(() => options.onDrain(undefined));
  }

  send(message: ToSupervisor): void {
    this.#options.connection.send(encode(message));
  }

  #receive(message: ToWorker, fds: readonly Fd[]): void {
    const { core, sink, onDrain } = this.#options;
    switch (message.kind) {
      case 'pod':
        this.#addPod(message, fds);
        return;
      case 'dropPod':
        void core.dropPod(message.pod, message.deadline).then(() => this.send({ kind: 'dropped', pod: message.pod }));
        return;
      case 'sockets':
        core.supply(message.pod, message.socket, message.asked, fds, message.error);
        return;
      case 'collect':
        void this.#collect(message.id);
        return;
      case 'logging':
        if (message.directives === null) sink.levels.reset();
        else sink.levels.apply(message.directives);
        return;
      case 'drain':
        onDrain(message.deadline);
        return;
      default:
        assertNever(message);
    }
  }

  #addPod(message: Extract<ToWorker, { kind: 'pod' }>, fds: readonly Fd[]): void {
    let error = '';
    if (fds.length !== message.listeners.length) error = 'descriptors were lost: the limit of open files is reached';
    else {
      try {
        this.#options.core.addPod(message, fds);
      } catch (e) {
        error = describeError(e);
      }
    }
    this.send({ kind: 'serving', pod: message.pod, error });
  }

  async #collect(id: number): Promise<void> {
    this.#options.core.traffic.sample();
    const text = JSON.stringify(await this.#options.registry.getMetricsAsJSON());
    for (let at = 0; ; at += metricsChunk) {
      const last = at + metricsChunk >= text.length;
      this.send({ kind: 'metrics', id, last, text: text.slice(at, at + metricsChunk) });
      if (last) return;
    }
  }
}
