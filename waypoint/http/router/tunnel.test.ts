/** CONNECTs that end here: what comes right behind one, its end in the same bytes, and answers that are there before it is accepted. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import {
  connectFrame,
  type Frame,
  flag,
  frame,
  frameType,
  headersFrame,
  preface,
  rawPlainClient,
  rstStream,
  settingsAck,
  settingsFrame,
} from '../../../common/testing/h2-frames.ts';
import { until } from '../../../common/testing/until.ts';
import { Rig, staticCluster } from '../../testing/rig.ts';

/** A server of bytes: it answers all that came, once the peer has ended. */
class App {
  readonly sockets: Socket[] = [];
  /** Connections that have seen the peer's end, and what came on each. */
  readonly heard: string[] = [];
  readonly #server: Server;

  /** With a greeting, that is all it says. */
  constructor(greeting = '') {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.sockets.push(socket);
      let text = '';
      if (greeting !== '') socket.end(greeting);
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
      });
      socket.on('end', () => {
        this.heard.push(text);
        if (greeting === '') socket.end(`heard ${text.length}`);
      });
    });
  }

  async port(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

const ends = (cluster: string) => ({
  match: { connect_matcher: {} },
  route: { upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }], cluster },
});
const manager = { upgrade_configs: [{ upgrade_type: 'CONNECT' }], http2_protocol_options: { allow_connect: true } };
const http1 = 'CONNECT a.test:80 HTTP/1.1\r\nhost: a.test:80\r\n\r\n';
const data = (text: string, flags = 0) => frame(frameType.data, flags, 1, Buffer.from(text));
const connectAndEnd = headersFrame(
  1,
  [
    [':method', 'CONNECT'],
    [':authority', '10.0.0.1:80'],
  ],
  flag.endHeaders | flag.endStream,
);

describe('a CONNECT that ends here', () => {
  let rig: Rig;
  const [app, short, fresh] = [new App(), new App('welcome'), new App()];
  let [port, shortPort, freshPort] = [0, 0, 0];
  const listen = async (name: string, to: App) => {
    rig.good('cluster', staticCluster(name, [await to.port()]));
    return rig.http(name, [ends(name)], manager);
  };
  before(async () => {
    rig = new Rig();
    port = await listen('app', app);
    shortPort = await listen('short', short);
    freshPort = await listen('fresh', fresh);
  });
  after(async () => {
    for (const each of [app, short, fresh]) each.close();
    await rig[Symbol.asyncDispose]();
  });

  /** All that comes for these frames on the stream until its end, in one write with the handshake. */
  async function byHttp2(port: number, ...frames: readonly Buffer[]): Promise<readonly Frame[]> {
    const peer = await rawPlainClient(connect(port, '127.0.0.1'));
    peer.send(preface, settingsFrame(), settingsAck, ...frames);
    const mine = () => peer.frames.filter((f) => f.stream === 1);
    await until('the end of the stream', () =>
      mine().some((f) => f.type === frameType.rstStream || (f.flags & flag.endStream) !== 0),
    );
    peer.socket.destroy();
    return mine();
  }

  const resets = (frames: readonly Frame[]) => frames.filter((f) => f.type === frameType.rstStream);
  const told = (frames: readonly Frame[]) =>
    Buffer.concat(frames.filter((f) => f.type === frameType.data).map((f) => f.payload)).toString('latin1');

  const many = Array.from({ length: 3_000 }, (_, i) => `${i};`);
  for (const [what, frames, text] of [
    ['bytes, and the end', [connectFrame(1), data('hello'), data('', flag.endStream)], 'hello'],
    ['bytes that end it', [connectFrame(1), data('hello', flag.endStream)], 'hello'],
    ['nothing but an end', [connectFrame(1), data('', flag.endStream)], ''],
    ['an end in itself', [connectAndEnd], ''],
    ['much in small pieces', [connectFrame(1), ...many.map((t) => data(t)), data('', flag.endStream)], many.join('')],
  ] as const) {
    it(`takes ${what} right behind it by HTTP/2`, async () => {
      app.heard.length = 0;
      const answer = await byHttp2(port, ...frames);
      assert.deepEqual(app.heard, [text]);
      assert.equal(told(answer), `heard ${text.length}`);
      assert.deepEqual(resets(answer), []);
    });
  }

  it('takes bytes and the end of a client of HTTP/1.1 once it is accepted, and answers what comes after that', async () => {
    app.heard.length = 0;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.write(`${http1}early`);
    await until('the acceptance', () => answer.includes('\r\n\r\n'));
    socket.end('late');
    await once(socket, 'close');
    assert.deepEqual(app.heard, ['earlylate']);
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    assert.ok(answer.endsWith('\r\n\r\nheard 9'), answer);
  });

  it('of a client of HTTP/1.1 that ends before it is accepted is given on whole or not at all', async () => {
    for (const text of ['hello', many.join('')]) {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => undefined);
      socket.resume();
      socket.end(http1 + text);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    await byHttp2(port, connectFrame(1), data('last', flag.endStream));
    for (const heard of app.heard) assert.ok(['earlylate', 'hello', 'last', many.join('')].includes(heard), heard);
  });

  it('gives what the server says at once and ends with, to a client that said its all before', async () => {
    const answer = await byHttp2(shortPort, connectFrame(1), data('hello', flag.endStream));
    assert.equal(answer[0]!.type, frameType.headers);
    assert.equal(told(answer), 'welcome');
    assert.deepEqual(resets(answer), []);
    await until('the bytes to arrive', () => short.heard.includes('hello'));
  });

  it('that is reset in the same bytes says nothing to the server, and leaves its connection to the next', async () => {
    const [connections, heard] = [fresh.sockets.length, fresh.heard.length];
    const peer = await rawPlainClient(connect(freshPort, '127.0.0.1'));
    peer.send(preface, settingsFrame(), settingsAck, connectFrame(1), data('hello'), rstStream(1, 8));
    await until('the connection', () => fresh.sockets.length > connections);
    peer.socket.destroy();
    assert.equal(told(await byHttp2(freshPort, connectFrame(1), data('next', flag.endStream))), 'heard 4');
    assert.deepEqual(fresh.heard.slice(heard), ['next']);
    assert.equal(fresh.sockets.length, connections + 1);
  });
});
