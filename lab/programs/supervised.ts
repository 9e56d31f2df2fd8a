/** A program of ours on a host of the lab, started again when it dies: at once, then with back-off, as kubelet does. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Millis, millis } from '../../common/core/brand.ts';
import { sleep } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import { replaceFile } from '../../common/core/files.ts';
import { netnsName, netnsPath, programLogFile } from '../names.ts';
import { programArgv } from '../pods/launch.ts';
import { clusterResolvConf } from '../pods/network-files.ts';
import { killCgroup, makeCgroup, removeCgroup } from '../system/cgroup.ts';
import { exitCode } from '../system/exit-code.ts';
import { systemPath } from '../system/run.ts';
import type { ProgramContext } from './context.ts';
import { programFile } from './program-file.ts';

const firstBackOff = 250;
const longestBackOff = 5_000;
/** A program that ran this long is started again at once. */
const resetAfter = 2_000;

/** What the daemon logs then, with the program's name and host. */
export const programEnded = 'a program ended; starting it again';

export interface ProgramSpec {
  readonly name: string;
  /** `cp` or a node. */
  readonly host: string;
  readonly cgroup: string;
  /** Of several that run beside each other on a host, which. */
  readonly instance?: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Gets a channel for messages from the daemon (child_process `ipc`). */
  readonly channel?: boolean;
  /** Open in it as descriptors 3 and following; not beside a channel. */
  readonly descriptors?: readonly number[];
}

export interface SupervisedHandlers {
  /** Also after every restart. */
  readonly onStart?: (restarts: number) => void;
  readonly onExit?: () => void;
  readonly onMessage?: (message: unknown) => void;
}

export class Supervised {
  readonly #runtime: ProgramContext;
  readonly #spec: ProgramSpec;
  readonly #handlers: SupervisedHandlers;
  #child: ChildProcess | undefined;
  #backOff = 0;
  #restarts = 0;
  #stopped: (() => void) | undefined;

  private constructor(runtime: ProgramContext, spec: ProgramSpec, handlers: SupervisedHandlers) {
    this.#runtime = runtime;
    this.#spec = spec;
    this.#handlers = handlers;
  }

  /** Resolves when the process has been started once, which does not mean that it serves. */
  static async start(
    runtime: ProgramContext,
    spec: ProgramSpec,
    handlers: SupervisedHandlers = {},
  ): Promise<Supervised> {
    const program = new Supervised(runtime, spec, handlers);
    await program.#prepare();
    await program.#launch();
    return program;
  }

  send(message: object): void {
    // A message that a dying program loses is repeated by `onStart`.
    this.#child?.send(message, () => undefined);
  }

  /** Asks it to end, and kills it after `grace` ms. Resolves when none of its processes is left; it is not started again. */
  async stop(grace: Millis): Promise<void> {
    const { clock } = this.#runtime;
    const ended = new Promise<void>((resolve) => {
      this.#stopped = resolve;
    });
    if (this.#child) {
      const timer = clock.after(grace, () => this.#child?.kill('SIGKILL'));
      this.#child.kill('SIGTERM');
      await ended;
      timer.cancel();
    }
    await killCgroup(this.#spec.cgroup);
    await removeCgroup(this.#spec.cgroup);
    await rm(this.#etc, { recursive: true, force: true });
  }

  get #etc(): string {
    const { name, host, instance } = this.#spec;
    return join(this.#runtime.paths.pods, `${instance ?? name}@${host}`);
  }

  async #prepare(): Promise<void> {
    const upper = join(this.#etc, 'upper');
    await mkdir(upper, { recursive: true });
    await mkdir(join(this.#etc, 'work'), { recursive: true });
    await writeFile(join(upper, 'resolv.conf'), clusterResolvConf('istio-system'));
    await writeFile(join(upper, 'hosts'), '127.0.0.1\tlocalhost\n::1\tlocalhost\n');
  }

  async #launch(): Promise<void> {
    const { lab, paths, clock } = this.#runtime;
    const { name, host, cgroup, env, argv: program } = this.#spec;
    const argv = programArgv({
      netns: netnsPath(netnsName(lab, host)),
      cgroup: makeCgroup(cgroup),
      etc: this.#etc,
      argv: program,
    });
    const log = openSync(programLogFile(lab, name, host), 'a');
    const { channel = false, descriptors = [] } = this.#spec;
    const stdio: StdioOptions = ['ignore', log, log, ...(channel ? (['ipc'] as const) : descriptors)];
    const child = spawn(argv[0]!, argv.slice(1), { stdio, env: { PATH: systemPath, ...env }, detached: true });
    closeSync(log);
    this.#child = child;
    const began = clock.now();
    child.on('message', (message) => this.#handlers.onMessage?.(message));
    child.on('error', (e) => this.#runtime.log.error('a program cannot be started', { name, host, error: e.message }));
    child.on('exit', (code, signal) => this.#exited(exitCode(code, signal), clock.now() - began));
    mkdirSync(paths.programs, { recursive: true });
    await replaceFile(programFile(lab, name, host), JSON.stringify({ pid: child.pid, cgroup }));
    this.#handlers.onStart?.(this.#restarts);
  }

  #exited(code: number, ran: number): void {
    const { log } = this.#runtime;
    const { name, host } = this.#spec;
    this.#child = undefined;
    if (this.#stopped) {
      this.#stopped();
      return;
    }
    this.#handlers.onExit?.();
    if (ran > resetAfter) this.#backOff = 0;
    log.warn(programEnded, {
      name,
      host,
      code,
      ran_ms: Math.round(ran),
      wait_ms: this.#backOff,
    });
    const wait = millis(this.#backOff);
    this.#backOff = Math.min(Math.max(this.#backOff * 2, firstBackOff), longestBackOff);
    void this.#restart(wait).catch((e: unknown) =>
      log.error('a program cannot be started again', { name, host, error: describeError(e) }),
    );
  }

  /** A container's processes end with its first one, as they do with a pid namespace. */
  async #restart(wait: Millis): Promise<void> {
    await killCgroup(this.#spec.cgroup);
    if (this.#stopped) return;
    await rm(programFile(this.#runtime.lab, this.#spec.name, this.#spec.host), { force: true });
    await sleep(this.#runtime.clock, wait, new AbortController().signal);
    if (this.#stopped) return;
    this.#restarts += 1;
    await this.#launch();
  }
}
