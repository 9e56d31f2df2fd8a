/** What the relay of every engine must do between two TCP connections. Run it with the engine from a test file of its own. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { after, describe, it as test } from 'node:test';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { SocketAddr } from '../../common/core/net.ts';
import type { Relay, RelayCounters } from '../../common/hbone/relay.ts';
import { listenTcp } from '../../common/testing/hbone-rig.ts';
import { until } from '../../common/testing/until.ts';

export interface RelayEngine {
  readonly name: string;
  readonly relay: Relay;
  readonly counters: () => RelayCounters;
  readonly dial: (address: SocketAddr) => Promise<ByteStream>;
}

const never = new AbortController().signal;
const it = (name: string, body: () => Promise<void>) => test(name, { timeout: 15_000 }, body);
const ended = (socket: Socket) => new Promise<void>((resolve) => socket.once('end', resolve));

export function relayCompliance({ name, relay, counters: countersOf, dial }: RelayEngine): void {
  describe(`relay of engine ${name}`, () => {
    const closers: (() => void)[] = [];
    after(() => {
      for (const close of closers) close();
    });

    /** The two ends of a TCP connection: the test's, and the engine's. */
    async function pair(): Promise<readonly [Socket, ByteStream]> {
      const accepted = Promise.withResolvers<Socket>();
      const { server, address } = await listenTcp(accepted.resolve);
      const dialled = await dial(address);
      const other = await accepted.promise;
      other.on('error', () => undefined);
      server.close();
      closers.push(
        () => dialled.destroy(),
        () => other.destroy(),
      );
      return [other, dialled];
    }

    /** client - downstream = relay = upstream - app */
    async function rig(signal: AbortSignal = never) {
      const [client, downstream] = await pair();
      const [app, upstream] = await pair();
      const counters = countersOf();
      const done = relay(downstream, upstream, { signal, counters });
      return { client, downstream, upstream, app, counters, done };
    }

    it('copies both ways, ends each on its own, and counts', async () => {
      const { client, app, done, downstream, upstream } = await rig();
      const up = randomBytes(1_000_003);
      const down = randomBytes(700_001);
      const hash = createHash('md5');
      app.on('data', (chunk) => hash.update(chunk));
      client.end(up);
      await ended(app);
      assert.equal(hash.digest('hex'), createHash('md5').update(up).digest('hex'));
      let received = 0;
      client.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      app.end(down);
      await ended(client);
      assert.equal(received, down.length);
      assert.deepEqual(await done, { received: up.length, sent: down.length });
      await until('both sockets to close', () => downstream.destroyed && upstream.destroyed);
    });

    it('shows the counts of an open connection', async () => {
      const { client, app, counters } = await rig();
      app.resume();
      client.write('abc');
      await until('the count', () => counters.received === 3);
    });

    it('starts reading a socket that was accepted paused', async () => {
      const [client, downstream] = await pair();
      const [app, upstream] = await pair();
      downstream.pause();
      client.end('abc');
      const done = relay(downstream, upstream, { signal: never });
      app.resume();
      app.end();
      client.resume();
      assert.equal((await done).received, 3);
    });

    it('goes on where JavaScript stopped: what it gave back, and what it wrote before', async () => {
      const [client, downstream] = await pair();
      const [app, upstream] = await pair();
      const texts = { client: '', app: '' };
      client.on('data', (chunk) => (texts.client += chunk));
      app.on('data', (chunk) => (texts.app += chunk));
      client.write('hello world');
      const chunk = await new Promise<Buffer>((resolve) => downstream.once('data', resolve));
      downstream.pause();
      downstream.unshift(chunk.subarray(6));
      downstream.write('welcome');
      upstream.write('header ');
      const done = relay(downstream, upstream, { signal: never });
      client.end('!');
      app.end(' back');
      assert.deepEqual(await done, { received: 6, sent: 5 });
      await until('all to arrive', () => texts.app === 'header world!' && texts.client === 'welcome back');
    });

    it('passes a reset on, without calling it an error', async () => {
      for (const side of ['client', 'app'] as const) {
        const r = await rig();
        const other = side === 'client' ? r.app : r.client;
        const failed = new Promise<NodeJS.ErrnoException>((resolve) => other.once('error', resolve));
        r[side].resetAndDestroy();
        assert.equal((await failed).code, 'ECONNRESET');
        assert.equal((await r.done).error, undefined);
      }
    });

    it('resets both sides when the signal aborts, and reports the reason', async () => {
      const abort = new AbortController();
      const { client, app, done } = await rig(abort.signal);
      const both = Promise.all(
        [client, app].map((s) => new Promise<NodeJS.ErrnoException>((resolve) => s.once('error', resolve))),
      );
      abort.abort(new MeshError('CANCELLED', 'policy'));
      assert.equal((await done).error?.message, 'policy');
      for (const error of await both) assert.equal(error.code, 'ECONNRESET');
    });

    it('resets the other side of a socket that is cut here: what it carried does not look complete', async () => {
      for (const side of ['downstream', 'upstream'] as const) {
        const r = await rig();
        const other = side === 'downstream' ? r.app : r.client;
        const failed = new Promise<NodeJS.ErrnoException>((resolve) => other.once('error', resolve));
        other.resume();
        r[side].resetAndDestroy();
        assert.equal((await failed).code, 'ECONNRESET');
        assert.equal((await r.done).error?.message, 'the connection was cut');
      }
    });

    it('ends at once when the signal has aborted before, or a side is gone already', async () => {
      const aborted = await rig(AbortSignal.abort(new MeshError('CANCELLED', 'policy')));
      assert.equal((await aborted.done).error?.message, 'policy');
      const [, downstream] = await pair();
      const [app, upstream] = await pair();
      downstream.destroy();
      app.resume();
      const done = relay(downstream, upstream, { signal: never });
      await ended(app);
      assert.deepEqual(await done, { received: 0, sent: 0 });
    });

    it('stops reading when the other side does not take it', async () => {
      const { client, counters } = await rig();
      let written = 0;
      const chunk = Buffer.alloc(65_536);
      const pump = () => {
        while (client.write(chunk, () => (written += chunk.length)));
      };
      client.on('drain', pump);
      pump();
      let last = -1;
      let still = 0;
      await until('the flow to stop', () => {
        still = counters.received === last ? still + 1 : 0;
        last = counters.received;
        return still > 50;
      });
      // What the kernel holds on three hops, and little more.
      assert.ok(counters.received < 64 * 1024 * 1024, `${counters.received} bytes`);
    });
  });
}
