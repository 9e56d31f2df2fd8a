/** `bin/waypoint --bootstrap` as a process of its own, asked by the same admin interface as Envoy (test/harness/envoy.ts). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../common/testing/until.ts';
import type { Bootstrap } from './envoy.ts';

export class WaypointProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;
  #log = '';

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk) => {
        this.#log = (this.#log + String(chunk)).slice(-100_000);
      });
    }
  }

  /** Resolves when its listeners accept. Throws with what it wrote when it ends before. */
  static async start(bootstrap: Bootstrap): Promise<WaypointProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'aq-waypoint-'));
    const file = join(folder, 'bootstrap.json');
    const admin = { address: { pipe: { path: join(folder, 'admin') } } };
    writeFileSync(file, JSON.stringify({ ...bootstrap, admin }));
    const program = join(import.meta.dirname, '../../bin/waypoint');
    const child = spawn(program, ['--bootstrap', file], { stdio: ['ignore', 'pipe', 'pipe'] });
    const waypoint = new WaypointProcess(child, folder);
    try {
      await until(
        'the waypoint is live',
        async () => !waypoint.runs || (await waypoint.admin('/ready')).startsWith('LIVE'),
      );
      if (!waypoint.runs) throw new Error(`the waypoint ended with ${child.exitCode}:\n${waypoint.log}`);
      return waypoint;
    } catch (e) {
      await waypoint.stop();
      throw e;
    }
  }

  get runs(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The end of what it wrote. */
  get log(): string {
    return this.#log;
  }

  admin(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: join(this.#folder, 'admin'), path, agent: false }, (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          text += chunk;
        });
        answer.on('error', reject);
        answer.on('end', () => resolve(text));
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  /** The port that a listener with `port_value: 0` got. */
  port(listener: string): Promise<number> {
    return until(`a port of listener ${listener}`, async () => {
      const said = JSON.parse(await this.admin('/listeners?format=json')) as ListenersAnswer;
      return said.listener_statuses.find((l) => l.name === listener)?.local_address?.socket_address.port_value;
    });
  }

  /** Ends it without a word. */
  async stop(): Promise<void> {
    if (this.runs) {
      const gone = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

interface ListenersAnswer {
  readonly listener_statuses: readonly {
    readonly name: string;
    readonly local_address?: { readonly socket_address: { readonly port_value: number } };
  }[];
}
