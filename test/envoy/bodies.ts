/** Envoy and our waypoint before a server that answers as each question says: whole messages, with bodies and trailers, both ways. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import {
  connect,
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { typeUrl } from '../../common/envoy/codec.ts';
import { until } from '../../common/testing/until.ts';
import { httpListener, Rig, router } from '../../waypoint/testing/rig.ts';
import { Envoy } from '../harness/envoy.ts';
import { linesOf } from './pair/lines.ts';

type Json = Readonly<Record<string, unknown>>;

/** A listener with these filters before the server. */
export interface BodySite {
  readonly name: string;
  /** In front of the router. */
  readonly filters: readonly Json[];
  /** What the server speaks. Default `http1`. */
  readonly upstream?: 'http1' | 'http2';
  readonly routes?: readonly Json[];
  readonly manager?: Json;
}

type Headers = Readonly<Record<string, string>>;

export interface Message {
  readonly headers?: Headers;
  /** Each written by itself. */
  readonly chunks?: readonly (string | Buffer)[];
  readonly trailers?: Headers;
}

export interface Answer extends Message {
  readonly status?: number;
  /** Of HTTP/2: it ends with its head. */
  readonly headOnly?: boolean;
}

export interface Question extends Message {
  readonly method?: string;
  readonly path?: string;
  /** What the server answers. Default: 200 with an empty body. */
  readonly answer?: Answer;
  /** Default `http1`. */
  readonly by?: 'http1' | 'http2';
}

export interface Seen {
  readonly headers: readonly string[];
  /** latin1. */
  readonly body: string;
  readonly trailers: readonly string[];
}

export interface Outcome extends Seen {
  readonly status: number;
  /** What the server got. */
  readonly received: (Seen & { readonly method: string; readonly path: string }) | undefined;
}

export type Side = 'envoy' | 'ours';

export class Bodies implements AsyncDisposable {
  readonly #envoy: Envoy;
  readonly #rig: Rig;
  readonly #servers: readonly (Server | Http2Server)[];
  readonly #sockets: Set<Socket>;
  readonly #questions: Map<string, Question>;
  readonly #received: Map<string, Outcome['received']>;
  #asked = 0;

  private constructor(
    envoy: Envoy,
    rig: Rig,
    servers: readonly (Server | Http2Server)[],
    sockets: Set<Socket>,
    questions: Map<string, Question>,
    received: Map<string, Outcome['received']>,
  ) {
    this.#envoy = envoy;
    this.#rig = rig;
    this.#servers = servers;
    this.#sockets = sockets;
    this.#questions = questions;
    this.#received = received;
  }

  /** `more`: other clusters, in JSON. */
  static async start(sites: readonly BodySite[], more: readonly Json[] = []): Promise<Bodies> {
    const questions = new Map<string, Question>();
    const received = new Map<string, Outcome['received']>();
    const serve = async (asked: IncomingMessage | Http2ServerRequest, answer: unknown) => {
      const id = String(asked.headers['x-id']);
      let body = '';
      try {
        for await (const chunk of asked) body += (chunk as Buffer).toString('latin1');
      } catch {
        return;
      }
      received.set(id, {
        method: asked.method ?? '',
        path: asked.url ?? '',
        headers: important(linesOf(asked.rawHeaders).filter((line) => !line.startsWith(':'))),
        body,
        trailers: linesOf(asked.rawTrailers),
      });
      await write(answer as Http2ServerResponse, questions.get(id)?.answer ?? {});
    };
    const servers = { http1: createServer(serve), http2: createHttp2Server(serve) };
    const sockets = new Set<Socket>();
    for (const server of Object.values(servers)) {
      server.on('connection', (socket: Socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    const clusters = [
      ...sites.map(({ name, upstream = 'http1' }) => ({
        name,
        ...clusterTo((servers[upstream].address() as AddressInfo).port, name, upstream),
      })),
      ...more,
    ];
    const listeners = sites.map(({ name, filters, routes, manager }) =>
      httpListener(name, routes ?? [{ match: { prefix: '/' }, route: { cluster: name } }], {
        http_filters: [...filters, router],
        http_protocol_options: { enable_trailers: true },
        ...manager,
      }),
    );
    const envoy = await Envoy.start({ static_resources: { listeners, clusters } });
    const rig = new Rig();
    for (const cluster of clusters) rig.good('cluster', cluster);
    for (const listener of listeners) rig.good('listener', listener);
    return new Bodies(envoy, rig, Object.values(servers), sockets, questions, received);
  }

  async ask(side: Side, site: string, question: Question): Promise<Outcome> {
    const id = String(++this.#asked);
    this.#questions.set(id, question);
    const port = side === 'envoy' ? await this.#envoy.port(site) : await this.#rig.port(site);
    const { method = 'POST', path = '/', headers = {} } = question;
    const asked = { ...question, method, path, headers: { ...headers, 'x-id': id } };
    const seen = question.by === 'http2' ? await byHttp2(port, asked) : await byHttp1(port, asked);
    return { ...seen, headers: important(seen.headers), received: this.#received.get(id) };
  }

  /** The `x-id` of the question that was asked last. */
  get lastId(): number {
    return this.#asked;
  }

  /** Throws where the two differ. `level`: takes away what may. */
  async compare(site: string, questions: readonly Question[], level = (outcome: Outcome): object => outcome) {
    for (const question of questions) {
      const [envoy, ours] = await Promise.all([this.ask('envoy', site, question), this.ask('ours', site, question)]);
      const told = JSON.stringify(question, (_k, value) => value);
      assert.deepEqual(
        level({ ...ours, received: withoutId(ours.received) }),
        level({ ...envoy, received: withoutId(envoy.received) }),
        `${site}: ${told.slice(0, 2_000)}`,
      );
    }
  }

  /** Lines `name: value` of both that match, once they are the same, or as they differ. */
  async stats(pattern: RegExp): Promise<Readonly<Record<Side, readonly string[]>>> {
    const of = (text: string) => text.split('\n').filter((line) => pattern.test(line) && !line.includes('histogram'));
    const read = async () => ({
      envoy: of(await this.#envoy.admin('/stats?usedonly')).sort(),
      ours: of(this.#rig.runtime.stats.text((name) => pattern.test(name)))
        .filter((line) => !line.endsWith(': 0'))
        .sort(),
    });
    let last = await read();
    await until(
      'the same statistics',
      async () => {
        last = await read();
        return JSON.stringify(last.envoy) === JSON.stringify(last.ours);
      },
      5_000,
    ).catch(() => undefined);
    return last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rig[Symbol.asyncDispose]();
    await this.#envoy.stop();
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
  }
}

/** More of a cluster of one host on loopback. */
export function clusterTo(port: number, name: string, speaks: 'http1' | 'http2'): Json {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config:
          speaks === 'http2' ? { http2_protocol_options: {} } : { http_protocol_options: { enable_trailers: true } },
      },
    },
  };
}

/** A chunk by itself: the next one comes in another turn. */
async function turn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

async function write(answer: Http2ServerResponse, message: Answer): Promise<void> {
  const { status = 200, headers = {}, chunks = [], trailers, headOnly = false } = message;
  if (headOnly) {
    answer.stream.respond({ ':status': status, ...headers }, { endStream: true });
    return;
  }
  const declared = trailers && !('stream' in answer) ? { trailer: Object.keys(trailers).join() } : {};
  answer.writeHead(status, { ...headers, ...declared });
  for (const chunk of chunks) {
    answer.write(chunk);
    await turn();
  }
  if (trailers) answer.addTrailers(trailers);
  answer.end();
}

type Asked = Question & { readonly method: string; readonly path: string; readonly headers: Headers };

const nothing: Seen & { readonly status: number } = { status: 0, headers: [], body: '', trailers: [] };

async function byHttp1(port: number, asked: Asked): Promise<Seen & { readonly status: number }> {
  const { method, path, headers, chunks = [], trailers } = asked;
  const declared = trailers ? { trailer: Object.keys(trailers).join(), 'transfer-encoding': 'chunked' } : {};
  const { promise, resolve } = Promise.withResolvers<Seen & { readonly status: number }>();
  const sent = request({ host: '127.0.0.1', port, method, path, headers: { ...headers, ...declared }, agent: false });
  sent.on('error', () => resolve(nothing));
  sent.on('response', (answer) => {
    let body = '';
    answer.on('error', () => undefined);
    answer.on('data', (chunk: Buffer) => {
      body += chunk.toString('latin1');
    });
    answer.on('close', () =>
      resolve({
        status: answer.statusCode ?? 0,
        headers: linesOf(answer.rawHeaders),
        body: answer.complete ? body : `${body} (broken off)`,
        trailers: linesOf(answer.rawTrailers),
      }),
    );
  });
  for (const chunk of chunks) {
    sent.write(chunk);
    await turn();
  }
  if (trailers) sent.addTrailers(trailers);
  sent.end();
  return promise;
}

async function byHttp2(port: number, asked: Asked): Promise<Seen & { readonly status: number }> {
  const { method, path, headers, chunks = [], trailers } = asked;
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  const bodyless = chunks.length === 0 && !trailers;
  const stream = session.request(
    { ':method': method, ':path': path, ...headers },
    { endStream: bodyless, waitForTrailers: trailers !== undefined },
  );
  stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
  let answer = nothing;
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.on('response', (all, _flags, raw: readonly string[]) => {
    const own = linesOf(raw).filter((line) => !line.startsWith(':'));
    answer = { ...answer, status: all[':status'] ?? 0, headers: own };
  });
  stream.on('data', (chunk: Buffer) => {
    answer = { ...answer, body: answer.body + chunk.toString('latin1') };
  });
  stream.on('trailers', (_all, _flags, raw: readonly string[]) => {
    answer = { ...answer, trailers: linesOf(raw) };
  });
  stream.on('error', () => {
    answer = { ...answer, body: `${answer.body} (broken off)` };
  });
  stream.on('close', () => resolve());
  if (!bodyless) {
    for (const chunk of chunks) {
      stream.write(chunk);
      await turn();
    }
    stream.end();
  }
  await promise;
  session.destroy();
  return answer;
}

/** Of the connection, of time, of this harness. */
const unimportant =
  /^(date|server|connection|keep-alive|transfer-encoding|trailer|x-envoy-upstream-service-time|x-request-id|x-envoy-expected-rq-timeout-ms|:authority|host|x-forwarded-for|x-forwarded-proto|x-envoy-internal): /;

function important(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => !unimportant.test(line));
}

function withoutId(received: Outcome['received']): Outcome['received'] {
  return received && { ...received, headers: received.headers.filter((line) => !line.startsWith('x-id: ')) };
}
