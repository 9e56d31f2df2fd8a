/**
 * What the tests of faults run inside pods, beside test/e2e/tools/traffic.ts, whose server greets each connection and then echoes.
 *
 *   load.ts copy HOST PORT CONNECTIONS WRITES STEP MARKER   WRITES writes on each, of 0, STEP, 2 STEP ... 2,559 bytes in turn, against
 *                                                     their echo; one JSON Copied when all are done
 *   load.ts talk HOST PORT CONNECTIONS MS MARKER      each writes every MS until standard input ends, then half-closes and waits for
 *                                                     the whole echo; a JSON TalkEvent when all are open, and at the end
 *   load.ts pour PORT                                 a server that writes without an end to whoever connects
 *   load.ts stall HOST PORT CONNECTIONS               reads nothing from them until standard input ends; a JSON StallEvent when no more
 *                                                     have opened for a second, and one when each has been read for 1 MiB
 */
import { createHash } from 'node:crypto';
import net from 'node:net';

const greeting = 'hello from ';
/** ms without a byte. TCP itself waits a minute and more when one segment is lost time and again. */
const stuckAfter = 150_000;
const largestWrite = 2_559;

export interface Copied {
  /** Bytes that came back, of all connections. */
  readonly bytes: number;
  /** Connections whose echo differs from what was sent, and what is wrong with them. */
  readonly wrong: readonly string[];
}

export interface TalkEvent {
  readonly event: 'open' | 'end';
  readonly open: number;
  /** Connections that were given back all they sent, by the end. */
  readonly whole: number;
  /** How the others ended: error code or `CUT` to number. */
  readonly broken: Readonly<Record<string, number>>;
}

export interface StallEvent {
  readonly event: 'stalled' | 'read';
  readonly open: number;
}

const [command, ...args] = process.argv.slice(2);
switch (command) {
  case 'copy':
    await copy(args[0]!, Number(args[1]), Number(args[2]), Number(args[3]), Number(args[4]), args[5]!);
    break;
  case 'talk':
    await talk(args[0]!, Number(args[1]), Number(args[2]), Number(args[3]), args[4]!);
    break;
  case 'pour':
    pour(Number(args[0]));
    break;
  case 'stall':
    await stall(args[0]!, Number(args[1]), Number(args[2]));
    break;
  default:
    throw new Error(`unknown command ${command}`);
}

async function copy(
  host: string,
  port: number,
  connections: number,
  writes: number,
  step: number,
  marker: string,
): Promise<void> {
  const each = Array.from({ length: connections }, (_, i) => copyOne(host, port, writes, step, `${marker} ${i} `));
  const all = await Promise.all(each);
  const wrong = all.map((c) => c.wrong).filter((w) => w !== '');
  print({ bytes: all.reduce((sum, c) => sum + c.bytes, 0), wrong } satisfies Copied);
}

function copyOne(
  host: string,
  port: number,
  writes: number,
  step: number,
  text: string,
): Promise<{ readonly bytes: number; readonly wrong: string }> {
  const [sent, received] = [createHash('sha256'), createHash('sha256')];
  let [out, back, done] = [0, 0, 0];
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, allowHalfOpen: true });
    socket.setNoDelay(true);
    socket.setTimeout(stuckAfter, () => finish(`STUCK after ${back} of ${out} bytes, ${done} of ${writes} writes`));
    const finish = (wrong: string) => {
      socket.destroy();
      resolve({ bytes: back, wrong });
    };
    const write = () => {
      for (; done < writes; done++) {
        const chunk = Buffer.from(`${text}${done} `.repeat(300)).subarray(0, (done * step) % (largestWrite + 1));
        sent.update(chunk);
        out += chunk.length;
        if (!socket.write(chunk)) {
          done++;
          socket.once('drain', write);
          return;
        }
      }
      socket.end();
    };
    socket.once('connect', write);
    const body = withoutGreeting((bytes) => {
      back += bytes.length;
      received.update(bytes);
    });
    socket.on('data', body);
    socket.on('error', (e: NodeJS.ErrnoException) => finish(`${e.code} after ${back} of ${out} bytes`));
    socket.on('end', () => {
      const same = back === out && received.digest('hex') === sent.digest('hex');
      finish(same && done === writes ? '' : `DIFFERENT: ${back} bytes back, ${out} sent, ${done} of ${writes} writes`);
    });
  });
}

async function talk(host: string, port: number, count: number, every: number, marker: string): Promise<void> {
  const broken: Record<string, number> = {};
  let [open, whole] = [0, 0];
  const finishing = new AbortController();
  const one = (i: number, onOpen: () => void) =>
    new Promise<void>((resolve) => {
      const socket = net.connect({ host, port, allowHalfOpen: true });
      let [sent, back, error, ended] = ['', 0, '', false];
      let timer: NodeJS.Timeout | undefined;
      const say = () => {
        const words = `${marker} ${i} ${sent.length};`;
        sent += words;
        socket.write(words);
      };
      const body = withoutGreeting((bytes) => {
        if (sent.slice(back, back + bytes.length) !== bytes.toString('latin1')) error ||= 'WRONG_ECHO';
        back += bytes.length;
      });
      socket.on('data', (data: Buffer) => {
        if (!timer) {
          open++;
          // Spread over the interval.
          timer = setTimeout(
            () => {
              timer = setInterval(say, every);
            },
            (every * i) / count,
          );
          say();
          onOpen();
        }
        body(data);
      });
      finishing.signal.addEventListener('abort', () => {
        clearInterval(timer);
        if (!socket.writable) return;
        say();
        socket.end();
      });
      socket.on('end', () => {
        ended = true;
        clearInterval(timer);
        if (!finishing.signal.aborted) error ||= 'CUT';
        socket.end();
      });
      socket.on('error', (e: NodeJS.ErrnoException) => {
        error ||= e.code ?? e.message;
      });
      socket.on('close', () => {
        clearInterval(timer);
        if (error === '' && ended && back === sent.length && back > 0) whole++;
        else broken[error || 'CUT'] = (broken[error || 'CUT'] ?? 0) + 1;
        onOpen();
        resolve();
      });
    });
  const tell = (event: TalkEvent['event']) => print({ event, open, whole, broken } satisfies TalkEvent);
  const ends: Promise<void>[] = [];
  const opened = Array.from({ length: count }, (_, i) => new Promise<void>((resolve) => ends.push(one(i, resolve))));
  await Promise.all(opened);
  tell('open');
  process.stdin.on('end', () => finishing.abort()).resume();
  await Promise.all(ends);
  tell('end');
  process.stdin.destroy();
}

function pour(port: number): void {
  const block = Buffer.alloc(64 * 1024, 'poured ');
  net
    .createServer((socket) => {
      socket.on('error', () => socket.destroy());
      const write = () => {
        while (!socket.destroyed && socket.write(block));
      };
      socket.on('drain', write);
      write();
    })
    .listen({ port, host: '::', backlog: 8192 }, () => print({ event: 'listening' }));
}

async function stall(host: string, port: number, count: number): Promise<void> {
  const sockets: net.Socket[] = [];
  const isOpen = (s: net.Socket) => !s.connecting && !s.destroyed;
  for (let i = 0; i < count; i++) {
    const socket = net.connect({ host, port });
    socket.on('error', () => undefined);
    socket.pause();
    sockets.push(socket);
    await new Promise<void>((resolve) => socket.once('connect', resolve).once('close', () => resolve()));
  }
  print({ event: 'stalled', open: sockets.filter(isOpen).length } satisfies StallEvent);
  await new Promise((resolve) => process.stdin.on('end', resolve).resume());
  let read = 0;
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          let bytes = 0;
          socket.on('data', (data) => {
            bytes += data.length;
            if (bytes < 1_048_576) return;
            read++;
            socket.destroy();
          });
          socket.on('close', () => resolve());
          if (socket.destroyed) resolve();
          socket.resume();
        }),
    ),
  );
  print({ event: 'read', open: read } satisfies StallEvent);
}

/** The server's first line is none of the echo. */
function withoutGreeting(body: (bytes: Buffer) => void): (data: Buffer) => void {
  let head: Buffer | undefined = Buffer.alloc(0);
  return (data) => {
    if (!head) return body(data);
    head = Buffer.concat([head, data]);
    const end = head.indexOf('\n');
    if (end < 0) return;
    if (!head.subarray(0, end).toString('latin1').startsWith(greeting)) throw new Error('not the greeting');
    const rest = head.subarray(end + 1);
    head = undefined;
    if (rest.length > 0) body(rest);
  };
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
