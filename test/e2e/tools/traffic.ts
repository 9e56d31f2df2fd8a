/**
 * Client and server of the end-to-end tests, run inside pods. A server greets each connection with the address it sees, then echoes.
 *
 *   traffic.ts serve PORT...
 *   traffic.ts burst HOST PORT COUNT         COUNT connections open at once; one JSON summary
 *   traffic.ts loop HOST PORT MS MARKER      a new connection each MS; one JSON line a call; ends with its stdin
 *   traffic.ts hold HOST PORT                one connection, used every 5 ms; a JSON line when it opens and when it ends, as it does with its stdin
 *   traffic.ts socks NAME PORT              the server's greeting, by SOCKS 5 on loopback; else the codes that came back
 *   traffic.ts touch HOST:PORT...            what each target answers to a greeting, a TLS hello and an HTTP request
 */
import net from 'node:net';

const greeting = 'hello from ';
/** ms. A refusal must come much faster. */
const patience = 5_000;

export interface BurstSummary {
  readonly ok: number;
  /** Error code to number. */
  readonly failed: Readonly<Record<string, number>>;
}

export interface LoopCall {
  /** ms since the epoch, when the call began. */
  readonly at: number;
  readonly ms: number;
  /** Empty: answered. */
  readonly error: string;
  /** The client as the server sees it. */
  readonly seen: string;
}

export interface HoldEvent {
  readonly event: 'open' | 'end';
  readonly at: number;
  readonly error: string;
}

export interface Touched {
  readonly target: string;
  /** `refused` or `reset`: nobody talked. `answered`: bytes came back. `silent`: neither in 2 s. */
  readonly outcome: 'refused' | 'closed' | 'answered' | 'silent';
  readonly detail: string;
  readonly ms: number;
}

const [command, ...args] = process.argv.slice(2);
switch (command) {
  case 'serve':
    for (const port of args) serve(Number(port));
    break;
  case 'burst':
    print(await burst(args[0]!, Number(args[1]), Number(args[2])));
    break;
  case 'loop':
    loop(args[0]!, Number(args[1]), Number(args[2]), args[3]!);
    break;
  case 'hold':
    hold(args[0]!, Number(args[1]));
    break;
  case 'socks':
    process.stdout.write(await socks(args[0]!, Number(args[1])));
    break;
  case 'touch':
    print(await Promise.all(args.map(touch)));
    break;
  default:
    throw new Error(`unknown command ${command}`);
}

function serve(port: number): void {
  net
    .createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.write(`${greeting}${socket.remoteAddress}\n`);
      socket.pipe(socket);
    })
    .listen({ port, host: '::', backlog: 8192 });
}

/** All connections stay open until the last has been greeted or has failed. */
async function burst(host: string, port: number, count: number): Promise<BurstSummary> {
  const sockets: net.Socket[] = [];
  const results = await Promise.all(
    Array.from({ length: count }, () => {
      const socket = net.connect({ host, port });
      sockets.push(socket);
      return greeted(socket, 30_000);
    }),
  );
  for (const socket of sockets) socket.destroy();
  const failed: Record<string, number> = {};
  for (const { error } of results.filter((r) => r.error !== '')) failed[error] = (failed[error] ?? 0) + 1;
  return { ok: results.filter((r) => r.error === '').length, failed };
}

function loop(host: string, port: number, every: number, marker: string): void {
  const timer = setInterval(async () => {
    const at = Date.now();
    const socket = net.connect({ host, port });
    const { error, text } = await greeted(socket, patience);
    const echoed = error === '' ? await echo(socket, marker) : error;
    socket.destroy();
    const seen = text.slice(greeting.length);
    print({ at, ms: Date.now() - at, error: echoed, seen } satisfies LoopCall);
  }, every);
  process.stdin.on('end', () => clearInterval(timer)).resume();
}

function hold(host: string, port: number): void {
  const socket = net.connect({ host, port });
  let opened = false;
  const say = (event: HoldEvent['event'], error = '') => print({ event, at: Date.now(), error } satisfies HoldEvent);
  let [sent, came, finishing] = [0, 0, false];
  const timer = setInterval(() => {
    if (!opened) return;
    socket.write('x');
    sent++;
  }, 5);
  let error = '';
  socket.on('data', (chunk: Buffer) => {
    if (!opened) say('open');
    opened = true;
    came += chunk.filter((byte) => byte === 'x'.charCodeAt(0)).length;
  });
  socket.on('error', (e: NodeJS.ErrnoException) => {
    error = e.code ?? e.message;
  });
  socket.on('end', () => socket.destroy());
  socket.on('close', () => {
    clearInterval(timer);
    if (finishing && came !== sent) error ||= `${came} of ${sent} bytes came back`;
    say('end', error);
  });
  process.stdin
    .on('end', () => {
      finishing = true;
      clearInterval(timer);
      socket.end();
    })
    .resume();
}

/** Speaks first, in several tongues, for a server that waits to be spoken to. */
async function touch(target: string): Promise<Touched> {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(target)!;
  const start = Date.now();
  const outcomes: Omit<Touched, 'target' | 'ms'>[] = [];
  for (const words of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'hello\n']) {
    outcomes.push(await speak(host!, Number(port), words));
  }
  const worst = outcomes.find((o) => o.outcome === 'answered') ?? outcomes.find((o) => o.outcome === 'silent');
  return { target, ms: Date.now() - start, ...(worst ?? outcomes[0]!) };
}

function speak(host: string, port: number, words: string): Promise<Omit<Touched, 'target' | 'ms'>> {
  return new Promise((resolve) => {
    let answer = '';
    let connected = false;
    let error = '';
    const socket = net.connect({ host, port }, () => {
      connected = true;
      socket.write(words);
    });
    const timer = setTimeout(() => finish('silent'), 2_000);
    const finish = (outcome: Touched['outcome']) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ outcome, detail: answer.slice(0, 80) || error });
    };
    socket.on('data', (d) => {
      answer += d.toString('latin1');
      finish('answered');
    });
    socket.on('error', (e: NodeJS.ErrnoException) => {
      error = e.code ?? e.message;
    });
    socket.on('end', () => socket.end());
    socket.on('close', () => finish(connected ? 'closed' : 'refused'));
  });
}

/** The first line; an error names how it failed. */
function greeted(socket: net.Socket, deadline: number): Promise<{ readonly error: string; readonly text: string }> {
  return new Promise((resolve) => {
    let text = '';
    const finish = (error: string) => {
      clearTimeout(timer);
      socket.removeAllListeners('data');
      resolve({ error, text: text.trim() });
    };
    const timer = setTimeout(() => finish('TIMEOUT'), deadline);
    socket.on('data', (d) => {
      text += d.toString();
      if (text.includes('\n')) finish(text.startsWith(greeting) ? '' : 'WRONG_GREETING');
    });
    socket.on('error', (e: NodeJS.ErrnoException) => finish(e.code ?? e.message));
    socket.on('close', () => finish('CLOSED'));
  });
}

function echo(socket: net.Socket, marker: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const timer = setTimeout(() => resolve('TIMEOUT'), patience);
    const finish = (error: string) => {
      clearTimeout(timer);
      resolve(error);
    };
    socket.on('data', (d) => {
      text += d.toString();
      if (text.length >= marker.length) finish(text === marker ? '' : 'WRONG_ECHO');
    });
    socket.on('close', () => finish('CLOSED'));
    socket.write(marker);
  });
}

/** Greeting and request in one go; the replies to them are 2 and 10 bytes long (RFC 1928). */
function socks(name: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port: 15_080 });
    let got: Buffer = Buffer.alloc(0);
    socket.setTimeout(patience, () => socket.destroy());
    socket.on('data', (d: Buffer) => {
      got = Buffer.concat([got, d]);
      if (got.subarray(12).includes('\n')) socket.end();
    });
    socket.on('error', (e: NodeJS.ErrnoException) => {
      got = Buffer.from(e.code ?? e.message);
    });
    socket.on('close', () => resolve(got.length > 12 ? got.subarray(12).toString().trim() : got.toString('hex')));
    socket.write(Buffer.from([5, 1, 0, 5, 1, 0, 3, name.length, ...Buffer.from(name), port >> 8, port & 255]));
  });
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
