/**
 * Upstream servers that keep what they received, byte by byte but for the order and the case of headers, and answer as the request asks:
 * `x-echo-fail`, `x-echo-cut`, `x-echo-hang`: so many first attempts fail (with `x-echo-status`, default 503), are cut, never answered;
 * `x-echo-status` alone: always; `x-echo-grpc`: that grpc-status in the trailers; `x-echo-reply`: JSON of more response headers.
 * Requests to `*.tunnelled` and addresses of IPv6 are tunnels, by CONNECT or POST: what comes through them is served like the rest, but `refused.tunnelled` gets 403.
 */
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { byName, linesOf, textOf } from './lines.ts';

/** A request as a server got it. */
export interface Received {
  /** Of the server. */
  readonly pod: string;
  readonly protocol: 'HTTP/1.1' | 'HTTP/1.0' | 'HTTP/2';
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  /** All others as `name: value`, names in lower case, sorted; in HTTP/2 also `:scheme`. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
}

interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  /** undefined: no gRPC. */
  readonly grpcStatus: string | undefined;
}

type Action = Answer | { readonly kind: 'cut' } | { readonly kind: 'hang' };

export class Echoes implements AsyncDisposable {
  readonly #servers: Server[] = [];
  readonly #http2: Http2Server;
  readonly #sockets = new Set<Socket>();
  /** By `address:port`. */
  readonly #pods = new Map<string, string>();
  /** In the order of arrival. */
  #received: Received[] = [];

  constructor() {
    this.#http2 = createHttp2Server();
    this.#http2.on('stream', (stream: ServerHttp2Stream, _headers, _flags, raw) => this.#onStream(stream, raw));
    this.#http2.on('sessionError', () => undefined);
  }

  /** Answers HTTP/1.1 and HTTP/2 without TLS as that pod. */
  async listen(pod: string, address: string, port: number): Promise<void> {
    this.#pods.set(`${address}:${port}`, pod);
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => undefined);
      socket.once('data', (first: Buffer) => {
        if (first.toString('latin1', 0, 3) === 'PRI') {
          socket.pause();
          socket.unshift(first);
          this.#http2.emit('connection', socket);
        } else this.#serveHttp1(socket, first);
      });
    });
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject);
      server.listen(port, address, resolve);
    });
  }

  #podOf({ localAddress, localPort }: Pick<Socket, 'localAddress' | 'localPort'>): string {
    return this.#pods.get(`${localAddress}:${localPort}`) ?? '';
  }

  get received(): readonly Received[] {
    return this.#received;
  }

  /** Counts attempts anew. */
  clear(): void {
    this.#received = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  /** What to do with a request that has just been noted. */
  #note(received: Received): Action {
    this.#received.push(received);
    const asked = (name: string) => textOf(received.headers, `x-echo-${name}`);
    const isSame = (r: Received) => r.path === received.path && r.authority === received.authority;
    const attempt = this.#received.filter(isSame).length;
    if (attempt <= Number(asked('cut') ?? 0)) return { kind: 'cut' };
    if (attempt <= Number(asked('hang') ?? 0)) return { kind: 'hang' };
    const failing = attempt <= Number(asked('fail') ?? Number.POSITIVE_INFINITY);
    const status = failing ? Number(asked('status') ?? (asked('fail') === undefined ? 200 : 503)) : 200;
    const more = Object.entries(JSON.parse(asked('reply') ?? '{}') as Record<string, string>);
    const grpcStatus = failing ? asked('grpc') : asked('grpc') && '0';
    return { kind: 'answer', status, headers: [['x-upstream', 'yes'], ...more], grpcStatus };
  }

  #onStream(stream: ServerHttp2Stream, raw: readonly string[]): void {
    const pod = this.#podOf(stream.session!.socket);
    let [body, trailers]: [string, readonly string[]] = ['', []];
    stream.on('data', (chunk: Buffer) => {
      body += chunk.toString('latin1');
    });
    stream.on('trailers', (_all, _flags, rawTrailers: readonly string[]) => {
      trailers = linesOf(rawTrailers);
    });
    stream.on('error', () => undefined);
    stream.on('end', () => {
      const all = linesOf(raw);
      const of = (name: string) => textOf(all, name) ?? '';
      const action = this.#note({
        pod,
        protocol: 'HTTP/2',
        method: of(':method'),
        authority: of(':authority'),
        path: of(':path'),
        headers: all.filter((line) => !/^:(method|authority|path): /.test(line)),
        body,
        trailers,
      });
      if (action.kind === 'hang' || stream.destroyed) return;
      if (action.kind === 'cut') {
        stream.session?.destroy();
        return;
      }
      const { status, headers, grpcStatus } = action;
      const waitForTrailers = grpcStatus !== undefined;
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': grpcStatus!, 'x-trailer': 'end' }));
      stream.respond({ ':status': status, ...Object.fromEntries(headers) }, { waitForTrailers });
      stream.end(`${pod}\n`);
    });
  }

  #serveHttp1(socket: Socket, first: Buffer): void {
    const pod = this.#podOf(socket);
    let pending: Buffer = Buffer.alloc(0);
    let isUpgraded = false;
    /** Of a tunnel by POST. */
    let inChunks: ChunkReader | undefined;
    const onData = (chunk: Buffer) => {
      if (isUpgraded) {
        socket.write(chunk);
        return;
      }
      pending = Buffer.concat([pending, inChunks?.read(chunk) ?? chunk]);
      for (let next = readRequest(pending); next; next = readRequest(pending)) {
        pending = pending.subarray(next.length);
        const { upgrade, length: _, isTunnel, ...request } = next;
        const action = this.#note({ pod, ...request });
        if (action.kind === 'hang') return;
        if (action.kind === 'cut') {
          socket.destroy();
          return;
        }
        if (upgrade !== undefined && action.status === 200) {
          isUpgraded = true;
          socket.write(
            `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${upgrade}\r\nx-upstream: yes\r\n\r\n`,
          );
          return;
        }
        if (isTunnel && action.kind === 'answer') {
          const isRefused = request.authority.startsWith('refused.');
          socket.write(`HTTP/1.1 ${isRefused ? '403 No\r\ncontent-length: 9' : '200 Yes'}\r\n\r\n`);
          if (request.method === 'POST') inChunks = new ChunkReader();
          pending = inChunks?.read(pending) ?? pending;
          continue;
        }
        socket.write(answerText(pod, request.method, action));
      }
    };
    socket.on('data', onData);
    onData(first);
  }
}

function answerText(pod: string, method: string, { status, headers }: Answer): string {
  const body = `${pod}\n`;
  const own = headers.map(([n, v]) => `${n}: ${v}\r\n`).join('');
  const hasNone = status === 204 || status === 304;
  const length = hasNone ? '' : `content-length: ${body.length}\r\n`;
  return `HTTP/1.1 ${status} Echo\r\n${own}${length}\r\n${method === 'HEAD' || hasNone ? '' : body}`;
}

interface Parsed extends Omit<Received, 'pod'> {
  /** Bytes that it took. */
  readonly length: number;
  /** The protocol that it asks for. */
  readonly upgrade: string | undefined;
  readonly isTunnel: boolean;
}

/** undefined: not all of it has come. */
function readRequest(bytes: Buffer): Parsed | undefined {
  const text = bytes.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [start = '', ...fields] = text.slice(0, end).split('\r\n');
  const [method = '', path = '', protocol = ''] = start.split(' ');
  const headers = byName(fields);
  const of = (name: string) => textOf(headers, name);
  const at = end + 4;
  const isTunnel = /(\.tunnelled|\]):\d+$/.test(of('host') ?? '');
  const body = isTunnel
    ? { text: '', trailers: [], end: at }
    : of('transfer-encoding') === 'chunked'
      ? chunked(text, at)
      : plain(text, at, Number(of('content-length') ?? 0));
  if (body === undefined) return undefined;
  return {
    protocol: protocol as Received['protocol'],
    method,
    authority: of('host') ?? '',
    path,
    headers: headers.filter((line) => !line.startsWith('host: ')),
    body: body.text,
    trailers: body.trailers,
    length: body.end,
    isTunnel,
    upgrade: of('connection')?.toLowerCase() === 'upgrade' ? of('upgrade') : undefined,
  };
}

/** Of a body without an end. */
class ChunkReader {
  #pending: Buffer = Buffer.alloc(0);

  /** What the chunks hold that are whole. */
  read(bytes: Buffer): Buffer {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    const whole: Buffer[] = [];
    for (;;) {
      const line = this.#pending.indexOf('\r\n');
      if (line < 0) break;
      const size = Number.parseInt(this.#pending.toString('latin1', 0, line), 16);
      const end = line + 2 + size + 2;
      if (size === 0 || this.#pending.length < end) break;
      whole.push(this.#pending.subarray(line + 2, line + 2 + size));
      this.#pending = this.#pending.subarray(end);
    }
    return Buffer.concat(whole);
  }
}

interface Body {
  readonly text: string;
  readonly trailers: readonly string[];
  /** Offset behind it. */
  readonly end: number;
}

function plain(text: string, at: number, length: number): Body | undefined {
  return text.length < at + length ? undefined : { text: text.slice(at, at + length), trailers: [], end: at + length };
}

function chunked(text: string, from: number): Body | undefined {
  let [at, body] = [from, ''];
  for (;;) {
    const line = text.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = Number.parseInt(text.slice(at, line), 16);
    if (size === 0) {
      const end = text.indexOf('\r\n\r\n', line);
      if (end < 0) return undefined;
      const trailers = text
        .slice(line + 2, Math.max(line + 2, end))
        .split('\r\n')
        .filter((l) => l !== '');
      return { text: body, trailers: byName(trailers), end: end + 4 };
    }
    body += text.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
    if (text.length < at) return undefined;
  }
}
