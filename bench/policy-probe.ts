/**
 * Runs in a client pod: `policy-probe.ts ADDRESS PORT`. Keeps one connection open, calls on new ones without pause, and prints
 * `KIND NANOSECONDS` (CLOCK_MONOTONIC): `open` once the server answers on both, `refused` at the first new connection that ends
 * without an answer, `closed` when the open one ends. A line on stdin starts it over.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

const [ip = '', port = '0'] = process.argv.slice(2);
const request = 'GET / HTTP/1.1\r\nHost: bench\r\n\r\n';

function say(kind: string, at: bigint): void {
  process.stdout.write(`${kind} ${at}\n`);
}

/** A connection whose first request was answered; undefined when it ended before. */
function open(): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: ip, port: Number(port), noDelay: true });
    socket.once('data', () => resolve(socket));
    socket.once('error', () => undefined);
    socket.once('close', () => resolve(undefined));
    socket.write(request);
  });
}

async function round(): Promise<void> {
  let held = await open();
  while (held === undefined) {
    await delay(2);
    held = await open();
  }
  held.once('close', () => say('closed', process.hrtime.bigint()));
  held.resume();
  say('open', process.hrtime.bigint());
  for (;;) {
    const socket = await open();
    if (socket === undefined) break;
    socket.destroy();
    await delay(1);
  }
  say('refused', process.hrtime.bigint());
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
do await round();
while (!(await lines.next()).done);
