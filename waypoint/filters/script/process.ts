/**
 * One process that runs one module. The boundary is the kernel's: an address space of its own without keys or identities, bounds on memory
 * and files, no new privileges, no environment; within, Node's permissions (no files, network, processes, addons) and a realm without any
 * of its interfaces. A thread of the waypoint's process would answer sooner, but shares keys with it, and memory outside of V8's heap,
 * for which threads have no bound: one module could end them all.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { missingCapabilities } from '../../../common/core/capabilities.ts';
import { FrameReader, frame, longestFrame } from './frames.ts';
import type { Handles, ScriptSpec } from './host.ts';
import type { IsolateInit } from './isolate.ts';
import { longestReply, mostChanges, mostCounters, mostLines, mostMetrics, type ScriptLimits } from './limits.ts';

/** Why a process ended, or was ended. */
export type Death = 'cpu' | 'time' | 'memory' | 'flood' | 'exit' | 'start';

export interface ProcessEvents {
  /** Calls may come. */
  ready(handles: Handles): void;
  /** The module cannot be started: the same again would fail the same. */
  refused(why: string): void;
  /** Some of the batch's outcomes: pairs of a call's number and its outcome, unchecked. */
  outcomes(pairs: readonly unknown[]): void;
  counters(text: string): void;
  /** Once, after which nothing comes. `detail`: for people. */
  ended(death: Death, detail: string): void;
}

const program = fileURLToPath(new URL('./isolate.ts', import.meta.url));
const mebi = 1_048_576;
/** MiB beside what the module may use: V8 reserves 512 for code, without using it, and Node needs some 60. */
const nodeData = 640;

export class ScriptProcess {
  readonly #child: ChildProcess;
  readonly #events: ProcessEvents;
  readonly #reader = new FrameReader();
  #state: 'starting' | 'ready' | 'ended' = 'starting';
  /** Why this side ended it. */
  #killed: { readonly death: Death; readonly detail: string } | undefined;
  #wantsCounters = false;

  constructor(spec: ScriptSpec, limits: ScriptLimits, counters: string, events: ProcessEvents) {
    this.#events = events;
    const [command, ...args] = argv(limits);
    this.#child = spawn(command!, args, { env: {}, stdio: ['pipe', 'pipe', 'ignore'], cwd: '/' });
    // Told by its exit.
    for (const pipe of [this.#child.stdin, this.#child.stdout]) pipe?.on('error', () => undefined);
    this.#child.stdout?.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#child.once('error', (e) =>
      this.#end('start', `cannot run prlimit and setpriv (package util-linux): ${e.message}`),
    );
    this.#child.once('exit', (code, signal) => this.#exited(code, signal));
    const init: IsolateInit = {
      source: spec.source,
      options: { config: spec.config, counters, mostChanges, mostMetrics, mostLines, mostCounters, longestReply },
    };
    this.#child.stdin?.write(frame(JSON.stringify(init)));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Numbers of calls and calls by turns. Only when it is ready, and the batch before is done. */
  send(batch: readonly (number | string)[]): void {
    this.#child.stdin?.write(frame(JSON.stringify(batch)));
  }

  /** Its shared counters come as an event, after the batch that it is at. */
  askCounters(): void {
    this.#wantsCounters = true;
    this.#child.stdin?.write(frame('["counters"]'));
  }

  /** Takes the place of its own. */
  setCounters(text: string): void {
    this.#child.stdin?.write(frame(JSON.stringify(['counters', text])));
  }

  kill(death: Death, detail: string): void {
    if (this.#state === 'ended' || this.#killed) return;
    this.#killed = { death, detail };
    this.#child.kill('SIGKILL');
  }

  /** Ms of CPU that it has used; undefined: it is gone. */
  cpu(): number | undefined {
    try {
      const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      // utime and stime (proc_pid_stat(5)), of USER_HZ.
      return (Number(fields[11]) + Number(fields[12])) * 10;
    } catch {
      return undefined;
    }
  }

  #read(chunk: Buffer): void {
    if (this.#killed || this.#state === 'ended') return;
    const texts = this.#reader.push(chunk, longestFrame);
    if (!texts) {
      this.kill('flood', 'its process sent more than any answer is long');
      return;
    }
    for (const text of texts) this.#message(text);
  }

  #message(text: string): void {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      this.kill('flood', 'its process sent what is no answer');
      return;
    }
    if (this.#state === 'starting') {
      const { failed } = message as { readonly failed?: unknown };
      if (typeof failed === 'string') {
        this.#events.refused(failed);
        this.kill('exit', failed);
        return;
      }
      this.#state = 'ready';
      const { request, response } = message as Readonly<Record<string, unknown>>;
      this.#events.ready({ request: request === true, response: response === true });
    } else if (this.#wantsCounters && isPairs(message)) {
      this.#wantsCounters = false;
      this.#events.counters(text);
    } else if (Array.isArray(message)) this.#events.outcomes(message);
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#killed) this.#end(this.#killed.death, this.#killed.detail);
    // What V8 does where it gets no memory, or malloc none.
    else if (
      signal === 'SIGABRT' ||
      signal === 'SIGTRAP' ||
      signal === 'SIGSEGV' ||
      signal === 'SIGILL' ||
      code === 134
    )
      this.#end('memory', `it needed more memory than it may use (${signal ?? code})`);
    else
      this.#end(this.#state === 'starting' ? 'start' : 'exit', `its process ended (${signal ?? `exit code ${code}`})`);
  }

  #end(death: Death, detail: string): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#events.ended(death, detail);
  }
}

/** Lists of lists are counters, all else outcomes. */
function isPairs(message: unknown): boolean {
  return Array.isArray(message) && message.every((pair) => Array.isArray(pair));
}

function argv({ heap }: ScriptLimits): readonly string[] {
  const bytes = (heap * 2 + nodeData) * mebi;
  const inner = dirname(program);
  return [
    'prlimit',
    `--data=${bytes}`,
    '--core=0',
    '--fsize=0',
    '--nofile=64',
    'setpriv',
    '--no-new-privs',
    '--inh-caps=-all',
    ...droppable(),
    process.execPath,
    '--permission',
    `--allow-fs-read=${join(inner, '*')}`,
    '--disallow-code-generation-from-strings',
    '--experimental-vm-modules',
    '--no-warnings',
    '--no-addons',
    `--max-old-space-size=${heap}`,
    '--max-semi-space-size=2',
    program,
  ];
}

/** Who is root and may, takes root's rights from it, too. */
function droppable(): readonly string[] {
  const status = readFileSync('/proc/self/status', 'latin1');
  const missing = missingCapabilities(status, [{ name: 'CAP_SETPCAP', why: 'to take capabilities away' }]);
  return missing.length === 0 ? ['--bounding-set=-all', '--ambient-caps=-all'] : [];
}
