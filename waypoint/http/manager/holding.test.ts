/** Requests that a filter holds back: while it asks somebody, and while it waits for their body. */
import assert from 'node:assert/strict';
import { request as ask, type ClientRequest, type IncomingMessage } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { describe, it } from 'node:test';
import { until } from '../../../common/testing/until.ts';
import { goOn, type HttpFilter, type Verdict } from '../../filters/filter.ts';
import { filtered } from '../../testing/filtered.ts';
import { Rig } from '../../testing/rig.ts';

interface Held {
  readonly done: (verdict: Verdict) => void;
  stopped: boolean;
}

/** Asks about each request; the test answers. */
function asking(held: Held[], then: Verdict = goOn): HttpFilter {
  return {
    onRequest: () => ({
      kind: 'ask',
      ask(done) {
        const one: Held = { done: (verdict) => done(verdict ?? then), stopped: false };
        held.push(one);
        return () => {
          one.stopped = true;
        };
      },
    }),
  };
}

const wanting = (most: number, then: (body: Buffer, whole: boolean) => Verdict): HttpFilter => ({
  onRequest: () => ({ kind: 'body', most, then }),
});

const refused: Verdict = { kind: 'reply', status: 413, headers: [], body: 'too much', details: 'test_too_much' };

async function echo(rig: Rig): Promise<string[]> {
  const seen: string[] = [];
  const port = await rig.upstream((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    request.on('end', () => {
      seen.push(text);
      response.end(String(text.length));
    });
  });
  rig.cluster('web', [port]);
  return seen;
}

function send(port: number, body?: string): { readonly request: ClientRequest; readonly answer: Promise<string> } {
  const request = ask({ host: '127.0.0.1', port, method: body === undefined ? 'GET' : 'POST', agent: false });
  const answer = new Promise<string>((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response: IncomingMessage) => {
      let text = `${response.statusCode} `;
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
      });
      response.on('end', () => resolve(text));
    });
  });
  if (body === undefined) request.end();
  else request.end(body);
  return { request, answer };
}

describe('a request that a filter holds back', () => {
  it('goes on with its body once the filter was told, and only once', async () => {
    await using rig = new Rig();
    const seen = await echo(rig);
    const held: Held[] = [];
    await using site = await filtered(rig.runtime.env, [asking(held)]);
    const body = 'x'.repeat(300_000);
    const { answer } = send(site.port, body);
    const one = await until('the question', () => held[0]);
    assert.deepEqual(seen, []);
    one.done(goOn);
    one.done(refused);
    assert.equal(await answer, '200 300000');
    assert.equal(seen[0], body);
    assert.equal(one.stopped, false);
  });

  it('is answered where the filter was told so, whatever of its body is still to come', async () => {
    await using rig = new Rig();
    const seen = await echo(rig);
    const held: Held[] = [];
    await using site = await filtered(rig.runtime.env, [asking(held)]);
    const { request, answer } = send(site.port, 'y'.repeat(1_000));
    (await until('the question', () => held[0])).done({ ...refused, status: 403, body: 'no' } as Verdict);
    assert.equal(await answer, '403 no');
    request.destroy();
    assert.deepEqual(seen, []);
  });

  it('stops asking when its client goes away', async () => {
    await using rig = new Rig();
    await echo(rig);
    const held: Held[] = [];
    await using site = await filtered(rig.runtime.env, [asking(held)]);
    const session = connectHttp2(`http://127.0.0.1:${site.port}`);
    session.on('error', () => undefined);
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => undefined);
    const one = await until('the question', () => held[0]);
    stream.close(8);
    await until('that nobody asks', () => (one.stopped ? true : undefined));
    one.done(goOn);
    session.destroy();
    assert.match(
      rig.runtime.stats.text(() => true),
      /downstream_rq_active: 0\n/,
    );
  });

  it('may be told within the question, and be held again by the filters that follow', async () => {
    await using rig = new Rig();
    const seen = await echo(rig);
    const order: string[] = [];
    const at = (name: string): HttpFilter => ({
      onRequest: () => ({
        kind: 'ask',
        ask(done) {
          order.push(name);
          done(goOn);
          return () => assert.fail('nobody asks any more');
        },
      }),
    });
    const body: string[] = [];
    const middle = wanting(10, (bytes, whole) => {
      body.push(`${bytes} ${whole}`);
      return goOn;
    });
    await using site = await filtered(rig.runtime.env, [at('a'), middle, at('b'), middle]);
    assert.equal(await send(site.port, 'text').answer, '200 4');
    assert.deepEqual(order, ['a', 'b']);
    assert.deepEqual(body, ['text true', 'text true']);
    assert.deepEqual(seen, ['text']);
  });

  it('is whole for the filter that wants its body, to the byte', async () => {
    await using rig = new Rig();
    const seen = await echo(rig);
    const told: [number, boolean][] = [];
    const filter = wanting(1_000, (bytes, whole) => {
      told.push([bytes.length, whole]);
      return whole ? goOn : refused;
    });
    await using site = await filtered(rig.runtime.env, [filter]);
    assert.equal(await send(site.port).answer, '200 0');
    assert.equal(await send(site.port, 'z'.repeat(1_000)).answer, '200 1000');
    assert.equal(await send(site.port, 'z'.repeat(1_001)).answer, '413 too much');
    assert.deepEqual(told.slice(0, 2), [
      [0, true],
      [1_000, true],
    ]);
    assert.equal(told[2]![1], false);
    assert.ok(told[2]![0] > 1_000);
    assert.equal(seen.length, 2);
  });

  it('goes on as it comes where the filter is content with a part', async () => {
    await using rig = new Rig();
    await echo(rig);
    const parts: number[] = [];
    const filter = wanting(10, (bytes) => {
      parts.push(bytes.length);
      return goOn;
    });
    await using site = await filtered(rig.runtime.env, [filter]);
    const session = connectHttp2(`http://127.0.0.1:${site.port}`);
    const stream = session.request({ ':path': '/', ':method': 'POST' });
    let text = '';
    stream.setEncoding('latin1');
    stream.on('data', (chunk: string) => {
      text += chunk;
    });
    stream.write('a'.repeat(11));
    await until('the part', () => parts[0]);
    for (let i = 0; i < 20; i++) stream.write('b'.repeat(10_000));
    stream.end();
    await new Promise((resolve) => stream.once('close', resolve));
    assert.equal(text, '200011');
    assert.equal(parts[0], 11);
    session.close();
  });
});
