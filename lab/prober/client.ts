/** The daemon's end of a node's prober: starts it, starts it again when it dies, and tells it what to probe. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { millis } from '../../common/core/brand.ts';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import { netnsPath, programLogFile } from '../names.ts';
import { hostArgv } from '../pods/launch.ts';
import { systemPath } from '../system/run.ts';
import type { NetworkProbe } from './probe.ts';
import type { ProberRequest, ProberResult } from './protocol.ts';

type SetRequest = Extract<ProberRequest, { kind: 'set' }>;
type TryRequest = Extract<ProberRequest, { kind: 'try' }>;
const restartDelay = millis(200);

export class ProberClient {
  readonly #runtime: Runtime;
  readonly #node: LabNode;
  readonly #wanted = new Map<
    string,
    { readonly request: SetRequest | TryRequest; readonly onResult: (failure: string | undefined) => void }
  >();
  #tries = 0;
  #child: ChildProcess | undefined;

  constructor(runtime: Runtime, node: LabNode) {
    this.#runtime = runtime;
    this.#node = node;
    this.#start();
  }

  /** `onResult` gets what went wrong, or undefined for a success, after every attempt. */
  set(request: Omit<SetRequest, 'kind'>, onResult: (failure: string | undefined) => void): void {
    const whole: SetRequest = { kind: 'set', ...request };
    this.#wanted.set(request.key, { request: whole, onResult });
    this.#send(whole);
  }

  /** One attempt, of at most `timeout` ms: what went wrong, or undefined. Made again when the prober dies meanwhile. */
  try(probe: NetworkProbe, timeout: number): Promise<string | undefined> {
    const key = `try/${this.#tries++}`;
    const request: TryRequest = { kind: 'try', key, probe, timeout };
    return new Promise((resolve) => {
      const onResult = (failure: string | undefined) => {
        this.#wanted.delete(key);
        resolve(failure);
      };
      this.#wanted.set(key, { request, onResult });
      this.#send(request);
    });
  }

  remove(key: string): void {
    if (this.#wanted.delete(key)) this.#send({ kind: 'remove', key });
  }

  #start(): void {
    const log = openSync(programLogFile(this.#runtime.lab, 'prober', this.#node.name), 'a');
    const main = join(import.meta.dirname, 'main.ts');
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', main];
    const argv = hostArgv(netnsPath(this.#node.netns), join(this.#node.cgroup, 'kubelet'), node);
    const child = spawn(argv[0]!, argv.slice(1), {
      stdio: ['ignore', log, log, 'ipc'],
      env: { PATH: systemPath },
    });
    closeSync(log);
    this.#child = child;
    child.on('message', (message) => {
      const { key, failure } = message as ProberResult;
      this.#wanted.get(key)?.onResult(failure);
    });
    child.on('error', (e) => this.#runtime.log.error('prober', { node: this.#node.name, error: e.message }));
    child.on('exit', () => {
      this.#child = undefined;
      this.#runtime.log.warn('the prober ended; starting it again', { node: this.#node.name });
      this.#runtime.clock.after(restartDelay, () => this.#start());
    });
    for (const { request } of this.#wanted.values()) this.#send(request);
  }

  #send(request: ProberRequest): void {
    // A request that a dying prober loses is sent again by #start.
    this.#child?.send(request, () => undefined);
  }
}
