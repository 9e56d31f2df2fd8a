/** What both versions of HTTP do alike, client against server. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { until } from '../../common/testing/until.ts';
import { streamPair } from '../net/pair.ts';
import type { ClientCodec, ClientHandler } from './client-codec.ts';
import { Http1Client } from './http1/client.ts';
import { Http1Server } from './http1/server.ts';
import { Http2Client } from './http2/client.ts';
import { Http2Server } from './http2/server.ts';
import type {
  BodyReader,
  Break,
  HeaderList,
  RequestHead,
  ResponseHead,
  ResponseReader,
  ServerExchange,
} from './message.ts';
import type { ServerCodec, ServerHandler } from './server-codec.ts';

const limits = { bytes: 60_000, count: 100 };
const http2 = {
  ...limits,
  streams: 100,
  streamWindow: 65_535,
  connectionWindow: 1_048_576,
  headerTable: 4_096,
  keepalive: undefined,
};

interface Rig {
  readonly client: ClientCodec;
  readonly server: ServerCodec;
  readonly draining: () => boolean;
}

type Engine = (handler: ServerHandler) => Promise<Rig>;

const engines: Readonly<Record<'http1' | 'http2', Engine>> = {
  async http1(handler) {
    const [near, far] = streamPair();
    const server = new Http1Server(
      far,
      { ...limits, acceptHttp10: false, trailers: true, headerCase: 'lower' },
      handler,
    );
    const { told, draining } = clientHandler();
    return {
      server,
      client: new Http1Client(near, { ...limits, trailers: true, headerCase: 'lower' }, told),
      draining,
    };
  },
  http2(handler) {
    const [near, far] = streamPair();
    const server = new Http2Server(far, { ...http2, connect: true }, systemClock, handler);
    const { told, draining } = clientHandler();
    return new Promise((resolve) => {
      const opened = () => resolve({ server, client, draining });
      const client: ClientCodec = new Http2Client(near, http2, 'http', systemClock, opened, told);
    });
  },
};

function clientHandler(): { readonly told: ClientHandler; readonly draining: () => boolean } {
  let draining = false;
  const drain = () => {
    draining = true;
  };
  return { told: { allowed: () => undefined, draining: drain, closed: drain }, draining: () => draining };
}

class Collector implements ResponseReader {
  readonly informationals: number[] = [];
  head: ResponseHead | undefined;
  body = '';
  ended = false;
  trailers: HeaderList | undefined;
  why: Break | undefined;
  drains = 0;

  informational(head: ResponseHead): void {
    this.informationals.push(head.status);
  }
  response(head: ResponseHead, end: boolean): void {
    this.head = head;
    this.ended = end;
  }
  data(chunk: Buffer): void {
    this.body += chunk.toString('latin1');
  }
  end(trailers: HeaderList | undefined): void {
    this.ended = true;
    this.trailers = trailers;
  }
  broke(why: Break): void {
    this.why = why;
  }
  drained(): void {
    this.drains++;
  }
}

function handler(
  serve: (exchange: ServerExchange) => BodyReader,
): ServerHandler & { readonly closes: (Error | undefined)[] } {
  const closes: (Error | undefined)[] = [];
  return {
    closes,
    exchange: (exchange) => exchange.read(serve(exchange)),
    begun: () => undefined,
    idle: () => undefined,
    ending: () => undefined,
    malformed: (status) => ({ head: { status, headers: ['content-length', '0'] }, body: '' }),
    closed: (error) => void closes.push(error),
  };
}

const head = (some: Partial<RequestHead> = {}): RequestHead => ({
  method: 'GET',
  path: '/x',
  authority: 'web',
  scheme: 'http',
  headers: ['x-a', '1', 'x-a', '2'],
  upgrade: undefined,
  version: 'HTTP/1.1',
  ...some,
});

for (const [name, engine] of Object.entries(engines)) {
  describe(`${name}, both ends`, () => {
    it('carries a request and its answer, headers in order', async () => {
      let seen: RequestHead | undefined;
      const rig = await engine(
        handler((exchange) => {
          seen = exchange.request;
          exchange.respond(
            { status: 200, headers: ['content-length', '2', 'set-cookie', 'a', 'set-cookie', 'b'] },
            false,
          );
          exchange.write(Buffer.from('ok'));
          exchange.end();
          return new Collector();
        }),
      );
      for (let i = 0; i < 3; i++) {
        const answer = new Collector();
        rig.client.request(head(), true, answer);
        await until('the answer', () => answer.ended);
        assert.equal(answer.body, 'ok');
        assert.deepEqual(answer.head!.headers, ['content-length', '2', 'set-cookie', 'a', 'set-cookie', 'b']);
      }
      assert.deepEqual([seen!.method, seen!.path, seen!.authority], ['GET', '/x', 'web']);
      assert.deepEqual(seen!.headers, ['x-a', '1', 'x-a', '2']);
      rig.client.cut(new Error('done'));
    });

    it('carries bodies without a length, and trailers, both ways', async () => {
      const rig = await engine(
        handler((exchange) => {
          const body = new Collector();
          const end = body.end.bind(body);
          body.end = (trailers) => {
            end(trailers);
            exchange.informational({ status: 103, headers: ['link', '</a>'] });
            exchange.respond({ status: 200, headers: [] }, false);
            exchange.write(Buffer.from(body.body.toUpperCase()));
            exchange.end(['grpc-status', '0', 'got', String(trailers)]);
          };
          return body;
        }),
      );
      const answer = new Collector();
      const exchange = rig.client.request(head({ method: 'POST' }), false, answer);
      exchange.write(Buffer.from('some '));
      exchange.write(Buffer.from('text'));
      exchange.end(['x-sum', '7']);
      await until('the answer', () => answer.ended);
      assert.equal(answer.body, 'SOME TEXT');
      assert.deepEqual(answer.informationals, [103]);
      assert.deepEqual(answer.trailers, ['grpc-status', '0', 'got', 'x-sum,7']);
      rig.client.cut(new Error('done'));
    });

    for (const kind of ['upgrade', 'CONNECT'] as const) {
      it(`joins both directions after ${kind}, each with its own end`, async () => {
        const inside = new Collector();
        let at: ServerExchange | undefined;
        const rig = await engine(
          handler((exchange) => {
            at = exchange;
            return inside;
          }),
        );
        const answer = new Collector();
        const asked =
          kind === 'CONNECT'
            ? { method: 'CONNECT', path: undefined, authority: '10.0.0.1:80' }
            : { upgrade: 'websocket' };
        const out = rig.client.request(head(asked), false, answer);
        const exchange = await until('the request', () => at);
        assert.equal(exchange.request.method, kind === 'CONNECT' ? 'CONNECT' : 'GET');
        assert.equal(exchange.request.upgrade, kind === 'CONNECT' ? undefined : 'websocket');
        exchange.respond({ status: kind === 'CONNECT' ? 200 : 101, headers: [] }, false);
        await until('the answer', () => answer.head);
        assert.equal(answer.head!.status, kind === 'CONNECT' ? 200 : 101);
        out.write(Buffer.from('up'));
        await until('bytes up', () => inside.body === 'up');
        out.end();
        await until('end up', () => inside.ended);
        exchange.write(Buffer.from('down'));
        await until('bytes down', () => answer.body === 'down');
        exchange.end();
        await until('end down', () => answer.ended);
      });
    }

    it('tells either end when the other breaks off', async () => {
      const inside = new Collector();
      let at: ServerExchange | undefined;
      const serve = handler((exchange) => {
        at = exchange;
        return inside;
      });
      const first = await engine(serve);
      first.client.request(head({ method: 'POST' }), false, new Collector()).reset('cancel');
      if (name === 'http2') await until('the break', () => inside.why?.kind === 'reset' || at === undefined);
      const second = await engine(serve);
      at = undefined;
      const answer = new Collector();
      second.client.request(head({ method: 'POST' }), false, answer).write(Buffer.from('x'));
      const exchange: ServerExchange = await until('the request', () => at);
      exchange.respond({ status: 200, headers: [] }, false);
      exchange.write(Buffer.from('half'));
      await until('half', () => answer.body === 'half');
      exchange.reset('internal');
      await until('the break', () => answer.why?.kind === 'reset');
      assert.equal(answer.ended, false);
    });

    it('holds the sender back while nobody reads', async () => {
      let at: ServerExchange | undefined;
      const inside = new Collector();
      const rig = await engine(
        handler((exchange) => {
          at = exchange;
          return inside;
        }),
      );
      const answer = new Collector();
      const out = rig.client.request(head({ method: 'POST' }), false, answer);
      out.write(Buffer.from('first'));
      await until('the request', () => at && inside.body !== '');
      at!.pause();
      let written = 0;
      const chunk = Buffer.alloc(16_384);
      await until('back-pressure', () => {
        written += chunk.length;
        return !out.write(chunk);
      });
      assert.ok(written < 4_000_000);
      at!.resume();
      await until('drained', () => answer.drains > 0);
      rig.client.cut(new Error('done'));
    });

    it('breaks requests of a connection that is lost, and says that it drains', async () => {
      let at: ServerExchange | undefined;
      const rig = await engine(
        handler((exchange) => {
          at = exchange;
          return new Collector();
        }),
      );
      const answer = new Collector();
      rig.client.request(head(), true, answer);
      await until('the request', () => at);
      rig.server.cut(new Error('lost'));
      await until('the break', () => answer.why !== undefined && rig.draining());
    });
  });
}
