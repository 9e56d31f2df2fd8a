/**
 * The worker processes: started without any capability, started again when they die (with the same listeners, so nothing
 * is refused, it waits in the backlog), served with sockets, asked for metrics, drained at the end.
 */
import { type Fd, millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
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
import type { PodWorkers } from './pods.ts';

export interface WorkerProcess {
  readonly pid: number;
  readonly connection: SeqpacketConnection;
  onExit(handler: (how: string) => void): void;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

export interface WorkerFleetOptions {
  readonly count: number;
  readonly spawn: () => WorkerProcess;
  readonly pods: () => readonly { readonly message: PodMessage; readonly fds: readonly Fd[] }[];
  /** The caller closes them. Throws NativeError. */
  readonly makeSockets: (pod: number, kind: SocketKind, count: number) => readonly Fd[];
  readonly closeFd: (fd: Fd) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** ms. The first restart of a worker that ran for a while is immediate. */
const restart = { first: 50, last: 5_000, healthyAfter: 10_000 };
/** ms. Shorter than the 5 s after which the agent gives an add up; the pod is retried. */
const serveTimeout = 3_500;
const mebi = 1024 * 1024;
/** ms. Who asks must not hang on a worker that is busy; a profile's own time comes on top. */
const answerTimeout = 2_000;
/** Characters of one worker's answer: it must not be able to fill the memory of its supervisor. */
const longest: Readonly<Record<Question['kind'], number>> = {
  metrics: 16 * mebi,
  // A mesh of 100,000 workloads has some 60 MB.
  state: 256 * mebi,
  cpu: 64 * mebi,
  heap: 64 * mebi,
  heapSampling: 100,
};

export class WorkerFleet implements PodWorkers {
  readonly #slots: Slot[];
  /** Resolves when every worker has known the mesh once: what it is given it can serve. */
  readonly warm: Promise<unknown>;
  #nextQuestion = 1;

  constructor(options: WorkerFleetOptions) {
    this.#slots = Array.from({ length: options.count }, (_, index) => new Slot(index, options));
    this.warm = Promise.all(this.#slots.map((s) => s.warm.promise));
  }

  start(): void {
    for (const slot of this.#slots) slot.start();
  }

  /** What any worker waits for. */
  get pending(): readonly string[] {
    return [...new Set(this.#slots.flatMap((s) => s.pending))];
  }

  get restarts(): number {
    return this.#slots.reduce((n, s) => n + s.restarts, 0);
  }

  get pids(): readonly number[] {
    return this.#slots.flatMap((s) => s.pid ?? []);
  }

  async serve(message: PodMessage, fds: readonly Fd[]): Promise<void> {
    await Promise.all(this.#slots.map((s) => s.serve(message, fds)));
  }

  async drop(pod: number, deadlineMs: number): Promise<void> {
    await Promise.all(this.#slots.map((s) => s.drop(pod, deadlineMs)));
  }

  /** The JSON of each worker that answered. */
  async ask(question: Question): Promise<readonly string[]> {
    const id = this.#nextQuestion++;
    const answers = await Promise.all(this.#slots.map((s) => s.ask(id, question)));
    return answers.filter((a) => a !== undefined);
  }

  setLogging(directives: string | null): void {
    for (const slot of this.#slots) slot.send({ kind: 'logging', directives });
  }

  /** Resolves when all have exited; those that miss the deadline by a second are killed. */
  async drain(deadlineMs: number): Promise<void> {
    await Promise.all(this.#slots.map((s) => s.drain(deadlineMs)));
  }
}

interface Asked {
  readonly question: Question;
  readonly texts: string[];
  length: number;
  readonly done: (text: string | undefined) => void;
}

/** One place for a worker; the processes in it come and go. */
class Slot {
  readonly warm = Promise.withResolvers<void>();
  readonly #index: number;
  readonly #options: WorkerFleetOptions;
  readonly #serving = new Map<number, (error: string) => void>();
  readonly #dropping = new Map<number, () => void>();
  readonly #asked = new Map<number, Asked>();
  #worker: WorkerProcess | undefined;
  #pending: readonly string[] = ['worker'];
  #delay = 0;
  #stopping = false;
  #onStopped: (() => void) | undefined;
  restarts = 0;

  constructor(index: number, options: WorkerFleetOptions) {
    this.#index = index;
    this.#options = options;
  }

  get pending(): readonly string[] {
    return this.#pending;
  }

  get pid(): number | undefined {
    return this.#worker?.pid;
  }

  start(): void {
    const { spawn, clock, log } = this.#options;
    let worker: WorkerProcess;
    try {
      worker = spawn();
    } catch (e) {
      log.error('cannot start a worker', { worker: this.#index, error: describeError(e) });
      this.#restartLater();
      return;
    }
    this.#worker = worker;
    const startedAt = clock.now();
    worker.connection.onPacket((packet) => {
      for (const fd of packet.fds) this.#options.closeFd(fd);
      try {
        this.#receive(decodeFromWorker(packet.data), worker);
      } catch (e) {
        log.error('stopping a worker that does not keep to the protocol', { error: describeError(e) });
        worker.kill('SIGKILL');
      }
    });
    // The exit is what counts; a worker that closed its end cannot be reached and is ended.
    worker.connection.onClose(() => worker.kill('SIGKILL'));
    worker.onExit((how) => this.#exited(how, clock.now() - startedAt));
  }

  send(message: ToWorker, fds: readonly Fd[] = []): void {
    this.#worker?.connection.send(encode(message), fds);
  }

  serve(message: PodMessage, fds: readonly Fd[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error: string) => {
        timer.cancel();
        this.#serving.delete(message.pod);
        if (error === '') resolve();
        else reject(new MeshError('KERNEL', error));
      };
      const timer: Timer = this.#options.clock.after(millis(serveTimeout), () =>
        finish('the worker did not take the listeners in 3.5 s'),
      );
      this.#serving.set(message.pod, finish);
      // Without a process the message waits in the table of pods: a worker that says hello gets all of it.
      this.send(message, fds);
    });
  }

  drop(pod: number, deadlineMs: number): Promise<void> {
    if (!this.#worker) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = () => {
        timer.cancel();
        this.#dropping.delete(pod);
        resolve();
      };
      const timer = this.#options.clock.after(millis(deadlineMs + 1_000), finish);
      this.#dropping.set(pod, finish);
      this.send({ kind: 'dropPod', pod, deadline: deadlineMs });
    });
  }

  ask(id: number, question: Question): Promise<string | undefined> {
    if (!this.#worker) return Promise.resolve(undefined);
    const patience = answerTimeout + (question.kind === 'cpu' ? question.seconds * 1000 : 0);
    return new Promise((resolve) => {
      const done = (text: string | undefined) => {
        timer.cancel();
        this.#asked.delete(id);
        resolve(text);
      };
      const timer = this.#options.clock.after(millis(patience), () => done(undefined));
      this.#asked.set(id, { question, texts: [], length: 0, done });
      this.send({ kind: 'ask', id, question });
    });
  }

  drain(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    const worker = this.#worker;
    if (!worker) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(millis(deadlineMs + 1_000), () => worker.kill('SIGKILL'));
      this.#onStopped = () => {
        timer.cancel();
        resolve();
      };
      this.send({ kind: 'drain', deadline: deadlineMs });
    });
  }

  #receive(message: ToSupervisor, worker: WorkerProcess): void {
    switch (message.kind) {
      case 'hello':
        this.#options.log.info('worker started', { worker: this.#index, pid: worker.pid });
        for (const { message: pod, fds } of this.#options.pods()) this.send(pod, fds);
        return;
      case 'warm':
        this.warm.resolve();
        return;
      case 'pending':
        this.#pending = message.items;
        return;
      case 'serving':
        this.#serving.get(message.pod)?.(message.error);
        return;
      case 'dropped':
        this.#dropping.get(message.pod)?.();
        return;
      case 'need':
        this.#supply(message.pod, message.socket, message.count);
        return;
      case 'noAnswer':
        this.#options.log.warn('a worker has no answer', { worker: this.#index, error: message.error });
        this.#asked.get(message.id)?.done(undefined);
        return;
      case 'answer':
        this.#collect(message.id, message.text, message.last);
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
      this.#options.log.error('dropped an answer of a worker that is too long', {
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
      fds = this.#options.makeSockets(pod, socket, asked);
      if (fds.length === 0) error = 'the pod is gone';
    } catch (e) {
      error = describeError(e);
      this.#options.log.warn('cannot make sockets for a pod', { socket, error });
    }
    this.send({ kind: 'sockets', pod, socket, asked, error }, fds);
    for (const fd of fds) this.#options.closeFd(fd);
  }

  #exited(how: string, aliveMs: number): void {
    this.#worker?.connection.close();
    this.#worker = undefined;
    for (const done of [...this.#dropping.values()]) done();
    for (const { done } of [...this.#asked.values()]) done(undefined);
    if (this.#stopping) {
      this.#onStopped?.();
      return;
    }
    this.#pending = ['worker'];
    this.#options.log.error('a worker ended, starting another', { worker: this.#index, how });
    this.restarts++;
    if (aliveMs >= restart.healthyAfter) this.#delay = 0;
    this.#restartLater();
  }

  #restartLater(): void {
    const delay = this.#delay;
    this.#delay = Math.min(Math.max(delay * 2, restart.first), restart.last);
    if (delay === 0) {
      this.start();
      return;
    }
    this.#options.clock.after(millis(delay), () => {
      if (!this.#stopping) this.start();
    });
  }
}
