/** The Envoy process, and its admin server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { MeshError } from '../../common/core/errors.ts';
import { request } from '../../common/core/node-http.ts';

export interface EnvoyStart {
  readonly binary: string;
  readonly bootstrapFile: string;
  /** 0: as many worker threads as there are CPUs. */
  readonly concurrency: number;
  readonly logLevel: string;
  readonly componentLogLevel: string | undefined;
  /** Seconds over which a graceful drain tells connections to go. */
  readonly drainSeconds: number;
  readonly adminPort: number;
}

export interface EnvoyExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export function envoyArguments(start: EnvoyStart): readonly string[] {
  return [
    ...['-c', start.bootstrapFile],
    ...['-l', start.logLevel],
    ...(start.componentLogLevel === undefined ? [] : ['--component-log-level', start.componentLogLevel]),
    ...(start.concurrency > 0 ? ['--concurrency', String(start.concurrency)] : []),
    ...['--drain-time-s', String(start.drainSeconds)],
    // One that goes and one that comes are two pods here: nothing is handed over by shared memory.
    '--disable-hot-restart',
    ...['--log-format', '%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t'],
  ];
}

export class Envoy {
  readonly #child: ChildProcess;
  readonly #adminPort: number;
  /** Resolves when the process has ended; rejects with MeshError CONFIG when it cannot be started. */
  readonly exited: Promise<EnvoyExit>;

  constructor(start: EnvoyStart) {
    this.#adminPort = start.adminPort;
    this.#child = spawn(start.binary, envoyArguments(start), { stdio: ['ignore', 'inherit', 'inherit'] });
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', (e) => reject(new MeshError('CONFIG', `Envoy cannot be started: ${e.message}`)));
      this.#child.once('exit', (code, signal) => resolve({ code, signal }));
    });
  }

  /** Of its admin server. Rejects while Envoy does not answer. */
  ask(method: 'GET' | 'POST', path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: this.#adminPort, method, path, timeout: adminPatience, agent: false };
      const call = request(options, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(parts).toString();
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`Envoy answers ${path} with ${response.statusCode}: ${text.slice(0, 200)}`));
        });
      });
      call.on('timeout', () => call.destroy(new Error(`Envoy does not answer ${path}`)));
      call.on('error', reject);
      call.end();
    });
  }

  /** Gauges and counters whose names match. Rejects while Envoy does not answer. */
  async stats(pattern: string): Promise<ReadonlyMap<string, number>> {
    const text = await this.ask('GET', `/stats?filter=${encodeURIComponent(pattern)}`);
    const lines = text.split('\n').map((line) => /^(.+): (\d+)$/.exec(line));
    return new Map(lines.flatMap((m) => (m === null ? [] : [[m[1]!, Number(m[2])] as const])));
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

/** Ms. Its main thread answers, which is busy while much configuration arrives. */
const adminPatience = 2_000;
