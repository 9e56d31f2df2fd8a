/** Relays that the loop begins by itself, before JavaScript has heard that the way onwards stands. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { ByteStream } from '../../../common/core/byte-stream.ts';
import { Cancellation } from '../../../common/core/cancel.ts';
import { systemClock } from '../../../common/core/clock.ts';
import { MeshError } from '../../../common/core/errors.ts';
import type { Port, SocketAddr } from '../../../common/core/net.ts';
import { loopback, loopbackPort } from '../../../common/testing/hbone-rig.ts';
import { socketName, socketsHere } from '../../../native/index.ts';
import type { Engine } from '../engine.ts';
import { createNativeEngine } from './engine.ts';

const never = new AbortController().signal;

if (existsSync(join(import.meta.dirname, '../../../native/build/aquifer.node'))) all(createNativeEngine());
else it('relays ahead', { skip: 'the addon is not built: make -C native' });

function all(engine: Engine): void {
  const dial = engine.dialer(systemClock);
  const socket = () => socketsHere({ family: 4, type: 'stream' }, 1)[0]!;
  const open: { destroy(): void }[] = [];
  const servers: Server[] = [];
  after(() => {
    for (const one of open) one.destroy();
    for (const server of servers) server.close();
  });

  /** An app, and where it listens. */
  async function app(onSocket: (socket: Socket) => void): Promise<SocketAddr> {
    const server = createServer((s) => {
      open.push(s.on('error', () => undefined));
      onSocket(s);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, loopback, resolve));
    return { ip: loopback, port: (server.address() as { port: number }).port as Port };
  }

  /** A connection as an app makes it, and as the engine accepts it. */
  async function pair(): Promise<{ client: Socket; downstream: ByteStream }> {
    const bind = { ip: loopback, port: loopbackPort(0).port };
    const [fd] = socketsHere({ family: 4, type: 'stream', bind, backlog: 16 }, 1);
    const { port } = socketName(fd!);
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = engine.accept(fd!, (a) => accepted.resolve(a.socket), accepted.reject);
    const client = connect({ host: loopback, port, allowHalfOpen: true });
    open.push(client);
    const downstream = await accepted.promise;
    listener.close();
    return { client, downstream };
  }

  const answerOf = (client: Socket) => new Promise<string>((resolve) => client.once('data', (d) => resolve(`${d}`)));

  describe('a relay that begins ahead', () => {
    it('moves bytes before anybody calls for it, and is taken over with its counts', async () => {
      const to = await app((s) => s.pipe(s));
      const { client, downstream } = await pair();
      const permit = new Cancellation();
      const counters = engine.counters();
      const upstream = await dial(socket(), to, never, 10_000, { downstream, counters, permit });
      client.write('hello');
      assert.equal(await answerOf(client), 'hello');
      assert.deepEqual([counters.received, counters.sent], [5, 5]);
      client.end();
      const result = await engine.relay(downstream, upstream, { signal: permit, counters });
      assert.deepEqual(result, { received: 5, sent: 5 });
      assert.deepEqual([counters.received, counters.sent], [5, 5]);
    });

    it('tells of an end that came before it is taken over', async () => {
      const to = await app((s) => s.end('bye'));
      const { client, downstream } = await pair();
      const permit = new Cancellation();
      const counters = engine.counters();
      const upstream = await dial(socket(), to, never, 10_000, { downstream, counters, permit });
      client.end();
      const gone = new Promise((resolve) => downstream.once('close', resolve));
      assert.equal(await answerOf(client), 'bye');
      await gone;
      assert.equal(engine.begun(downstream, upstream), true);
      const result = await engine.relay(downstream, upstream, { signal: permit, counters });
      assert.deepEqual(result, { received: 0, sent: 3 });
    });

    it('is cut by a permit that is withdrawn before it is taken over', async () => {
      const to = await app((s) => s.pipe(s));
      const { client, downstream } = await pair();
      const permit = new Cancellation();
      const counters = engine.counters();
      const upstream = await dial(socket(), to, never, 10_000, { downstream, counters, permit });
      const reset = new Promise((resolve) => client.once('error', resolve));
      const reason = new MeshError('CANCELLED', 'policy');
      permit.abort(reason);
      const { error } = await engine.relay(downstream, upstream, { signal: permit, counters });
      assert.equal(error, reason);
      assert.equal(((await reset) as NodeJS.ErrnoException).code, 'ECONNRESET');
    });

    it('ends both where the downstream is given up when the loop has begun and nobody has heard of it', async () => {
      const to = await app((s) => s.pipe(s));
      const { client, downstream } = await pair();
      const reset = new Promise((resolve) => client.once('error', resolve));
      client.write('hello');
      const permit = new Cancellation();
      const counters = engine.counters();
      const dialled = dial(socket(), to, never, 10_000, { downstream, counters, permit });
      await new Promise(setImmediate);
      // No event is looked at meanwhile.
      const latest = performance.now() + 10_000;
      while (counters.received === 0) assert.ok(performance.now() < latest, 'the loop has begun');
      downstream.destroy();
      const upstream = await dialled;
      assert.equal(upstream.destroyed, true);
      assert.equal((await engine.relay(downstream, upstream, { signal: permit, counters })).error, undefined);
      await reset;
    });

    it('does not begin once the permit is withdrawn, nor where nobody listens; the connection stays for another try', async () => {
      const to = await app((s) => s.pipe(s));
      const { client, downstream } = await pair();
      const permit = new Cancellation();
      const counters = engine.counters();
      const reason = new MeshError('CANCELLED', 'policy');
      const dialled = dial(socket(), to, never, 10_000, { downstream, counters, permit });
      permit.abort(reason);
      await assert.rejects(dialled, reason);
      const nobody = { ip: loopback, port: 1 as Port };
      const other = new Cancellation();
      const refused = dial(socket(), nobody, never, 10_000, { downstream, counters, permit: other });
      await assert.rejects(refused, { code: 'CONNECT_FAILED' });
      client.write('hello');
      await dial(socket(), to, never, 10_000, { downstream, counters, permit: other });
      assert.equal(await answerOf(client), 'hello');
      downstream.destroy();
    });
  });
}
