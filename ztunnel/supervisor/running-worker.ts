/** One worker process as its supervisor sees it, from the start to the exit: what it may ask for, and what it still owes. */
import { type Fd, millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { SeqpacketConnection } from '../../native/index.ts';
import {
  decodeFromWorker,
  encode,
  type PodMessage,
  type Question,
  type SocketKind,
  type ToSupervisor,
  type ToWorker,
} from '../control/messages.ts';
import type { SameNodeBroker } from './same-node.ts';

export interface WorkerProcess {
  readonly pid: number;
  readonly connection: SeqpacketConnection;
  onExit(handler: (how: string) => void): void;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

export interface WorkerTools {
  readonly pods: () => readonly { readonly message: PodMessage; readonly fds: readonly Fd[] }[];
  /** The caller closes them. Throws NativeError. */
  readonly makeSockets: (pod: number, kind: SocketKind, count: number) => readonly Fd[];
  readonly closeFd: (fd: Fd) => void;
  /** Absent where no agent could let pods connect past the proxy. */
  readonly sameNode?: Pick<SameNodeBroker, 'workerStarted' | 'workerEnded' | 'ordered'> | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface WorkerEvents {
  /** It knows the mesh, and serves what it was given. */
  warm(): void;
  /** It accepts from a pod's listeners; `error`: why not. */
  serving(pod: number, error: string): void;
  ended(how: string, aliveMs: number): void;
}

/** ms. Who asks must not hang on a worker that is busy; a profile's own time comes on top. */
const answerTimeout = 2_000;
/** ms that a worker gets beyond a deadline of its own. */
const grace = 1_000;
const mebi = 1024 * 1024;
/** Characters of one worker's answer: it must not be able to fill the memory of its supervisor. */
const longest: Readonly<Record<Question['kind'], number>> = {
  metrics: 16 * mebi,
  // A mesh of 100,000 workloads has some 60 MB.
  state: 256 * mebi,
  cpu: 64 * mebi,
  heap: 64 * mebi,
  heapSampling: 100,
};

interface Asked {
  readonly question: Question;
  readonly texts: string[];
  length: number;
  readonly done: (text: string | undefined) => void;
}

export class RunningWorker {
  readonly pid: number;
  /** What it waits for before it is ready. */
  pending: readonly string[] = ['worker'];
  /** It has known the mesh, so policies can be asked about what it takes over. */
  isWarm = false;
  readonly #process: WorkerProcess;
  readonly #index: number;
  readonly #tools: WorkerTools;
  readonly #events: WorkerEvents;
  readonly #dropping = new Map<number, () => void>();
  readonly #asked = new Map<number, Asked>();
  readonly #onEnd: (() => void)[] = [];
  #greeted = false;

  /** `index`: its place, for the log. */
  constructor(process: WorkerProcess, index: number, tools: WorkerTools, events: WorkerEvents) {
    this.pid = process.pid;
    this.#process = process;
    this.#index = index;
    this.#tools = tools;
    this.#events = events;
    const startedAt = tools.clock.now();
    process.connection.onPacket((packet) => {
      for (const fd of packet.fds) tools.closeFd(fd);
      try {
        this.#receive(decodeFromWorker(packet.data));
      } catch (e) {
        tools.log.error('stopping a worker that does not keep to the protocol', { error: describeError(e) });
        process.kill('SIGKILL');
      }
    });
    // The exit is what counts; a worker that closed its end cannot be reached and is ended.
    process.connection.onClose(() => process.kill('SIGKILL'));
    process.onExit((how) => this.#exited(how, tools.clock.now() - startedAt));
  }

  send(message: ToWorker, fds: readonly Fd[] = []): void {
    this.#process.connection.send(encode(message), fds);
  }

  /** One that has not said hello yet gets all pods then, this one among them. */
  serve(message: PodMessage, fds: readonly Fd[]): void {
    if (this.#greeted) this.send(message, fds);
  }

  /** Resolves when it has no connection of the pod left, at the deadline, or when it ends. */
  drop(pod: number, deadlineMs: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        timer.cancel();
        this.#dropping.delete(pod);
        resolve();
      };
      const timer = this.#tools.clock.after(millis(deadlineMs + grace), finish);
      this.#dropping.set(pod, finish);
      this.send({ kind: 'dropPod', pod, deadline: deadlineMs });
    });
  }

  /** undefined: no answer in time. */
  ask(id: number, question: Question): Promise<string | undefined> {
    const patience = answerTimeout + (question.kind === 'cpu' ? question.seconds * 1000 : 0);
    return new Promise((resolve) => {
      const done = (text: string | undefined) => {
        timer.cancel();
        this.#asked.delete(id);
        resolve(text);
      };
      const timer = this.#tools.clock.after(millis(patience), () => done(undefined));
      this.#asked.set(id, { question, texts: [], length: 0, done });
      this.send({ kind: 'ask', id, question });
    });
  }

  /** Tells it to end within the deadline; a second later it is killed. */
  retire(message: Extract<ToWorker, { kind: 'drain' | 'replaced' }>, fds: readonly Fd[] = []): void {
    const timer = this.#tools.clock.after(millis(message.deadline + grace), () => this.#process.kill('SIGKILL'));
    this.#onEnd.push(() => timer.cancel());
    this.send(message, fds);
  }

  /** Resolves when the process has ended. */
  end(): Promise<void> {
    return new Promise((resolve) => void this.#onEnd.push(resolve));
  }

  #receive(message: ToSupervisor): void {
    switch (message.kind) {
      case 'hello':
        this.#greeted = true;
        this.#tools.log.info('worker started', { worker: this.#index, pid: this.pid });
        for (const { message: pod, fds } of this.#tools.pods()) this.send(pod, fds);
        this.#tools.sameNode?.workerStarted(this);
        return;
      case 'warm':
        this.isWarm = true;
        this.#events.warm();
        return;
      case 'pending':
        this.pending = message.items;
        return;
      case 'serving':
        this.#events.serving(message.pod, message.error);
        return;
      case 'dropped':
        this.#dropping.get(message.pod)?.();
        return;
      case 'need':
        this.#supply(message.pod, message.socket, message.count);
        return;
      case 'noAnswer':
        this.#tools.log.warn('a worker has no answer', { worker: this.#index, error: message.error });
        this.#asked.get(message.id)?.done(undefined);
        return;
      case 'answer':
        this.#collect(message.id, message.text, message.last);
        return;
      case 'sameNode':
        this.#tools.sameNode?.ordered(this, message.order);
        return;
    }
  }

  #collect(id: number, text: string, last: boolean): void {
    const asked = this.#asked.get(id);
    if (!asked) return;
    asked.texts.push(text);
    asked.length += text.length;
    const { kind } = asked.question;
    if (asked.length > longest[kind]) {
      this.#tools.log.error('dropped an answer of a worker that is too long', {
        worker: this.#index,
        question: kind,
        longest: longest[kind],
      });
      asked.done(undefined);
    } else if (last) asked.done(asked.texts.join(''));
  }

  #supply(pod: number, socket: SocketKind, asked: number): void {
    let fds: readonly Fd[] = [];
    let error = '';
    try {
      fds = this.#tools.makeSockets(pod, socket, asked);
      if (fds.length === 0) error = 'the pod is gone';
    } catch (e) {
      error = describeError(e);
      this.#tools.log.warn('cannot make sockets for a pod', { socket, error });
    }
    this.send({ kind: 'sockets', pod, socket, asked, error }, fds);
    for (const fd of fds) this.#tools.closeFd(fd);
  }

  #exited(how: string, aliveMs: number): void {
    this.#process.connection.close();
    this.#tools.sameNode?.workerEnded(this);
    for (const done of [...this.#dropping.values()]) done();
    for (const { done } of [...this.#asked.values()]) done(undefined);
    for (const ended of this.#onEnd.splice(0)) ended();
    this.#events.ended(how, aliveMs);
  }
}
