/** h2spec, the conformance suite of HTTP/2 (RFC 9113's predecessor RFC 7540, and RFC 7541), against the waypoint's HTTP/2. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { Http2Server } from '../../waypoint/http/http2/server.ts';
import type { ServerExchange } from '../../waypoint/http/message.ts';
import type { ServerHandler } from '../../waypoint/http/server-codec.ts';
import { DuplexStream } from '../../waypoint/net/duplex-stream.ts';
import { goProgramPath, skipWithoutGoPrograms } from '../harness/go-programs.ts';

/** Cases that it does not pass, and why that is right. */
const exceptions: Readonly<Record<string, string>> = {
  'Sends PRIORITY frame that depend on itself': 'PRIORITY has no meaning any more, and is discarded (RFC 9113 5.3.2)',
};

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
      new Http2Server(new DuplexStream(socket), options, systemClock, answering);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const text = await h2spec(['--host', '127.0.0.1', '--port', String(port), '--timeout', '2']);
    server.close();
    const [, tests = 0, passed = 0] = /(\d+) tests, (\d+) passed/.exec(text)?.map(Number) ?? [];
    t.diagnostic(`${passed} of ${tests} cases pass`);
    assert.ok(tests > 140, text.slice(-2_000));
    const failed = new Set([...text.matchAll(/^\s*× \d+: (.*)$/gm)].map((m) => m[1]!));
    assert.deepEqual([...failed].sort(), Object.keys(exceptions).sort(), text.slice(-6_000));
  });
});

/** Answers when the request is there: a stream that is answered earlier is over, and what still comes for it is discarded. */
const answering: ServerHandler = {
  exchange(exchange: ServerExchange) {
    const answer = () => {
      exchange.respond({ status: 200, headers: ['content-length', '5', 'content-type', 'text/plain'] }, false);
      exchange.write(Buffer.from('hello'));
      exchange.end();
    };
    exchange.read({ data: () => undefined, end: answer, broke: () => undefined, drained: () => undefined });
    if (exchange.complete) answer();
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
