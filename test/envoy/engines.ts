/** Envoy and our waypoint with the same listeners and clusters before the same server, which does what a request's path says. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { typeUrl } from '../../common/envoy/codec.ts';
import { httpListener, Rig } from '../../waypoint/testing/rig.ts';
import { Envoy } from '../harness/envoy.ts';
import type { Counters } from './pair/stats.ts';

type Json = Readonly<Record<string, unknown>>;

/** One listener before one cluster, in proto3's JSON. */
export interface EngineSite {
  readonly name: string;
  readonly routes?: readonly Json[];
  readonly manager?: Json;
  readonly listener?: Json;
  /** More of the cluster, which has the name of the site. */
  readonly cluster?: Json;
}

export interface EngineAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** Names as they were written. */
  readonly names: readonly string[];
  readonly body: string;
  /** Requests that the server has seen of this one. */
  readonly tries: number;
}

/**
 * Steps of a path, one a try, the last for all further ones: a status, with headers `503;retry-after=1`; `stall` never answers, `head`
 * sends a head and stalls.
 */
export class Engines implements AsyncDisposable {
  readonly #servers: readonly Server[];
  readonly #envoy: Envoy;
  readonly #rig: Rig;
  readonly #tries: Map<string, number>;
  readonly #log: string;
  #asked = 0;

  private constructor(servers: readonly Server[], envoy: Envoy, rig: Rig, tries: Map<string, number>, log: string) {
    this.#servers = servers;
    this.#envoy = envoy;
    this.#rig = rig;
    this.#tries = tries;
    this.#log = log;
  }

  static async start(make: (log: string) => readonly EngineSite[], bootstrap: Json = {}): Promise<Engines> {
    const log = join(mkdtempSync(join(tmpdir(), 'aq-engines-')), 'log');
    const sites = make(log);
    const tries = new Map<string, number>();
    const server = createServer((asked, answer) => serve(asked, answer, tries));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const port = (server.address() as AddressInfo).port;
    const listeners = sites.map(({ name, routes, manager, listener }) => {
      const to = routes ?? [{ match: { prefix: '/' }, route: { cluster: name } }];
      const { address, ...rest } = httpListener(name, to, manager, listener);
      // One inside has none.
      return 'internal_listener' in rest ? rest : { address, ...rest };
    });
    const address = { socket_address: { address: '127.0.0.1', port_value: port } };
    const clusters = sites.map(({ name, cluster }) => ({
      name,
      type: 'STATIC',
      load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
      ...cluster,
    }));
    const envoy = await Envoy.start({ ...bootstrap, static_resources: { listeners, clusters } });
    const rig = new Rig();
    for (const cluster of clusters) rig.good('cluster', cluster);
    for (const listener of listeners) rig.good('listener', listener);
    return new Engines([server], envoy, rig, tries, log);
  }

  /** What each answers. */
  async ask(
    site: string,
    path: string,
    options: Json = {},
  ): Promise<readonly [envoy: EngineAnswer, ours: EngineAnswer]> {
    return Promise.all([
      this.#ask(await this.#envoy.port(site), path, options),
      this.#ask(await this.#rig.port(site), path, options),
    ]);
  }

  /** Counters that match, of each. */
  async stats(filter: RegExp): Promise<readonly [envoy: Counters, ours: Counters]> {
    const pick = (text: string): Counters =>
      new Map(
        [...text.matchAll(/^(\S+): (\d+)$/gm)].flatMap(([, name, value]) =>
          filter.test(name!) ? [[name!, Number(value)] as const] : [],
        ),
      );
    return [pick(await this.#envoy.admin('/stats')), pick(this.#rig.runtime.stats.text(() => true))];
  }

  /** What comes for these bytes until each closes the connection. */
  async raw(site: string, bytes: string): Promise<readonly [envoy: string, ours: string]> {
    return Promise.all([
      this.#rig.raw(await this.#envoy.port(site), bytes),
      this.#rig.raw(await this.#rig.port(site), bytes),
    ]);
  }

  /** Lines that access logs of `logTo` have, in the order of their text. Ends Envoy, which writes its log out then. */
  async lines(): Promise<readonly [envoy: readonly string[], ours: readonly string[]]> {
    await this.#envoy.stop();
    const envoys = existsSync(this.#log) ? readFileSync(this.#log, 'utf8').split('\n') : [];
    return [envoys.filter((line) => line !== '').sort(), this.#rig.lines.map((line) => line.trimEnd()).sort()];
  }

  #ask(port: number, path: string, { headers, ...options }: Json): Promise<EngineAnswer> {
    const id = String(++this.#asked);
    const about = { host: '127.0.0.1', port, path, agent: false, ...options };
    return new Promise((resolve, reject) => {
      let answered = false;
      const asked = request({ ...about, headers: { ...(headers as object), 'x-id': id } }, (answer) => {
        answered = true;
        let body = '';
        // A broken answer is one that is not complete.
        answer.on('error', () => undefined);
        answer.setEncoding('latin1');
        answer.on('data', (chunk: string) => {
          body += chunk;
        });
        const done = () =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            names: answer.rawHeaders.filter((_, i) => i % 2 === 0),
            body: answer.complete ? body : `${body} (broken off)`,
            tries: this.#tries.get(id) ?? 0,
          });
        answer.on('close', done);
      });
      asked.on('error', (e) => {
        if (!answered) reject(new Error(`${port} ${path} ${JSON.stringify(headers)}: ${e.message}`));
      });
      asked.end();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#envoy.stop();
    await this.#rig[Symbol.asyncDispose]();
    rmSync(dirname(this.#log), { recursive: true, force: true });
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }
}

function serve(asked: IncomingMessage, answer: ServerResponse, tries: Map<string, number>): void {
  const id = String(asked.headers['x-id']);
  const before = tries.get(id) ?? 0;
  tries.set(id, before + 1);
  const steps = decodeURIComponent(asked.url!.slice(1).split('?')[0]!).split(',');
  const step = steps[Math.min(before, steps.length - 1)]!;
  if (step === 'stall') return;
  const [status, ...headers] = step === 'head' ? ['200'] : step.split(';');
  answer.writeHead(Number(status), Object.fromEntries(headers.map((text) => text.split('='))));
  if (step === 'head') answer.write('first');
  else if (headers.some((text) => text.startsWith('grpc-status'))) answer.end();
  else answer.end(JSON.stringify(asked.rawHeaders));
}

/** An HTTP filter, or a transport socket and the like. */
export function named(name: string, type: string, config: Json = {}): Json {
  return { name, typed_config: { '@type': typeUrl(type), ...config } };
}

/** An access log to what `Engines.start` gives. */
export function logTo(path: string, format: string): Json {
  return named('log', 'envoy.extensions.access_loggers.file.v3.FileAccessLog', {
    path,
    log_format: { text_format_source: { inline_string: `${format}\n` } },
  });
}
