/**
 * A suite of WebSocket (RFC 6455) for what stands between two ends: handshakes and frames, byte for byte. Autobahn's needs a Python that
 * is no more.
 *
 *   websocket.ts serve PORT
 *   websocket.ts run HOST:PORT    a line `ok NAME` for each case; exit code 1 at the first that fails
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

interface Frame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly payload: Buffer;
}

const [text, binary, closing, ping, pong] = [1, 2, 8, 9, 10] as const;
const acceptOf = (key: string) =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

function encode(opcode: number, payload: Buffer, { fin = true, mask = false } = {}): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | opcode;
  head[1] = (mask ? 0x80 : 0) | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (length >= 65_536) head.writeBigUInt64BE(BigInt(length), 2);
  else if (length >= 126) head.writeUInt16BE(length, 2);
  if (!mask) return Buffer.concat([head, payload]);
  const key = randomBytes(4);
  return Buffer.concat([head, key, masked(payload, key)]);
}

function masked(payload: Buffer, key: Buffer): Buffer {
  const out = Buffer.from(payload);
  for (let i = 0; i < out.length; i++) out[i] = out[i]! ^ key[i & 3]!;
  return out;
}

/** Bytes of one direction, taken as somebody needs them. */
class Reader {
  #bytes = Buffer.alloc(0);
  #ended = false;
  #wake = Promise.withResolvers<void>();

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake.resolve();
    });
    for (const event of ['end', 'close', 'error'])
      socket.on(event, () => {
        this.#ended = true;
        this.#wake.resolve();
      });
  }

  async #more(): Promise<void> {
    if (this.#ended) throw new Error('the connection ended');
    await this.#wake.promise;
    this.#wake = Promise.withResolvers();
  }

  async take(count: number): Promise<Buffer> {
    while (this.#bytes.length < count) await this.#more();
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** All that is there, at least a byte. */
  async some(): Promise<Buffer> {
    while (this.#bytes.length === 0) await this.#more();
    return this.take(this.#bytes.length);
  }

  /** Up to an empty line. */
  async head(): Promise<string> {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n\r\n');
      if (end >= 0) return (await this.take(end + 4)).toString('latin1');
      await this.#more();
    }
  }

  async frame(): Promise<Frame> {
    const head = await this.take(2);
    const short = head[1]! & 0x7f;
    const length =
      short === 126
        ? (await this.take(2)).readUInt16BE()
        : short === 127
          ? Number((await this.take(8)).readBigUInt64BE())
          : short;
    const key = head[1]! & 0x80 ? await this.take(4) : undefined;
    const payload = await this.take(length);
    return { opcode: head[0]! & 0x0f, fin: (head[0]! & 0x80) !== 0, payload: key ? masked(payload, key) : payload };
  }

  async ended(): Promise<void> {
    while (!this.#ended) {
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
  }
}

function headerOf(head: string, name: string): string | undefined {
  return new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'im').exec(head)?.[1];
}

function serve(port: number): void {
  createServer((socket) => {
    socket.on('error', () => undefined);
    void converse(socket).catch(() => socket.destroy());
  }).listen(port, '::', () => process.stdout.write('serving\n'));
}

async function converse(socket: Socket): Promise<void> {
  const reader = new Reader(socket);
  const head = await reader.head();
  const path = /^GET (\S+)/.exec(head)?.[1] ?? '/';
  const key = headerOf(head, 'sec-websocket-key');
  const plain = (status: string, body: string) =>
    socket.end(`HTTP/1.1 ${status}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
  if (path === '/refuse') return void plain('403 Forbidden', 'no');
  if (key === undefined || headerOf(head, 'upgrade')?.toLowerCase() !== 'websocket')
    return void plain('400 Bad Request', 'no key');
  const offered = headerOf(head, 'sec-websocket-protocol')?.split(/,\s*/) ?? [];
  const more = [
    ...(offered.length > 0 ? [`sec-websocket-protocol: ${offered.at(-1)}`] : []),
    `x-extensions: ${headerOf(head, 'sec-websocket-extensions') ?? 'none'}`,
  ];
  const answer = `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${acceptOf(key)}\r\n${more.join('\r\n')}\r\n\r\n`;
  // In one write: what comes right behind the answer must not be lost.
  if (path === '/greet') socket.write(Buffer.concat([Buffer.from(answer), encode(text, Buffer.from('hello'))]));
  else socket.write(answer);
  if (path === '/large') socket.write(encode(binary, largeBody));
  if (path === '/raw') for (;;) socket.write(await reader.some());
  if (path.startsWith('/close/')) {
    const code = Buffer.alloc(2);
    code.writeUInt16BE(Number(path.slice('/close/'.length)));
    socket.write(encode(closing, code));
  }
  for (;;) {
    const { opcode, fin, payload } = await reader.frame();
    if (path === '/abort') return void socket.resetAndDestroy();
    if (opcode === ping) socket.write(encode(pong, payload));
    else if (opcode === closing) return void socket.end(path === '/echo' ? encode(closing, payload) : '');
    else if (opcode !== pong) socket.write(encode(opcode, payload, { fin }));
  }
}

const largeBody = Buffer.alloc(8 * 1024 * 1024, 'aquifer ');

class Client {
  readonly socket: Socket;
  readonly reader: Reader;
  head = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    this.reader = new Reader(socket);
  }

  static async open(
    target: string,
    path: string,
    headers: readonly string[] = [],
    early: Uint8Array = Buffer.alloc(0),
  ): Promise<Client> {
    const [host, port] = target.split(':');
    const socket = connect({ host: host!, port: Number(port) });
    socket.on('error', () => undefined);
    const client = new Client(socket);
    await once(socket, 'connect');
    const key = randomBytes(16).toString('base64');
    const own = headers.some((h) => h.startsWith('!')) ? [] : [`sec-websocket-key: ${key}`];
    const lines = [
      `GET ${path} HTTP/1.1`,
      `host: ${host}`,
      'connection: Upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      ...own,
      ...headers.filter((h) => !h.startsWith('!')),
    ];
    socket.write(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), early]));
    client.head = await client.reader.head();
    if (client.status === 101) same(headerOf(client.head, 'sec-websocket-accept'), acceptOf(key));
    return client;
  }

  get status(): number {
    return Number(/^HTTP\/1\.1 (\d+)/.exec(this.head)?.[1]);
  }

  send(opcode: number, payload: Buffer | string, fin = true): void {
    this.socket.write(encode(opcode, Buffer.from(payload), { fin, mask: true }));
  }

  async expect(opcode: number, payload: Buffer | string, fin = true): Promise<void> {
    const frame = await this.reader.frame();
    same([frame.opcode, frame.fin, frame.payload.length], [opcode, fin, Buffer.byteLength(payload)]);
    same(frame.payload.equals(Buffer.from(payload)), true);
  }
}

function same(seen: unknown, wanted: unknown): void {
  if (!isDeepStrictEqual(seen, wanted))
    throw new Error(`saw ${JSON.stringify(seen)}, expected ${JSON.stringify(wanted)}`);
}

interface Case {
  readonly name: string;
  run(target: string): Promise<void>;
}

const echo = (target: string, headers?: readonly string[], early: Uint8Array = Buffer.alloc(0)) =>
  Client.open(target, '/echo', headers, early);
const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 1_048_576];
const closeCode = (code: number) => Buffer.from([code >> 8, code & 0xff]);

const cases: readonly Case[] = [
  ...(
    [
      ['text', text],
      ['binary', binary],
    ] as const
  ).flatMap(([kind, opcode]) =>
    sizes.map((size) => ({
      name: `${kind} of ${size} bytes`,
      async run(target: string) {
        const client = await echo(target);
        const payload = Buffer.alloc(size, 'x');
        client.send(opcode, payload);
        await client.expect(opcode, payload);
        client.socket.destroy();
      },
    })),
  ),
  {
    name: 'a frame in writes of 997 bytes',
    async run(target) {
      const client = await echo(target);
      const payload = randomBytes(65_536);
      const bytes = encode(binary, payload, { mask: true });
      for (let at = 0; at < bytes.length; at += 997) client.socket.write(bytes.subarray(at, at + 997));
      await client.expect(binary, payload);
      client.socket.destroy();
    },
  },
  {
    name: 'a message in three frames',
    async run(target) {
      const client = await echo(target);
      client.send(text, 'a', false);
      client.send(0, 'b', false);
      client.send(0, 'c');
      await client.expect(text, 'a', false);
      await client.expect(0, 'b', false);
      await client.expect(0, 'c');
      client.socket.destroy();
    },
  },
  {
    name: 'a ping between the frames of a message',
    async run(target) {
      const client = await echo(target);
      client.send(text, 'a', false);
      client.send(ping, 'p');
      client.send(0, 'b');
      await client.expect(text, 'a', false);
      await client.expect(pong, 'p');
      await client.expect(0, 'b');
      client.socket.destroy();
    },
  },
  ...[0, 1, 125].map((size) => ({
    name: `a ping of ${size} bytes`,
    async run(target: string) {
      const client = await echo(target);
      client.send(ping, Buffer.alloc(size, 'p'));
      await client.expect(pong, Buffer.alloc(size, 'p'));
      client.socket.destroy();
    },
  })),
  {
    name: 'a pong that nobody asked for',
    async run(target) {
      const client = await echo(target);
      client.send(pong, 'x');
      client.send(text, 'y');
      await client.expect(text, 'y');
      client.socket.destroy();
    },
  },
  {
    name: '1,000 messages one behind the other, in order',
    async run(target) {
      const client = await echo(target);
      for (let i = 0; i < 1_000; i++) client.send(text, `message ${i}`);
      for (let i = 0; i < 1_000; i++) await client.expect(text, `message ${i}`);
      client.socket.destroy();
    },
  },
  {
    name: '8 MiB each way at once',
    async run(target) {
      const client = await Client.open(target, '/large');
      client.send(binary, largeBody);
      await client.expect(binary, largeBody);
      await client.expect(binary, largeBody);
      client.socket.destroy();
    },
  },
  ...[1000, 1001, 1011, 3000, 4999].map((code) => ({
    name: `the client closes with ${code}`,
    async run(target: string) {
      const client = await echo(target);
      client.send(closing, closeCode(code));
      await client.expect(closing, closeCode(code));
      await client.reader.ended();
    },
  })),
  ...[1000, 1012, 4000].map((code) => ({
    name: `the server closes with ${code}`,
    async run(target: string) {
      const client = await Client.open(target, `/close/${code}`);
      await client.expect(closing, closeCode(code));
      client.send(closing, closeCode(code));
      await client.reader.ended();
    },
  })),
  {
    name: 'the server is gone without a word',
    async run(target) {
      const client = await Client.open(target, '/abort');
      client.send(text, 'x');
      await client.reader.ended();
    },
  },
  {
    name: 'a message right behind the answer',
    async run(target) {
      const client = await Client.open(target, '/greet');
      await client.expect(text, 'hello');
      client.socket.destroy();
    },
  },
  {
    name: 'a message right behind the request',
    async run(target) {
      const client = await echo(target, [], encode(text, Buffer.from('early'), { mask: true }));
      await client.expect(text, 'early');
      client.socket.destroy();
    },
  },
  {
    name: 'a subprotocol is chosen by the server',
    async run(target) {
      const client = await echo(target, ['sec-websocket-protocol: a, b']);
      same(headerOf(client.head, 'sec-websocket-protocol'), 'b');
      client.socket.destroy();
    },
  },
  {
    name: 'extensions that are offered arrive, and none is invented',
    async run(target) {
      const offering = await echo(target, ['sec-websocket-extensions: permessage-deflate; client_max_window_bits']);
      same(headerOf(offering.head, 'x-extensions'), 'permessage-deflate; client_max_window_bits');
      const none = await echo(target);
      same(headerOf(none.head, 'x-extensions'), 'none');
      same(headerOf(none.head, 'sec-websocket-extensions'), undefined);
      for (const client of [offering, none]) client.socket.destroy();
    },
  },
  {
    name: 'a handshake that the server refuses',
    async run(target) {
      const client = await Client.open(target, '/refuse');
      same(client.status, 403);
      same((await client.reader.take(2)).toString(), 'no');
      client.socket.destroy();
    },
  },
  {
    name: 'a handshake without a key is the server’s to refuse',
    async run(target) {
      const client = await echo(target, ['!no key']);
      same(client.status, 400);
      client.socket.destroy();
    },
  },
  ...[
    ['a reserved opcode', Buffer.from([0x83, 0x00])],
    ['reserved bits', Buffer.from([0xf1, 0x01, 0x61])],
    ['a frame that is not masked', encode(text, Buffer.from('bare'))],
    ['a length that is longer than it need be', Buffer.from([0x81, 126, 0, 1, 0x61])],
    ['4 KiB of no frames at all', randomBytes(4_096)],
  ].map(([name, bytes]) => ({
    name: `${name as string} passes as it is`,
    async run(target: string) {
      const client = await Client.open(target, '/raw');
      client.socket.write(bytes as Buffer);
      same((await client.reader.take((bytes as Buffer).length)).equals(bytes as Buffer), true);
      client.socket.destroy();
    },
  })),
  {
    name: 'a connection that was silent for 3 s',
    async run(target) {
      const client = await echo(target);
      await delay(3_000);
      client.send(text, 'still here');
      await client.expect(text, 'still here');
      client.socket.destroy();
    },
  },
];

async function run(target: string): Promise<void> {
  for (const { name, run: attempt } of cases) {
    const late = new AbortController();
    const timeout = delay(20_000, undefined, { signal: late.signal }).then(() => {
      throw new Error('no end after 20 s');
    });
    timeout.catch(() => undefined);
    try {
      await Promise.race([attempt(target), timeout]);
    } catch (e) {
      process.stderr.write(`${name}: ${(e as Error).message}\n`);
      process.exit(1);
    }
    late.abort();
    process.stdout.write(`ok ${name}\n`);
  }
  process.exit(0);
}

const [mode, where = ''] = process.argv.slice(2);
if (mode === 'serve') serve(Number(where));
else if (mode === 'run') await run(where);
else throw new Error('usage: websocket.ts serve PORT | run HOST:PORT');
