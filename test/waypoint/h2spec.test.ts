/** h2spec, the conformance suite of HTTP/2 (RFC 9113's predecessor RFC 7540, and RFC 7541), against the waypoint's HTTP/2. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { Http2Server } from '../../waypoint/http/http2/server.ts';
import type { BodyReader, ServerExchange } from '../../waypoint/http/message.ts';
import type { ServerHandler } from '../../waypoint/http/server-codec.ts';
import { goProgramPath, skipWithoutGoPrograms } from '../harness/go-programs.ts';

const discarded = 'frames for streams that are over are discarded, as RFC 9113 5.1 allows';
const priority = 'PRIORITY has no meaning any more, and is discarded (RFC 9113 5.3.2)';
/** Cases that it does not pass, and why that is right. */
const exceptions: Readonly<Record<string, string>> = {
  'closed: Sends a DATA frame': discarded,
  'closed: Sends a DATA frame after sending RST_STREAM frame': discarded,
  'closed: Sends a HEADERS frame': discarded,
  'closed: Sends a HEADERS frame after sending RST_STREAM frame': discarded,
  'Sends stream identifier that is numerically smaller than previous': discarded,
  'Sends PRIORITY frame that depend on itself': priority,
  'Sends a PRIORITY frame with 0x0 stream identifier': priority,
  'Sends a PING frame with ACK': 'an answer to a PING that nobody sent ends the connection',
  'Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream':
    'it ends the connection, not the stream alone',
};

/** Cases that depend on whether the answer has ended the stream before the frame comes: then it is discarded, else refused. */
const racing: readonly string[] = [
  'half closed (remote): Sends a DATA frame',
  'half closed (remote): Sends a HEADERS frame',
  'Sends a DATA frame on the stream that is not in "open" or "half-closed (local)" state',
];

const options = {
  bytes: 60_000,
  count: 100,
  streams: 100,
  streamWindow: 65_535,
  connectionWindow: 1_048_576,
  headerTable: 4_096,
  keepalive: undefined,
  connect: false,
};

describe('h2spec', { skip: skipWithoutGoPrograms('h2spec') }, () => {
  it("the waypoint's HTTP/2 passes", async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      new Http2Server(socket, options, systemClock, answering);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const text = await h2spec(['--host', '127.0.0.1', '--port', String(port), '--timeout', '2']);
    server.close();
    const [, tests = 0, passed = 0] = /(\d+) tests, (\d+) passed/.exec(text)?.map(Number) ?? [];
    t.diagnostic(`${passed} of ${tests} cases pass`);
    assert.ok(tests > 140, text.slice(-2_000));
    const failed = new Set([...text.matchAll(/^\s*× \d+: (.*)$/gm)].map((m) => m[1]!));
    for (const name of racing) failed.delete(name);
    assert.deepEqual([...failed].sort(), Object.keys(exceptions).sort(), text.slice(-6_000));
  });
});

const ignoring: BodyReader = {
  data: () => undefined,
  end: () => undefined,
  broke: () => undefined,
  drained: () => undefined,
};

const answering: ServerHandler = {
  exchange(exchange: ServerExchange) {
    exchange.read(ignoring);
    exchange.respond({ status: 200, headers: ['content-length', '5', 'content-type', 'text/plain'] }, false);
    exchange.write(Buffer.from('hello'));
    exchange.end();
  },
  begun: () => undefined,
  idle: () => undefined,
  ending: () => undefined,
  malformed: (status) => ({ head: { status, headers: ['content-length', '0'] }, body: '' }),
  closed: () => undefined,
};

/** What it prints; it fails where a case does. */
function h2spec(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(goProgramPath('h2spec'), args, { maxBuffer: 16 * 1024 * 1024 }, (e, stdout) => {
      if (e && typeof e.code !== 'number') reject(e);
      else resolve(stdout);
    });
  });
}
