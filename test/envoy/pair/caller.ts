/** A client that comes to a waypoint as a node proxy does, by CONNECT in mutual TLS, and speaks HTTP/1.1 or HTTP/2 inside. Keeps one session. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { WorkloadCertificate } from '../../../common/identity/types.ts';
import { linesOf } from './lines.ts';

export interface Asked {
  /** Default GET. */
  readonly method?: string;
  readonly host: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Sent after the body. */
  readonly trailers?: Readonly<Record<string, string>>;
  /** Default `http1`. `websocket`: an upgrade, then bytes that come back. */
  readonly by?: 'http1' | 'http2' | 'websocket';
}

/** What a client sees. */
export interface Answer {
  /** 0: the connection ended without one. */
  readonly status: number;
  /** `name: value`, names in lower case, sorted. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
}

const nothing: Answer = { status: 0, headers: [], body: '', trailers: [] };

/** Tunnels of a session: each ends with a reset, and Envoy's nghttp2 ends a session of which 1,000 came at once, or more than 33 a second. */
const most = 500;

export class Caller implements Disposable {
  readonly #session: ClientHttp2Session;
  #asked = 0;

  constructor(port: number, certificate: WorkloadCertificate) {
    this.#session = connect(`https://127.0.0.1:${port}`, {
      cert: certificate.chain.join('\n'),
      key: certificate.privateKey,
      ca: certificate.roots.join('\n'),
      checkServerIdentity: () => undefined,
    });
    this.#session.on('error', () => undefined);
  }

  /** Another one has to take its place. */
  get isSpent(): boolean {
    return this.#session.closed || this.#session.destroyed || this.#asked >= most;
  }

  /** `destination`: `ip:port` of a service. */
  async ask(destination: string, asked: Asked): Promise<Answer> {
    this.#asked++;
    const tunnel = this.#session.request({ ':method': 'CONNECT', ':authority': destination });
    tunnel.on('error', () => undefined);
    try {
      const [response] = (await once(tunnel, 'response')) as [{ readonly ':status'?: number }];
      if (response[':status'] !== 200) return { ...nothing, status: response[':status'] ?? 0, body: 'of CONNECT' };
      return asked.by === 'http2' ? await byHttp2(tunnel, asked) : await byHttp1(tunnel, asked);
    } catch {
      // It was reset before an answer.
      return nothing;
    } finally {
      tunnel.destroy();
    }
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}

async function byHttp1(tunnel: ClientHttp2Stream, asked: Asked): Promise<Answer> {
  const { method = 'GET', host, path, headers = {}, body, trailers, by } = asked;
  const upgrade = by === 'websocket' ? websocket : {};
  const sent = request({
    createConnection: () => tunnel as unknown as Duplex as never,
    path,
    method,
    headers: { host, ...upgrade, ...headers, ...(trailers && { trailer: Object.keys(trailers).join() }) },
  });
  if (trailers) sent.addTrailers(trailers);
  const { promise, resolve } = Promise.withResolvers<Answer>();
  sent.on('error', () => resolve(nothing));
  sent.on('upgrade', (answer, _socket, head) => void upgraded(answer, tunnel, head).then(resolve));
  sent.on('response', (answer) => void read(answer).then(resolve));
  sent.end(body);
  return promise;
}

const websocket = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
};

async function read(answer: IncomingMessage): Promise<Answer> {
  let body = '';
  try {
    for await (const chunk of answer) body += String(chunk);
  } catch {
    body += ' (cut)';
  }
  return answered(answer, body);
}

/** Sends a word through, and takes what comes back for the body. */
async function upgraded(answer: IncomingMessage, tunnel: Duplex, head: Buffer): Promise<Answer> {
  tunnel.write('word');
  let body = head.toString('latin1');
  for await (const chunk of tunnel) {
    body += String(chunk);
    if (body.length >= 4) break;
  }
  return answered(answer, body);
}

function answered(answer: IncomingMessage, body: string): Answer {
  const [headers, trailers] = [linesOf(answer.rawHeaders), linesOf(answer.rawTrailers)];
  return { status: answer.statusCode ?? 0, headers, body, trailers };
}

async function byHttp2(tunnel: ClientHttp2Stream, asked: Asked): Promise<Answer> {
  const { method = 'GET', host, path, headers = {}, body, trailers } = asked;
  const session = connect(`http://${host}`, { createConnection: () => tunnel });
  session.on('error', () => undefined);
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const stream = session.request(
    { ':method': method, ':authority': host, ':path': path, ':scheme': 'http', ...headers },
    { endStream: body === undefined && trailers === undefined, waitForTrailers: trailers !== undefined },
  );
  let answer: Answer = nothing;
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
  stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
  stream.on('error', () => resolve(answer));
  stream.on('close', () => resolve(answer));
  if (body !== undefined || trailers !== undefined) stream.end(body);
  const result = await promise;
  session.destroy();
  return result;
}
