/** Our HTTP/2 against Node's (nghttp2), in both roles. */
import assert from 'node:assert/strict';
import { connect, createServer as createHttp2, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../../common/core/clock.ts';
import { DuplexStream } from '../../net/duplex-stream.ts';
import type { BodyReader, HeaderList, RequestHead, ResponseHead, ServerExchange } from '../message.ts';
import type { ServerHandler } from '../server-codec.ts';
import { Http2Client } from './client.ts';
import { Http2Server } from './server.ts';

const settings = {
  bytes: 60_000,
  count: 100,
  streams: 100,
  streamWindow: 65_535,
  connectionWindow: 1_048_576,
  headerTable: 4_096,
  keepalive: undefined,
};

interface Message {
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
  readonly trailers: readonly (readonly [string, string])[];
}

const name = fc.stringMatching(/^x-[a-z0-9-]{1,20}$/);
const value = fc.stringMatching(/^([!-~]([ -~]{0,60}[!-~])?)?$/);
const fields = fc.uniqueArray(fc.tuple(name, value), { maxLength: 12, selector: ([n]) => n });
const message: fc.Arbitrary<Message> = fc.record({
  headers: fields,
  body: fc.oneof(
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
    fc.integer({ min: 0, max: 300_000 }).map((n) => Buffer.alloc(n, 'some text ')),
  ),
  trailers: fields,
});

const listOf = (pairs: Message['headers']): string[] => pairs.flat();
const sorted = (list: HeaderList): string[] => {
  const pairs: string[] = [];
  for (let i = 0; i < list.length; i += 2) if (list[i]!.startsWith('x-')) pairs.push(`${list[i]}: ${list[i + 1]}`);
  return pairs.sort();
};
const ofNode = (headers: object): string[] =>
  Object.entries(headers)
    .filter(([n]) => n.startsWith('x-'))
    .map(([n, v]) => `${n}: ${v}`)
    .sort();
const ofPairs = (pairs: Message['headers']): string[] => pairs.map(([n, v]) => `${n}: ${v}`).sort();

class Body implements BodyReader {
  readonly chunks: Buffer[] = [];
  readonly #end: (trailers: HeaderList | undefined) => void;
  readonly #broke: (why: unknown) => void;

  constructor(end: (trailers: HeaderList | undefined) => void, broke: (why: unknown) => void) {
    this.#end = end;
    this.#broke = broke;
  }
  data(chunk: Buffer): void {
    this.chunks.push(chunk);
  }
  end(trailers: HeaderList | undefined): void {
    this.#end(trailers);
  }
  broke(why: unknown): void {
    this.#broke(why);
  }
  drained(): void {}
}

/** Answers each request with what it was, headers and trailers in the same names. */
const echo: ServerHandler = {
  exchange(exchange: ServerExchange) {
    const body = new Body(
      (trailers) => {
        exchange.respond({ status: 200, headers: onlyOurs(exchange.request.headers) }, false);
        for (const chunk of body.chunks) exchange.write(chunk);
        exchange.end(trailers);
      },
      () => undefined,
    );
    exchange.read(body);
    if (exchange.complete) exchange.respond({ status: 200, headers: onlyOurs(exchange.request.headers) }, true);
  },
  begun: () => undefined,
  idle: () => undefined,
  ending: () => undefined,
  malformed: (status) => ({ head: { status, headers: [] }, body: '' }),
  closed: () => undefined,
};

function onlyOurs(headers: HeaderList): string[] {
  const out: string[] = [];
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.startsWith('x-')) out.push(headers[i]!, headers[i + 1]!);
  return out;
}

async function listening(server: {
  listen(port: number, host: string, done: () => void): unknown;
  address(): unknown;
}) {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

describe("our HTTP/2 and Node's", () => {
  it('our server answers what its client asks, whole messages at a time, over one connection', async () => {
    const sockets: Socket[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket);
      new Http2Server(new DuplexStream(socket), { ...settings, connect: true }, systemClock, echo);
    });
    const session = connect(`http://127.0.0.1:${await listening(server)}`);
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 6 }), async (messages) => {
        await Promise.all(messages.map((m) => askNode(session, m)));
      }),
      { numRuns: 40 },
    );
    session.destroy();
    server.close();
    for (const socket of sockets) socket.destroy();
  });

  it('our client is answered by its server', async () => {
    const server = createHttp2();
    const sessions = new Set<Http2Session>();
    server.on('session', (session) => sessions.add(session));
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      const chunks: Buffer[] = [];
      let trailers: object = {};
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('trailers', (t: object) => {
        trailers = t;
      });
      stream.on('end', () => {
        const own = Object.fromEntries(Object.entries(headers).filter(([n]) => n.startsWith('x-')));
        stream.respond({ ...own, ':status': 200 }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ ...trailers }));
        stream.end(Buffer.concat(chunks));
      });
    });
    const port = await listening(server);
    const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
    const client = await new Promise<Http2Client>((resolve) => {
      const told = { allowed: () => undefined, draining: () => undefined, closed: () => undefined };
      const opened = () => resolve(made);
      const made: Http2Client = new Http2Client(new DuplexStream(socket), settings, 'http', systemClock, opened, told);
    });
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 6 }), async (messages) => {
        await Promise.all(messages.map((m) => askOurs(client, m)));
      }),
      { numRuns: 40 },
    );
    client.cut(new Error('done'));
    for (const session of sessions) session.destroy();
    server.close();
  });
});

function askNode(session: ReturnType<typeof connect>, { headers, body, trailers }: Message): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request(
      { ':method': 'POST', ':path': '/echo', ...Object.fromEntries(headers) },
      { waitForTrailers: true },
    );
    const chunks: Buffer[] = [];
    let head: object = {};
    let tail: object = {};
    stream.on('wantTrailers', () => stream.sendTrailers(Object.fromEntries(trailers)));
    stream.on('response', (h) => {
      head = h;
    });
    stream.on('trailers', (h: object) => {
      tail = h;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('end', () => {
      try {
        assert.deepEqual(ofNode(head), ofPairs(headers));
        assert.deepEqual(ofNode(tail), ofPairs(trailers));
        assert.ok(Buffer.concat(chunks).equals(body));
        resolve();
      } catch (error) {
        reject(error as Error);
      }
    });
    stream.end(body);
  });
}

function askOurs(client: Http2Client, { headers, body, trailers }: Message): Promise<void> {
  const head: RequestHead = {
    method: 'POST',
    path: '/echo',
    authority: 'a',
    scheme: 'http',
    headers: listOf(headers),
    upgrade: undefined,
    version: 'HTTP/2',
  };
  return new Promise((resolve, reject) => {
    let answered: ResponseHead | undefined;
    const into = new Body((tail) => {
      try {
        assert.deepEqual(sorted(answered!.headers), ofPairs(headers));
        assert.deepEqual(sorted(tail ?? []), ofPairs(trailers));
        assert.ok(Buffer.concat(into.chunks).equals(body));
        resolve();
      } catch (error) {
        reject(error as Error);
      }
    }, reject);
    const reader = Object.assign(into, {
      informational: () => undefined,
      response: (h: ResponseHead, end: boolean) => {
        answered = h;
        if (end) into.end(undefined);
      },
    });
    const exchange = client.request(head, false, reader);
    exchange.write(body);
    exchange.end(listOf(trailers));
  });
}
