import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { until } from '../../../common/testing/until.ts';
import { wired } from '../../testing/wire.ts';
import type { Break, HeaderList, ServerExchange } from '../message.ts';
import { chunkWork, requestWork, turnWork } from './limits.ts';
import { Http1Server, type Http1ServerOptions } from './server.ts';

const options: Http1ServerOptions = {
  bytes: 8_192,
  count: 100,
  acceptHttp10: false,
  trailers: true,
  headerCase: 'lower',
};

interface Seen {
  readonly exchange: ServerExchange;
  body: string;
  ended: boolean;
  trailers: HeaderList | undefined;
  broke: Break | undefined;
}

function serve(answer: (seen: Seen) => void = ok, some: Partial<Http1ServerOptions> = {}, when = 'read') {
  const { wire, stream } = wired();
  const seen: Seen[] = [];
  const malformed: string[] = [];
  const codec = new Http1Server(
    stream,
    { ...options, ...some },
    {
      exchange(exchange) {
        const one: Seen = { exchange, body: '', ended: exchange.complete, trailers: undefined, broke: undefined };
        seen.push(one);
        exchange.read({
          data: (chunk) => {
            one.body += chunk.toString('latin1');
          },
          end: (trailers) => {
            one.ended = true;
            one.trailers = trailers;
            answer(one);
          },
          broke: (why) => {
            one.broke = why;
          },
          drained: () => undefined,
        });
        if (exchange.complete || when === 'at once') answer(one);
      },
      begun: () => undefined,
      idle: () => undefined,
      ending: () => undefined,
      malformed(status, detail) {
        malformed.push(detail);
        return { head: { status, headers: ['content-length', '0'] }, body: '' };
      },
      closed: () => undefined,
    },
  );
  return { wire, seen, malformed, codec };
}

function ok({ exchange }: Seen): void {
  exchange.respond({ status: 200, headers: ['content-length', '2'] }, false);
  exchange.write(Buffer.from('ok'));
  exchange.end();
}

const get = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

describe('the server end of HTTP/1', () => {
  it('answers requests of one connection in turn, also when they come at once', async () => {
    const { wire, seen } = serve();
    wire.stream.write(get + get.replace('/', '/two'));
    await until('two answers', () => wire.text.split('ok').length === 3);
    assert.deepEqual(
      seen.map((s) => s.exchange.request.path),
      ['/', '/two'],
    );
  });

  it('does not look at the next request before the last one is answered', async () => {
    const { wire, seen } = serve(() => undefined);
    wire.stream.write(get + get);
    await until('the first', () => seen.length === 1);
    wire.stream.write(get);
    await new Promise(setImmediate);
    assert.equal(seen.length, 1);
    ok(seen[0]!);
    await until('the second', () => seen.length === 2);
    ok(seen[1]!);
    await until('the third', () => seen.length === 3);
  });

  it('leaves others their turn where requests are answered at once, and answers each of them, also of who has ended', async () => {
    const { wire, seen, codec } = serve();
    const most = Math.ceil(turnWork / requestWork);
    const asked = 10 * most;
    wire.stream.write(get.repeat(asked));
    await new Promise(setImmediate);
    // A socket may tell of its end while it is paused.
    codec.ended();
    for (let turn = 0, before = seen.length; turn < asked && before < asked; turn++, before = seen.length) {
      await new Promise(setImmediate);
      assert.ok(seen.length - before <= most, `${seen.length - before} requests in one turn`);
    }
    assert.equal((await wire.end()).split('ok').length - 1, asked);
  });

  it('answers what came before a drain, as far as one request of it, while others have their turn', async () => {
    const { wire, seen, codec } = serve();
    const most = Math.ceil(turnWork / requestWork);
    wire.stream.write(get.repeat(10 * most));
    await new Promise(setImmediate);
    const begun = seen.length;
    assert.ok(begun > 0);
    codec.drain();
    const answers = (await wire.end()).split('ok');
    assert.equal(seen.length, begun + 1);
    assert.equal(answers.length - 1, begun + 1);
    assert.match(answers.at(-2)!, /connection: close/);
  });

  it('leaves others their turn where a body has many chunks, and gives nothing to who wants no more meanwhile', async () => {
    const { wire, seen } = serve();
    const chunks = Math.ceil(turnWork / chunkWork);
    const part = '1\r\nx\r\n'.repeat(chunks);
    wire.stream.write(`POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${part}`);
    await new Promise(setImmediate);
    const { exchange } = seen[0]!;
    wire.stream.write(part);
    await new Promise(process.nextTick);
    assert.equal(seen[0]!.body.length, chunks);
    exchange.pause();
    wire.stream.write('0\r\n\r\n');
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    assert.equal(seen[0]!.body.length, chunks);
    exchange.resume();
    await wire.has('ok');
    assert.equal(seen[0]!.body.length, 2 * chunks);
  });

  it('reads chunks and trailers, however they are cut', async () => {
    const message =
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nwiki\r\n5\r\npedia\r\n0\r\nx-sum: 1\r\n\r\n';
    for (let cut = 1; cut < message.length; cut++) {
      const { wire, seen } = serve();
      wire.stream.write(message.slice(0, cut));
      await new Promise(process.nextTick);
      wire.stream.write(message.slice(cut) + get);
      await until('both', () => seen.length === 2);
      assert.equal(seen[0]!.body, 'wikipedia');
      assert.deepEqual(seen[0]!.trailers, ['x-sum', '1']);
    }
  });

  it('holds back what comes behind an upgrade until it is granted, and then passes it', async () => {
    const { wire, seen } = serve(() => undefined);
    wire.stream.write('GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\r\nearly');
    const one = await until('the request', () => seen[0]);
    assert.equal(one.exchange.request.upgrade, 'websocket');
    await new Promise(setImmediate);
    assert.equal(one.body, '');
    one.exchange.respond({ status: 101, headers: [] }, false);
    await wire.has('101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    await until('the bytes', () => one.body === 'early');
    one.exchange.write(Buffer.from('down'));
    await wire.has('\r\n\r\ndown');
    wire.stream.end();
    await until('the end', () => one.ended);
  });

  it('never takes what comes behind a refused CONNECT for a request', async () => {
    const { wire, seen } = serve(() => undefined);
    wire.stream.write(`CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n${get}`);
    const one = await until('the request', () => seen[0]);
    one.exchange.respond({ status: 403, headers: [] }, true);
    assert.match(await wire.end(), /^HTTP\/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n$/);
    assert.equal(seen.length, 1);
  });

  for (const [what, head] of [
    ['a body that is not awaited', `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${get.length}\r\n\r\n`],
    ['the last request of a connection', 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'],
  ] as const) {
    it(`never takes for a request what comes at once with ${what}`, async () => {
      const { wire, seen } = serve(ok, {}, 'at once');
      wire.stream.write(head + get);
      assert.match(await wire.end(), /^HTTP\/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok$/);
      assert.equal(seen.length, 1);
    });
  }

  it('closes behind an answer that came before the end of its request', async () => {
    const { wire, seen } = serve(() => undefined);
    wire.stream.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf');
    const one = await until('the request', () => seen[0]);
    ok(one);
    await wire.end();
    assert.match(wire.text, /ok$/);
  });

  it('breaks off what was announced longer than it is', async () => {
    const { wire } = serve(({ exchange }) => {
      exchange.respond({ status: 200, headers: ['content-length', '3'] }, false);
      exchange.write(Buffer.from('ok'));
      exchange.end();
    });
    wire.stream.write(get);
    await until('the end', () => wire.closed);
    assert.ok(wire.error);
  });

  it('ends the connection after the answer once it drains', async () => {
    const { wire, seen, codec } = serve(() => undefined);
    wire.stream.write(get);
    const one = await until('the request', () => seen[0]);
    codec.drain();
    ok(one);
    assert.match(await wire.end(), /connection: close/);
  });

  const refused: readonly (readonly [name: string, bytes: string, status: number])[] = [
    ['both lengths', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n', 400],
    ['two equal lengths', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\n', 400],
    ['a list of lengths', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4, 4\r\n\r\n', 400],
    ['a signed length', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +4\r\n\r\n', 400],
    ['a length in hex', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x4\r\n\r\n', 400],
    ['an empty length', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\n', 400],
    ['another coding', 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n', 501],
    ['a coding that looks like chunked', 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n', 501],
    [
      'chunked twice',
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n',
      501,
    ],
    ['a vertical tab behind chunked', 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\x0b\r\n\r\n', 400],
    ['a folded line', 'GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n', 400],
    ['a folded first line', 'GET / HTTP/1.1\r\n x: 1\r\nhost: a\r\n\r\n', 400],
    ['a blank before the colon', 'GET / HTTP/1.1\r\nhost : a\r\n\r\n', 400],
    ['a bare LF', 'GET / HTTP/1.1\nhost: a\n\n', 400],
    ['a bare LF within', 'GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n', 400],
    ['a bare CR within', 'GET / HTTP/1.1\r\nhost: a\rx: y\r\n\r\n', 400],
    ['a NUL', 'GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n', 400],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['two hosts', 'GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n', 400],
    ['no name', 'GET / HTTP/1.1\r\nhost: a\r\n: x\r\n\r\n', 400],
    ['a blank in the target', 'GET /a b HTTP/1.1\r\nhost: a\r\n\r\n', 400],
    ['two blanks', 'GET  / HTTP/1.1\r\nhost: a\r\n\r\n', 400],
    ['a target that is no path', 'GET a HTTP/1.1\r\nhost: a\r\n\r\n', 400],
    ['another scheme', 'GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n', 400],
    ['a lower-case method', 'get / HTTP/1.1\r\nhost: a\r\n\r\n', 400],
    ['a made-up method', 'FOO / HTTP/1.1\r\nhost: a\r\n\r\n', 400],
    ['version 2', 'GET / HTTP/2.0\r\nhost: a\r\n\r\n', 400],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\nhost: a\r\n\r\n', 426],
    ['HTTP/0.9', 'GET /\r\n\r\n', 400],
    ['a large head', `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(9_000)}\r\n\r\n`, 431],
    ['many headers', `GET / HTTP/1.1\r\nhost: a\r\n${'x: y\r\n'.repeat(101)}\r\n`, 431],
    ['a Connection that hides the length', 'POST / HTTP/1.1\r\nhost: a\r\nconnection: content-length\r\n\r\n', 400],
    [
      'a Connection of more members than headers',
      `GET / HTTP/1.1\r\nhost: a\r\nconnection: ${',a'.repeat(50)}\r\nconnection: ${'b,'.repeat(50)}\r\n\r\n`,
      400,
    ],
    ['a Connection that hides who calls', 'GET / HTTP/1.1\r\nhost: a\r\nconnection: x-forwarded-for\r\n\r\n', 400],
    ['a TLS ClientHello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n', 400],
  ];
  for (const [name, bytes, status] of refused) {
    it(`refuses ${name}`, async () => {
      const { wire, seen } = serve();
      wire.stream.write(bytes);
      assert.match(await wire.end(), new RegExp(`^HTTP/1.1 ${status} `));
      assert.equal(seen.length, 0);
    });
  }

  const broken: readonly (readonly [name: string, body: string])[] = [
    ['a size that is no number', 'x\r\n'],
    ['a negative size', '-1\r\n'],
    ['a size with a prefix', '0x1\r\na\r\n'],
    ['a size that overflows', '100000000\r\n'],
    ['a blank before the size', ' 1\r\na\r\n'],
    ['a size line that ends with LF', '1\na\r\n'],
    ['a size line that never ends', '1;'.padEnd(5_000, 'x')],
    ['data longer than the size', '1\r\nab\r\n'],
    ['data that ends with LF', '1\r\na\n'],
    ['a folded trailer', '0\r\nx: 1\r\n 2\r\n\r\n'],
    ['trailers without end', `0\r\nx: ${'y'.repeat(9_000)}`],
  ];
  for (const [name, body] of broken) {
    it(`refuses chunks with ${name}, and whatever follows`, async () => {
      const { wire, seen } = serve();
      wire.stream.write(`POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${body}`);
      await wire.end();
      assert.match(wire.text, /^HTTP\/1.1 4\d\d /);
      assert.equal(seen.length, 1);
      assert.equal(seen[0]!.broke?.kind, 'protocol');
    });
  }

  it('never throws, and never answers more than was asked, whatever comes', () => {
    const piece = fc.constantFrom(
      'GET ',
      '/ ',
      'HTTP/1.1',
      '\r\n',
      '\n',
      '\r',
      'host: a',
      ':',
      ' ',
      'content-length: 3',
      '0',
      'transfer-encoding: chunked',
      '5',
      'POST / HTTP/1.1\r\nhost: a\r\n',
      '\r\n\r\n',
      'abc',
      'connection: upgrade\r\nupgrade: x',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 4 })), { maxLength: 20 }), (pieces) => {
        const { seen, codec } = serve();
        for (const one of pieces) codec.bytes(Buffer.from(one, 'latin1'));
        const starts = pieces.join('').split('HTTP/1.1').length - 1;
        assert.ok(seen.length <= starts);
      }),
      { numRuns: 2_000 },
    );
  });
});
