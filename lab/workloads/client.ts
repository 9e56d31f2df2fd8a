/**
 * Image aquifer/client: calls a URL again and again, a new connection each time, and counts. Every second, and at the end, one line of
 * JSON `{"sent":..,"ok":..,"failed":..}`; every failure is a line of its own, `{"error":"...","call":17}`.
 *
 * --url http://host:port/path or tcp://host:port   --interval MS (100)   --count N (no end)   --timeout MS (1000)
 */
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    interval: { type: 'string', default: '100' },
    count: { type: 'string', default: 'Infinity' },
    timeout: { type: 'string', default: '1000' },
  },
});
if (values.url === undefined || !URL.canParse(values.url)) {
  process.stderr.write('aquifer/client: --url is missing, or is no URL\n');
  process.exit(2);
}
const url = new URL(values.url);
const limit = Number(values.count);
const counts = { sent: 0, ok: 0, failed: 0 };

async function call(number: number): Promise<void> {
  const signal = AbortSignal.timeout(Number(values.timeout));
  try {
    if (url.protocol === 'tcp:') await callTcp(signal);
    else await callHttp(signal);
    counts.ok += 1;
  } catch (e) {
    counts.failed += 1;
    print({ error: (e as Error).message, call: number });
  }
  if (counts.ok + counts.failed === limit) finish();
}

async function callTcp(signal: AbortSignal): Promise<void> {
  // A URL has its IPv6 address in brackets, a socket does not.
  const socket = connect({ host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(url.port), signal });
  await once(socket, 'connect', { signal });
  socket.destroy();
}

async function callHttp(signal: AbortSignal): Promise<void> {
  const outgoing = request(url, { agent: false, signal }).end();
  const [response] = (await once(outgoing, 'response', { signal })) as [{ statusCode: number; resume(): void }];
  response.resume();
  await once(response as never, 'end', { signal });
  if (response.statusCode >= 400) throw new Error(`HTTP status ${response.statusCode}`);
}

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function finish(): void {
  print(counts);
  process.exit(counts.failed === 0 ? 0 : 1);
}

process.on('SIGTERM', finish);
setInterval(() => print(counts), 1000).unref();
const timer = setInterval(() => {
  counts.sent += 1;
  void call(counts.sent);
  if (counts.sent === limit) clearInterval(timer);
}, Number(values.interval));
