/**
 * A module that is in use: its process, whoever waits for it, and the next version of it until that one has started. Calls go in batches:
 * what comes while one is away makes the next, so a busy module costs little a call. A batch that ends its process is tried again call by
 * call, so that only the call that did it fails.
 */
import { millis } from '../../../common/core/brand.ts';
import type { Clock, Timer } from '../../../common/core/clock.ts';
import type { Logger } from '../../../common/core/log.ts';
import type { Handles, RunningScript, ScriptSpec } from './host.ts';
import type { ScriptLimits } from './limits.ts';
import type { Death, ProcessEvents } from './process.ts';
import type { CallFailure, CallResult } from './result.ts';

/** ScriptProcess, or a test's. */
export interface Runner {
  send(batch: readonly (number | string)[]): void;
  askCounters(): void;
  setCounters(text: string): void;
  kill(death: Death, detail: string): void;
  cpu(): number | undefined;
}

export interface ScriptOptions {
  readonly name: string;
  readonly limits: ScriptLimits;
  readonly clock: Clock;
  readonly log: Logger;
  readonly run: (spec: ScriptSpec, limits: ScriptLimits, counters: string, events: ProcessEvents) => Runner;
  /** One of its processes was stopped or ended, or one could not start. */
  readonly onDeath: (death: Death | 'refused') => void;
}

interface Next {
  readonly spec: ScriptSpec;
  runner: Runner | undefined;
  /** Set: it has started. */
  handles: Handles | undefined;
}

interface Call {
  readonly number: number;
  readonly text: string;
  readonly asked: number;
  readonly done: (result: CallResult) => void;
  /** Nobody waits any more. */
  cancelled: boolean;
  /** It was in a batch that ended its process. */
  suspect: boolean;
}

/** Ms between two looks at a call that is away. */
const look = 25;
const mostInBatch = 64;
/** Ends of its process in a row that start it again at once, and ms after which they are forgotten. */
const freeStarts = 3;
const forgotten = 60_000;
const longestPause = 30_000;
/** Ms without a call after which its process ends; the next call starts one. */
const idle = 300_000;

export class Script implements RunningScript {
  readonly #o: ScriptOptions;
  #spec: ScriptSpec;
  #runner: Runner | undefined;
  #ready = false;
  /** Of another version than the one that serves. */
  #next: Next | undefined;
  /** The version that serves was asked for its counters, and is asked nothing else. */
  #handing = false;
  #refused: string | undefined;
  #handles: Handles = { request: true, response: false };
  readonly #queue: Call[] = [];
  #away: Call[] = [];
  #numbers = 0;
  #counters = '[]';
  #flushing = false;
  #timer: Timer | undefined;
  /** Of the clock, when the batch that is away last went on, and the CPU that its process had used. */
  #progress = 0;
  #progressCpu = 0;
  #deaths = 0;
  #lastDeath = Number.NEGATIVE_INFINITY;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  #lastDetail = '';
  /** Ms of CPU that it may use now. */
  #budget: number;
  #measured = 0;
  #measuredCpu = 0;
  #lastCall: number;
  #idleTimer: Timer | undefined;

  constructor(spec: ScriptSpec, options: ScriptOptions) {
    this.#o = options;
    this.#spec = spec;
    this.#budget = 1_000;
    this.#lastCall = options.clock.now();
    this.#measured = this.#lastCall;
    this.#start();
  }

  get handles(): Handles {
    return this.#handles;
  }

  get spec(): ScriptSpec {
    return this.#next?.spec ?? this.#spec;
  }

  /** Calls wait for no start: the version that runs serves until the new one is ready, and for good where that one does not start. */
  swap(spec: ScriptSpec): void {
    if (same(spec, this.spec)) return;
    this.#next?.runner?.kill('exit', 'a newer version came');
    this.#next = undefined;
    if (same(spec, this.#spec)) return;
    if (!this.#ready) {
      // Nothing serves yet: what waits, waits for the new one.
      this.#runner?.kill('exit', 'a newer version came');
      this.#runner = undefined;
      this.#spec = spec;
      this.#refused = undefined;
      this.#deaths = 0;
      this.#pausedUntil = Number.NEGATIVE_INFINITY;
      this.#start();
      return;
    }
    this.#next = this.#startNext(spec);
  }

  #startNext(spec: ScriptSpec): Next {
    const { run, limits, log, name, onDeath } = this.#o;
    const next: Next = { spec, runner: undefined, handles: undefined };
    const failed = (death: Death | 'refused', error: string) => {
      if (this.#next !== next) return;
      log.error('a new version of a filter module does not start, the one before goes on', { filter: name, error });
      this.#next = undefined;
      onDeath(death);
      if (!this.#runner && this.#queue.length > 0) this.#start();
    };
    next.runner = run(spec, limits, '[]', {
      ready: (handles) => {
        next.handles = handles;
        if (this.#next === next) this.#handOver();
      },
      refused: (why) => failed('refused', why),
      outcomes: (pairs) => this.#outcomes(next.runner, pairs),
      counters: (text) => this.#counted(next.runner, text),
      ended: (death, detail) => {
        if (next.runner !== undefined && this.#runner === next.runner) this.#ended(death, detail);
        else failed(death, detail);
      },
    });
    return next;
  }

  /** Calls `done` once, later. Returns how to stop waiting. */
  call(text: string, done: (result: CallResult) => void): () => void {
    const { clock, limits } = this.#o;
    const now = clock.now();
    this.#lastCall = now;
    const refusal = this.#refusal(now);
    if (refusal) {
      let gone = false;
      setImmediate(() => {
        if (!gone) done(refusal);
      });
      return () => {
        gone = true;
      };
    }
    const call: Call = { number: ++this.#numbers, text, asked: now, done, cancelled: false, suspect: false };
    this.#queue.push(call);
    if (!this.#runner && !this.#next) this.#start();
    this.#soon();
    this.#watch(limits);
    return () => {
      call.cancelled = true;
    };
  }

  /** Ends its processes; who waits is told that it is down. */
  close(): void {
    this.#next?.runner?.kill('exit', 'the waypoint ends');
    this.#next = undefined;
    const runner = this.#runner;
    this.#runner = undefined;
    this.#ready = false;
    runner?.kill('exit', 'the waypoint ends');
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#idleTimer?.cancel();
    this.#failAll('down', 'the waypoint ends');
  }

  #refusal(now: number): CallResult | undefined {
    const failed = (cause: CallFailure, detail: string): CallResult => ({ kind: 'failed', cause, detail });
    if (this.#refused !== undefined) return failed('refused', this.#refused);
    if (now < this.#pausedUntil) return failed('down', this.#lastDetail);
    if (this.#queue.length + this.#away.length >= this.#o.limits.waiting) return failed('full', 'too many calls wait');
    this.#account(now);
    if (this.#budget < 0) return failed('share', `it used more than ${this.#o.limits.share} of a core`);
    return undefined;
  }

  #start(): void {
    const { run, limits, clock } = this.#o;
    this.#ready = false;
    this.#measuredCpu = 0;
    let mine: Runner | undefined;
    const isMine = () => mine !== undefined && this.#runner === mine;
    mine = run(this.#spec, limits, this.#counters, {
      ready: (handles) => {
        if (!isMine()) return;
        this.#handles = handles;
        this.#ready = true;
        this.#soon();
        this.#watchIdle();
      },
      refused: (why) => {
        if (!isMine()) return;
        this.#refused = why;
        this.#o.log.error('a filter module does not start', { filter: this.#o.name, error: why });
        this.#o.onDeath('refused');
        this.#failAll('refused', why);
      },
      outcomes: (pairs) => this.#outcomes(mine, pairs),
      counters: (text) => this.#counted(mine, text),
      ended: (death, detail) => {
        if (isMine()) this.#ended(death, detail);
      },
    });
    this.#runner = mine;
    this.#progress = clock.now();
    this.#progressCpu = 0;
  }

  /** Once nothing is away: the version that serves tells its counters, which the next one begins with. */
  #handOver(): void {
    if (!this.#next?.handles || this.#away.length > 0 || this.#handing) return;
    if (!this.#runner || !this.#ready) {
      this.#takeNext();
      return;
    }
    this.#handing = true;
    this.#runner.askCounters();
  }

  #counted(runner: Runner | undefined, text: string): void {
    if (runner === undefined || runner !== this.#runner) return;
    this.#counters = text;
    if (this.#handing) this.#takeNext();
  }

  #takeNext(): void {
    const next = this.#next;
    this.#handing = false;
    if (!next?.runner || !next.handles) return;
    const before = this.#runner;
    this.#runner = next.runner;
    this.#spec = next.spec;
    this.#handles = next.handles;
    this.#next = undefined;
    this.#ready = true;
    this.#refused = undefined;
    this.#deaths = 0;
    this.#measuredCpu = next.runner.cpu() ?? 0;
    next.runner.setCounters(this.#counters);
    before?.kill('exit', 'a newer version took its place');
    this.#o.log.info('a new version of a filter module took over', { filter: this.#o.name });
    this.#soon();
  }

  /** With the turn's other calls. */
  #soon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#ready || !this.#runner || this.#away.length > 0 || this.#handing) return;
    if (this.#next?.handles) {
      this.#handOver();
      return;
    }
    const batch: Call[] = [];
    for (let call = this.#queue[0]; call; call = this.#queue[0]) {
      if (call.cancelled) {
        this.#queue.shift();
        continue;
      }
      if (batch.length === mostInBatch || (call.suspect && batch.length > 0)) break;
      batch.push(this.#queue.shift()!);
      if (call.suspect) break;
    }
    if (batch.length === 0) return;
    this.#away = batch;
    this.#progress = this.#o.clock.now();
    this.#progressCpu = -1;
    this.#runner.send(batch.flatMap(({ number, text }) => [number, text]));
  }

  #outcomes(runner: Runner | undefined, pairs: readonly unknown[]): void {
    if (runner === undefined || runner !== this.#runner) return;
    this.#progress = this.#o.clock.now();
    this.#progressCpu = -1;
    for (let i = 0; i < pairs.length; i += 2) {
      // In the order in which they were asked: anything else is no answer of the prelude's.
      const call = this.#away.shift();
      if (!call) return;
      if (call.number !== pairs[i]) {
        this.#away.unshift(call);
        runner.kill('flood', 'its process answered what was not asked');
        return;
      }
      if (!call.cancelled) call.done({ kind: 'outcome', raw: pairs[i + 1] });
    }
    if (this.#away.length > 0) return;
    if (this.#next?.handles) this.#handOver();
    else if (this.#queue.length > 0) this.#flush();
  }

  #ended(death: Death, detail: string): void {
    const { clock, log, onDeath, name } = this.#o;
    const now = clock.now();
    this.#runner = undefined;
    this.#ready = false;
    this.#handing = false;
    const away = this.#away;
    this.#away = [];
    if (this.#refused !== undefined) return;
    onDeath(death);
    log.warn('a filter module was stopped', { filter: name, reason: death, detail });
    if (now - this.#lastDeath > forgotten) this.#deaths = 0;
    this.#lastDeath = now;
    this.#deaths++;
    this.#lastDetail = detail;
    if (this.#deaths > freeStarts || death === 'start') {
      this.#pausedUntil = now + Math.min(longestPause, 1_000 * 2 ** Math.max(0, this.#deaths - freeStarts - 1));
    }
    if (away.length === 1) {
      const [call] = away;
      const cause = death === 'start' ? 'down' : death;
      if (call && !call.cancelled) call.done({ kind: 'failed', cause, detail });
    } else {
      for (const call of away) call.suspect = true;
      this.#queue.unshift(...away);
    }
    if (this.#next?.handles) this.#takeNext();
    else if (this.#next) return;
    else if (now < this.#pausedUntil) this.#failAll('down', detail);
    else if (this.#queue.length > 0) this.#start();
  }

  #failAll(cause: CallFailure, detail: string): void {
    const waiting = [...this.#away, ...this.#queue];
    this.#away = [];
    this.#queue.length = 0;
    for (const call of waiting) if (!call.cancelled) call.done({ kind: 'failed', cause, detail });
  }

  /** While anybody waits. */
  #watch(limits: ScriptLimits): void {
    if (this.#timer) return;
    this.#timer = this.#o.clock.after(millis(look), () => {
      this.#timer = undefined;
      this.#check(limits);
      if (this.#queue.length + this.#away.length > 0) this.#watch(limits);
    });
  }

  #check({ cpu, time, wait }: ScriptLimits): void {
    const now = this.#o.clock.now();
    this.#account(now);
    if (this.#away.length > 0 && this.#runner && now - this.#progress >= look) {
      const used = this.#runner.cpu() ?? 0;
      if (this.#progressCpu < 0) this.#progressCpu = used;
      if (used - this.#progressCpu > cpu) this.#runner.kill('cpu', `a call used more than ${cpu} ms of CPU`);
      else if (now - this.#progress > time) this.#runner.kill('time', `a call did not return within ${time} ms`);
    } else if (!this.#ready && this.#runner && now - this.#progress > wait) {
      this.#runner.kill('start', `it did not start within ${wait} ms`);
    }
    while (this.#queue[0] && now - this.#queue[0].asked > wait) {
      const late = this.#queue.shift()!;
      if (!late.cancelled) late.done({ kind: 'failed', cause: 'late', detail: `it waited more than ${wait} ms` });
    }
  }

  /** What it has used since, of what its share gave it. */
  #account(now: number): void {
    const passed = now - this.#measured;
    if (passed < 250 || !this.#runner) return;
    this.#measured = now;
    const used = this.#runner.cpu() ?? this.#measuredCpu;
    this.#budget = Math.min(
      1_000,
      this.#budget + passed * this.#o.limits.share - Math.max(0, used - this.#measuredCpu),
    );
    this.#measuredCpu = used;
  }

  #watchIdle(): void {
    this.#idleTimer?.cancel();
    this.#idleTimer = this.#o.clock.after(millis(idle), () => {
      if (!this.#runner) return;
      const since = this.#o.clock.now() - this.#lastCall;
      if (since < idle || this.#next || this.#away.length + this.#queue.length > 0) {
        this.#watchIdle();
        return;
      }
      const runner = this.#runner;
      this.#runner = undefined;
      this.#ready = false;
      runner.kill('exit', 'nobody asked it');
    });
  }
}

function same(a: ScriptSpec, b: ScriptSpec): boolean {
  return a.source === b.source && a.config === b.config;
}
