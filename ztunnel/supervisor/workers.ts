/**
 * The worker processes: started without any capability, started again when they die (with the same listeners, so nothing
 * is refused, it waits in the backlog), replaced by successors on request, drained at the end.
 */
import { type Fd, millis } from '../../common/core/brand.ts';
import type { Timer } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { PodMessage, Question, SuccessorListeners } from '../control/messages.ts';
import type { Heir } from '../handover/neighbours.ts';
import type { PodWorkers } from './pods.ts';
import { RunningWorker, type WorkerProcess, type WorkerTools } from './running-worker.ts';

export interface WorkerFleetOptions extends WorkerTools {
  readonly count: number;
  readonly spawn: () => WorkerProcess;
  /** Two connected ends. Throws NativeError. */
  readonly makePair: () => readonly [Fd, Fd];
}

/** ms. The first restart of a worker that ran for a while is immediate. */
const restart = { first: 50, last: 5_000, healthyAfter: 10_000 };
/** ms. Shorter than the 5 s after which the agent gives an add up; the pod is retried. */
const serveTimeout = 3_500;
/** ms in which a successor must know the mesh; without istiod it never does. */
const successorTimeout = 60_000;

export class WorkerFleet implements PodWorkers {
  readonly #slots: Slot[];
  /** Resolves when every worker has known the mesh once: what it is given it can serve. */
  readonly warm: Promise<unknown>;
  #nextQuestion = 1;
  #replacing: Promise<void> | undefined;

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

  /** Of those that serve; of the ones that they replaced no more. */
  get pids(): readonly number[] {
    return this.#slots.flatMap((s) => s.pid ?? []);
  }

  async serve(message: PodMessage, fds: readonly Fd[]): Promise<void> {
    await Promise.all(this.#slots.map((s) => s.serve(message, fds)));
  }

  async drop(pod: number, deadlineMs: number): Promise<void> {
    await Promise.all(this.#slots.map((s) => s.drop(pod, deadlineMs)));
  }

  /** The JSON of each worker that answered, also of those that are being replaced: their connections count too. */
  async ask(question: Question): Promise<readonly string[]> {
    const id = this.#nextQuestion++;
    const answers = await Promise.all(this.#slots.flatMap((s) => s.ask(id, question)));
    return answers.filter((a) => a !== undefined);
  }

  setLogging(directives: string | null): void {
    for (const slot of this.#slots) slot.setLogging(directives);
  }

  /**
   * Gives each worker a successor with the same listeners, which takes every new connection once it knows the mesh; then the old one
   * drains. Where no successor comes up the old one goes on, and the log says so. Resolves when that is decided for all; asked again
   * before, it is the same replacement.
   */
  replace(deadlineMs: number): Promise<void> {
    this.#replacing ??= Promise.all(this.#slots.map((s) => s.replace(deadlineMs))).then(() => {
      this.#replacing = undefined;
    });
    return this.#replacing;
  }

  /**
   * A worker goes on with what comes along the line; who gives has other places, of which there may be more. Where the worker of the place has
   * only begun another takes it: each serves all pods. Takes the descriptor over.
   */
  takeOver(place: number, line: Fd): void {
    const first = this.#slots[place % this.#slots.length]!;
    const slot = first.mayTakeOver ? first : (this.#slots.find((s) => s.mayTakeOver) ?? first);
    slot.takeOver(line);
  }

  /** Resolves when all have exited; those that miss the deadline by a second are killed. `heir` gets what is open. */
  async drain(deadlineMs: number, heir: Heir | undefined): Promise<void> {
    await Promise.all(this.#slots.map((s) => s.drain(deadlineMs, heir)));
  }
}

interface Successor {
  readonly worker: RunningWorker;
  /** ms that its predecessor gets to drain. */
  readonly deadlineMs: number;
  /** It took over, or never will. */
  readonly decided: () => void;
}

/** One place for a worker; the processes in it come and go. */
class Slot {
  readonly warm = Promise.withResolvers<void>();
  readonly #index: number;
  readonly #options: WorkerFleetOptions;
  readonly #serving = new Map<number, (error: string) => void>();
  #worker: RunningWorker | undefined;
  #successor: Successor | undefined;
  /** They accept nothing new and only have to end. */
  readonly #leaving = new Set<RunningWorker>();
  #delay = 0;
  #stopping = false;
  restarts = 0;

  constructor(index: number, options: WorkerFleetOptions) {
    this.#index = index;
    this.#options = options;
  }

  get pending(): readonly string[] {
    return this.#worker?.pending ?? ['worker'];
  }

  get pid(): number | undefined {
    return this.#worker?.pid;
  }

  get #all(): readonly RunningWorker[] {
    return [this.#worker, this.#successor?.worker, ...this.#leaving].filter((w) => w !== undefined);
  }

  start(): void {
    try {
      this.#worker = this.#spawn();
    } catch (e) {
      this.#options.log.error('cannot start a worker', { worker: this.#index, error: describeError(e) });
      this.#restartLater();
    }
  }

  #spawn(): RunningWorker {
    const worker: RunningWorker = new RunningWorker(this.#options.spawn(), this.#index, this.#options, {
      warm: () => this.#isWarm(worker),
      serving: (pod, error) => this.#isServing(worker, pod, error),
      ended: (how, aliveMs) => this.#ended(worker, how, aliveMs),
    });
    return worker;
  }

  setLogging(directives: string | null): void {
    for (const worker of this.#all) worker.send({ kind: 'logging', directives });
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
      this.#worker?.serve(message, fds);
      this.#successor?.worker.serve(message, fds);
    });
  }

  async drop(pod: number, deadlineMs: number): Promise<void> {
    const drops = [this.#worker, this.#successor?.worker].map((w) => w?.drop(pod, deadlineMs));
    // They were given a deadline that is none later, and need sockets of the pod until then.
    const ends = [...this.#leaving].map((w) => w.end());
    await Promise.all([...drops, ...ends]);
  }

  ask(id: number, question: Question): readonly Promise<string | undefined>[] {
    return this.#all.map((w) => w.ask(id, question));
  }

  /** Resolves when a successor has taken over, or it is clear that none will. */
  replace(deadlineMs: number): Promise<void> {
    // One that is about to be started is new anyway.
    if (this.#stopping || !this.#worker) return Promise.resolve();
    const { clock, log } = this.#options;
    let worker: RunningWorker;
    try {
      worker = this.#spawn();
    } catch (e) {
      log.error('cannot start a successor of a worker, which goes on', {
        worker: this.#index,
        error: describeError(e),
      });
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const decided = () => {
        timer.cancel();
        this.#successor = undefined;
        resolve();
      };
      const successor = { worker, deadlineMs, decided };
      const late = `it does not know the mesh after ${successorTimeout / 1000} s`;
      const timer = clock.after(millis(successorTimeout), () => this.#giveUp(successor, late));
      this.#successor = successor;
    });
  }

  /** One that does not know the mesh yet could ask no policy. */
  get mayTakeOver(): boolean {
    return !this.#stopping && this.#worker?.isWarm === true;
  }

  /** Where it may not, the line ends at once. */
  takeOver(line: Fd): void {
    if (this.mayTakeOver) this.#worker!.send({ kind: 'predecessor' }, [line]);
    this.#options.closeFd(line);
  }

  drain(deadlineMs: number, heir: Heir | undefined): Promise<unknown> {
    this.#stopping = true;
    const ends = this.#all.map((w) => w.end());
    if (this.#worker && heir) this.#replaced(this.#worker, deadlineMs, 'others', (line) => heir(this.#index, line));
    else this.#worker?.retire({ kind: 'drain', deadline: deadlineMs });
    if (this.#successor) this.#giveUp(this.#successor, 'ztunnel drains');
    return Promise.all(ends);
  }

  #isWarm(worker: RunningWorker): void {
    if (worker === this.#worker) this.warm.resolve();
    if (worker === this.#successor?.worker) this.#takeOver(this.#successor);
  }

  #takeOver({ worker, decided, deadlineMs }: Successor): void {
    const old = this.#worker!;
    this.#options.log.info('a worker was replaced; it accepts nothing new', {
      worker: this.#index,
      pid: old.pid,
      successor: worker.pid,
    });
    this.#worker = worker;
    this.#leaving.add(old);
    decided();
    this.#replaced(old, deadlineMs, 'same', (line) => worker.send({ kind: 'predecessor' }, [line]));
  }

  #replaced(worker: RunningWorker, deadline: number, listeners: SuccessorListeners, send: (line: Fd) => void): void {
    const fds = this.#line(send);
    worker.retire({ kind: 'replaced', deadline, listeners }, fds);
    fds.forEach(this.#options.closeFd);
  }

  /**
   * Keys go from worker to worker, and never come here. `send` brings one end to the worker that takes. Returns the other's; none where no pair
   * can be made.
   */
  #line(send: (line: Fd) => void): readonly Fd[] {
    const { makePair, closeFd, log } = this.#options;
    try {
      const [giving, taking] = makePair();
      send(taking);
      closeFd(taking);
      return [giving];
    } catch (e) {
      log.warn('open connections cannot move to a successor', { worker: this.#index, error: describeError(e) });
      return [];
    }
  }

  /** What it may have accepted already ends in order. */
  #giveUp(successor: Successor, why: string): void {
    const { worker, decided, deadlineMs } = successor;
    this.#options.log.error('a successor of a worker cannot take over; the worker goes on', {
      worker: this.#index,
      successor: worker.pid,
      error: why,
    });
    this.#leaving.add(worker);
    decided();
    worker.retire({ kind: 'drain', deadline: deadlineMs });
  }

  #isServing(worker: RunningWorker, pod: number, error: string): void {
    if (worker === this.#worker) this.#serving.get(pod)?.(error);
    else if (worker === this.#successor?.worker && error !== '') this.#giveUp(this.#successor, error);
  }

  #ended(worker: RunningWorker, how: string, aliveMs: number): void {
    const { log } = this.#options;
    if (this.#leaving.delete(worker)) {
      log.info('a worker that took nothing new any more has ended', { worker: this.#index, pid: worker.pid, how });
      return;
    }
    if (worker === this.#successor?.worker) {
      log.error('a successor of a worker ended before it took over; the worker goes on', { worker: this.#index, how });
      this.#successor.decided();
      return;
    }
    const successor = this.#successor;
    this.#worker = successor?.worker;
    successor?.decided();
    if (this.#stopping) return;
    this.restarts++;
    log.error('a worker ended, starting another', { worker: this.#index, how });
    if (aliveMs >= restart.healthyAfter) this.#delay = 0;
    if (!successor) this.#restartLater();
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
