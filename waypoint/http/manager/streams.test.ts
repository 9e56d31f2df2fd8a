/** Filters that take part in bodies: order, heads held back, bodies made and dropped, answers instead, back-pressure. */
import assert from 'node:assert/strict';
import { type IncomingMessage, request } from 'node:http';
import { describe, it } from 'node:test';
import { until } from '../../../common/testing/until.ts';
import { goOn, type HttpFilter, type LocalReply } from '../../filters/filter.ts';
import type { Onward, Participant } from '../../filters/stream.ts';
import { Headers } from '../../request/headers.ts';
import type { RequestView } from '../../request/view.ts';
import { serveFilters } from '../../testing/filter-server.ts';
import { Rig } from '../../testing/rig.ts';

type Open = (request: Onward, response: Onward, view: RequestView) => Participant;
const streamed = (open: Open): HttpFilter => ({
  onRequest: (view) => ({ kind: 'stream', open: (a, b) => open(a, b, view) }),
});

/** Writes its name behind each chunk, and a last one before the end. */
function mark(name: string): HttpFilter {
  const of = (onward: Onward) => ({
    data: (chunk: Buffer) => onward.data(Buffer.concat([chunk, Buffer.from(name)])),
    end: (trailers: Headers | undefined) => {
      onward.data(Buffer.from(name.toUpperCase()));
      const more = trailers ?? new Headers();
      more.append('x-mark', name);
      onward.end(more);
    },
  });
  return streamed((request, response, view) => {
    view.headers.remove('content-length');
    return {
      request: of(request),
      response: {
        head: (head, ended) => {
          head.headers.remove('content-length');
          head.headers.append('x-seen', `${name}${ended}`);
          response.head(ended);
        },
        ...of(response),
      },
    };
  });
}

/** The body as a whole, before the head goes on. */
const whole = (change: (body: string) => string): HttpFilter =>
  streamed((request, response, view) => {
    const of = (onward: Onward, before: (body: Buffer) => void) => {
      let text = '';
      return {
        data: (chunk: Buffer) => {
          text += chunk.toString();
        },
        end: () => {
          const body = Buffer.from(change(text));
          before(body);
          onward.head(body.length === 0);
          if (body.length === 0) return;
          onward.data(body);
          onward.end();
        },
      };
    };
    let headers = new Headers();
    return {
      request: {
        head: (ended) => {
          if (ended) request.head(true);
        },
        ...of(request, (body) => view.headers.set('content-length', String(body.length))),
      },
      response: {
        head: (head, ended) => {
          headers = head.headers;
          if (ended) response.head(true);
        },
        ...of(response, (body) => headers.set('content-length', String(body.length))),
      },
    };
  });

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly trailers: IncomingMessage['trailers'];
}

async function ask(port: number, chunks: readonly string[], method = 'POST'): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = request({ port, method, path: '/', headers: { host: 'a' }, agent: false }, (answer) => {
    let body = '';
    answer.on('data', (chunk) => {
      body += String(chunk);
    });
    answer.on('end', () =>
      resolve({ status: answer.statusCode!, headers: answer.headers, body, trailers: answer.trailers }),
    );
    answer.on('error', reject);
  });
  sent.on('error', reject);
  for (const chunk of chunks) sent.write(chunk);
  sent.end();
  return promise;
}

async function withServer(
  filters: readonly HttpFilter[],
  use: (port: number, rig: Rig) => Promise<void>,
  serve?: Parameters<Rig['upstream']>[0],
): Promise<void> {
  await using rig = new Rig();
  const echo: Parameters<Rig['upstream']>[0] = (asked, answer) => {
    let body = '';
    asked.on('data', (chunk) => {
      body += String(chunk);
    });
    asked.on('end', () => answer.end(`<${asked.method} ${asked.headers['content-length'] ?? '-'} ${body}>`));
  };
  rig.cluster('up', [await rig.upstream(serve ?? echo)]);
  await using server = await serveFilters(rig, filters, 'up', { http_protocol_options: { enable_trailers: true } });
  await use(server.port, rig);
}

const refusal = (status: number, body: string): LocalReply => ({
  kind: 'reply',
  status,
  headers: [],
  body,
  details: 'test',
});

describe('filters that take part in bodies', () => {
  it('see the request from the first to the last, the response the other way', () =>
    withServer([mark('a'), mark('b')], async (port) => {
      const answer = await ask(port, ['x']);
      assert.equal(answer.body, '<POST - xabAbB>baBaA');
      assert.deepEqual(answer.headers['x-seen'], 'bfalse, afalse');
      assert.deepEqual(answer.trailers, { 'x-mark': 'b, a' });
    }));

  it('get no body of a message that has none', () =>
    withServer(
      [mark('a')],
      async (port) => {
        const answer = await ask(port, [], 'GET');
        assert.equal(answer.body, '');
        assert.equal(answer.headers['x-seen'], 'atrue');
      },
      (_asked, answer) => void answer.writeHead(204).end(),
    ));

  it('may hold heads until they know the body, which those behind them see at once', () =>
    withServer([mark('a'), whole((text) => `[${text}]`), mark('b')], async (port) => {
      // What "a" put behind the body is within the brackets, and of "b" around its own.
      assert.equal((await ask(port, ['x'])).body, '[<POST - [xaA]bB>bB]aA');
    }));

  it('may drop a body, or make one', async () => {
    await withServer([whole(() => '')], async (port) => {
      const answer = await ask(port, ['x']);
      assert.equal(answer.body, '');
      assert.equal(answer.status, 200);
    });
    const maker = streamed((request, _response, view) => ({
      request: {
        head: () => {
          view.headers.remove('content-length');
          request.head(false);
          request.data(Buffer.from('made'));
          request.end();
        },
      },
    }));
    await withServer([maker], async (port) => assert.equal((await ask(port, [], 'POST')).body, '<POST - made>'));
  });

  it('may answer when they have seen the body, and those before them take part in that answer', () => {
    const refusing = streamed((request) => ({
      request: {
        data: (chunk) => {
          if (chunk.includes('bad')) request.reply(refusal(422, 'no'));
          else request.data(chunk);
        },
      },
    }));
    return withServer([mark('a'), refusing, mark('b')], async (port) => {
      const answer = await ask(port, ['bad']);
      assert.equal(answer.status, 422);
      assert.equal(answer.body, 'nobaBaA');
      assert.equal((await ask(port, ['good'])).body, '<POST - goodabAbB>baBaA');
    });
  });

  it('answer for the host while its head has not gone on, and break off afterwards', async () => {
    const late = (passes: boolean) =>
      streamed((_request, response) => ({
        response: {
          head: (_head, ended) => {
            if (passes) response.head(ended);
          },
          data: () => response.reply(refusal(502, 'instead')),
        },
      }));
    await withServer([mark('a'), late(false)], async (port) => {
      const answer = await ask(port, ['x']);
      assert.equal(answer.status, 502);
      // Past all filters.
      assert.equal(answer.body, 'instead');
    });
    await withServer([late(true)], async (port) => {
      await assert.rejects(ask(port, ['x']), /aborted|hang up|ECONNRESET/);
    });
  });

  it('go together with filters that wait, ask and want the body', () => {
    const bodies: string[] = [];
    const waiting: HttpFilter = {
      onRequest: () => {
        const then = () => goOn;
        return { kind: 'wait', millis: 1, flag: 'DI', then };
      },
    };
    const reading: HttpFilter = {
      onRequest: () => {
        const then = (body: Buffer) => {
          bodies.push(body.toString());
          return goOn;
        };
        return { kind: 'body', most: 1_000, then };
      },
    };
    const asking: HttpFilter = {
      onRequest: () => ({
        kind: 'ask',
        ask: (done) => {
          const timer = setImmediate(() => done(goOn));
          return () => clearImmediate(timer);
        },
      }),
    };
    return withServer([waiting, mark('a'), asking, mark('b'), reading, whole((t) => `[${t}]`)], async (port) => {
      assert.equal((await ask(port, ['x', 'y'])).body.startsWith('<POST '), false);
      const [seen] = bodies;
      assert.match(seen!, /^xa?ba?b?yabAbB$|^xyabAbB$|^xabyabAbB$/);
    });
  });

  it('are told when all is over, once, and nothing goes on then', async () => {
    const closed: string[] = [];
    let kept: Onward | undefined;
    const filter = streamed((request) => {
      kept = request;
      return { request: {}, response: {}, closed: () => closed.push('closed') };
    });
    await withServer([filter], async (port) => {
      await ask(port, ['x']);
      await until('the end', () => closed.length > 0);
      kept!.data(Buffer.from('late'));
      kept!.reply(refusal(500, 'late'));
      kept!.pause();
      kept!.resume();
      await ask(port, ['y']);
      assert.equal(closed.length, 2);
    });
  });

  it('hold the host back, and lose nothing by it', async () => {
    let full = 0;
    let held: Onward | undefined;
    const chunk = Buffer.alloc(65_536);
    const filter = streamed((_request, response) => ({
      response: {
        data: (given) => {
          response.data(given);
          if (response.isFull) full++;
          else if (!held) {
            held = response;
            response.pause();
          }
        },
      },
    }));
    let sent = 0;
    const total = 64 * chunk.length;
    await withServer(
      [filter],
      async (port) => {
        const answer = Promise.withResolvers<number>();
        const asked = request({ port, path: '/', headers: { host: 'a' }, agent: false }, (message) => {
          let bytes = 0;
          message.pause();
          void until('the filter to hold', () => held !== undefined || full > 0).then(() => {
            held?.resume();
            message.resume();
          });
          message.on('data', (data: Buffer) => {
            bytes += data.length;
          });
          message.on('end', () => answer.resolve(bytes));
          message.on('error', answer.reject);
        });
        asked.on('error', answer.reject);
        asked.end();
        assert.equal(await answer.promise, total);
        assert.equal(sent, total);
      },
      (_asked, answer) => {
        const more = () => {
          while (sent < total) {
            sent += chunk.length;
            if (!answer.write(chunk)) {
              answer.once('drain', more);
              return;
            }
          }
          answer.end();
        };
        more();
      },
    );
  });
});
