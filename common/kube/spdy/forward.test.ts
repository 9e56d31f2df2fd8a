import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { MeshError } from '../../core/errors.ts';
import { openForward } from './forward.ts';
import { SpdySession, type SpdyStream } from './session.ts';

/** A connection to the port 80 of a server that does what `serve` says. */
function forwarded(serve: (data: SpdyStream, error: SpdyStream) => void) {
  const [server, client] = duplexPair();
  const streams = new Map<string, SpdyStream>();
  const session = new SpdySession(server, (stream) => {
    streams.set(stream.headers.get('streamtype') ?? '', stream);
    if (streams.size === 2) serve(streams.get('data')!, streams.get('error')!);
  });
  const over = session.read().then(() => session.close());
  return { connection: openForward(client, 80), over, server };
}

test('carries bytes both ways and both ends', async () => {
  const { connection, over } = forwarded(async ({ headers, channel }, error) => {
    assert.equal(headers.get('port'), '80');
    const said = await text(channel.iterator({ destroyOnReturn: false }));
    error.channel.end();
    channel.end(`${said}, too`.repeat(50_000));
  });
  connection.end('hello');
  assert.equal(await text(connection), 'hello, too'.repeat(50_000));
  await over;
});

test("fails in the other end's words, and when the connection breaks", async () => {
  const refused = forwarded(({ channel }, error) => {
    error.channel.end('connect ECONNREFUSED');
    channel.destroy(new Error('x'));
  });
  await assert.rejects(text(refused.connection), (e) => e instanceof MeshError && /ECONNREFUSED/.test(e.message));
  const broken = forwarded(() => undefined);
  broken.server.destroy();
  broken.over.catch(() => undefined);
  await assert.rejects(text(broken.connection), /was lost/);
});
