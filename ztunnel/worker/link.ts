/** A worker's end of the line to its supervisor. */

import type { Fd } from '../../common/core/brand.ts';
import { assertNever, describeError } from '../../common/core/errors.ts';
import type { LogSink } from '../../common/core/log.ts';
import { type SeqpacketConnection, seqpacketFromFd } from '../../native/index.ts';
import {
  answerChunk,
  decodeFromSupervisor,
  encode,
  type Question,
  type ToSupervisor,
  type ToWorker,
} from '../control/messages.ts';
import type { WorkerCore } from './core.ts';

export interface LinkOptions {
  readonly connection: SeqpacketConnection;
  readonly core: WorkerCore;
  /** What an operator asks; becomes JSON. A rejection is told as the reason. */
  readonly answer: (question: Question) => Promise<unknown>;
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
      case 'ask':
        void this.#answer(message.id, message.question);
        return;
      case 'logging':
        if (message.directives === null) sink.levels.reset();
        else sink.levels.apply(message.directives);
        return;
      case 'drain':
        onDrain(message.deadline);
        return;
      case 'predecessor':
        if (fds[0] !== undefined) void core.takeOver(seqpacketFromFd(fds[0]));
        return;
      case 'replaced':
        void this.#giveAway(message, fds[0]);
        return;
      case 'sameNode':
        core.sameNode(message.news);
        return;
      default:
        assertNever(message);
    }
  }

  async #giveAway({ deadline, listeners }: Extract<ToWorker, { kind: 'replaced' }>, fd: Fd | undefined): Promise<void> {
    const began = performance.now();
    await this.#options.core.giveAway(fd === undefined ? undefined : seqpacketFromFd(fd), listeners);
    this.#options.onDrain(Math.max(0, deadline - (performance.now() - began)));
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

  async #answer(id: number, question: Question): Promise<void> {
    let text: string;
    try {
      text = JSON.stringify(await this.#options.answer(question));
    } catch (e) {
      this.send({ kind: 'noAnswer', id, error: describeError(e).slice(0, 4096) });
      return;
    }
    for (let at = 0; ; at += answerChunk) {
      const last = at + answerChunk >= text.length;
      this.send({ kind: 'answer', id, last, text: text.slice(at, at + answerChunk) });
      if (last) return;
    }
  }
}
