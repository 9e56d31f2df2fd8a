/**
 * What every HBONE engine must do (ambient-wire 1, RFC 9113), seen from its two ports and from peers that write raw frames.
 * Run it with the engine's factory from a test file of its own.
 */

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, describe, it as test } from 'node:test';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import type { CancelSignal } from '../../common/core/cancel.ts';
import { type Clock, systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { parseSocketAddr, type SocketAddr } from '../../common/core/net.ts';
import type { Relay } from '../../common/hbone/relay.ts';
import type {
  HbonePool,
  HbonePoolOptions,
  HboneServer,
  HboneServerOptions,
  InboundTunnel,
  OutboundTunnel,
} from '../../common/hbone/types.ts';
import { sameIdentity } from '../../common/identity/spiffe.ts';
import type { WorkloadCertificate } from '../../common/identity/types.ts';
import type { Identity } from '../../common/mesh/types.ts';
import { createFakeCa, usage } from '../../common/testing/fake-ca.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import {
  connectFrame,
  type Frame,
  flag,
  frame,
  frameType,
  goaway,
  headersFrame,
  noTable,
  preface,
  type RawPeer,
  rawClient,
  rawServer,
  rstStream,
  settingsAck,
  settingsFrame,
  uint32,
} from '../../common/testing/h2-frames.ts';
import { connectHeaders, dialTcp, listenTcp } from '../../common/testing/hbone-rig.ts';
import { until } from '../../common/testing/until.ts';

export interface HboneEngine {
  readonly name: string;
  readonly createServer: (options: HboneServerOptions) => HboneServer;
  readonly createPool: (options: HbonePoolOptions) => HbonePool;
  readonly relay: Relay;
  readonly sockets: EngineSockets;
}

/** TCP as an engine has it. */
export interface EngineSockets {
  /** A listener on a free port of the loopback. */
  readonly listen: (onSocket: (socket: ByteStream, remote: SocketAddr) => void) => Promise<EngineListener>;
  readonly dial: (address: SocketAddr, signal?: CancelSignal) => Promise<ByteStream>;
}

export interface EngineListener {
  readonly address: SocketAddr;
  readonly close: () => void;
}

const trustDomain = 'cluster.local';
const client: Identity = { trustDomain, namespace: 'apps', serviceAccount: 'client' };
const server: Identity = { trustDomain, namespace: 'apps', serviceAccount: 'server' };
const stranger: Identity = { trustDomain, namespace: 'apps', serviceAccount: 'stranger' };
const never = new AbortController().signal;
const megabyte = 1024 * 1024;

const it = (name: string, body: () => Promise<void>) => test(name, { timeout: 15_000 }, body);

const hasCode = (code: string) => (error: unknown) => {
  assert.ok(error instanceof MeshError, `not a MeshError: ${error}`);
  assert.equal(error.code, code, error.message);
  return true;
};

export function hboneCompliance(engine: HboneEngine): void {
  describe(`HBONE engine ${engine.name}`, async () => {
    const ca = await createFakeCa();
    const otherCa = await createFakeCa();
    const serverCertificate = await ca.issue(server);
    const clientCertificate = await ca.issue(client);
    const closers: (() => void)[] = [];
    after(() => {
      for (const close of closers) close();
    });

    async function listen(onSocket: (socket: Socket) => void): Promise<SocketAddr> {
      const { server: tcp, address } = await listenTcp((socket) => {
        socket.on('error', () => undefined);
        closers.push(() => socket.destroy());
        onSocket(socket);
      });
      closers.push(() => tcp.close());
      return address;
    }

    async function dial(address: SocketAddr): Promise<Socket> {
      const socket = await dialTcp(address);
      closers.push(() => socket.destroy());
      return socket;
    }

    const { relay } = engine;

    /** A connection that the engine may relay. */
    async function engineDial(address: SocketAddr, signal?: CancelSignal): Promise<ByteStream> {
      const socket = await engine.sockets.dial(address, signal);
      closers.push(() => socket.destroy());
      return socket;
    }

    async function engineListen(onSocket: (socket: ByteStream, remote: SocketAddr) => void): Promise<SocketAddr> {
      const { address, close } = await engine.sockets.listen((socket, remote) => {
        closers.push(() => socket.destroy());
        onSocket(socket, remote);
      });
      closers.push(close);
      return address;
    }

    let turnsAt: Promise<SocketAddr> | undefined;
    /** The engine's own thread has had its turn: a connection of it was made, and what came before is worked off. */
    async function turn(): Promise<void> {
      turnsAt ??= engineListen((socket) => socket.resume());
      const socket = await engine.sockets.dial(await turnsAt);
      socket.destroy();
    }

    /** Seconds pass one by one, and I/O gets its turn after each: a PING reaches the peer, and its answer is back, within a few of them. */
    async function advance(clock: FakeClock, seconds: number): Promise<void> {
      for (let i = 0; i < seconds; i++) {
        clock.advance(1_000);
        for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
        await tick(1);
        await turn();
      }
    }

    /** A TCP listener whose sockets go to an engine's server. */
    async function startServer(
      onTunnel: (tunnel: InboundTunnel) => void,
      {
        certificate = serverCertificate,
        clock = systemClock,
      }: { certificate?: WorkloadCertificate; clock?: Clock } = {},
    ) {
      const errors: Error[] = [];
      const accepted: ByteStream[] = [];
      const hbone = engine.createServer({
        clock,
        certificate: async () => certificate,
        onTunnel,
        onError: (error) => errors.push(error),
      });
      const address = await engineListen((socket, remote) => {
        accepted.push(socket);
        hbone.serve(socket, remote, address);
      });
      closers.push(() => hbone.close());
      return { hbone, address, errors, accepted };
    }

    function startPool(options: Partial<HbonePoolOptions> = {}): HbonePool {
      const pool = engine.createPool({
        clock: systemClock,
        certificate: async (identity) =>
          sameIdentity(identity, client) ? clientCertificate : await ca.issue(identity),
        dial: engineDial,
        ...options,
      });
      closers.push(() => pool.close());
      return pool;
    }

    const open = (
      pool: HbonePool,
      address: SocketAddr,
      {
        source = client,
        expected = [server],
        signal = never,
      }: { source?: Identity; expected?: Identity[]; signal?: CancelSignal } = {},
    ): Promise<OutboundTunnel> =>
      pool.connect({ address, expected, source, sourceIp: '10.0.0.1' }, connectHeaders('10.0.0.9:80'), signal);

    const echo = (tunnel: InboundTunnel) => {
      const stream = tunnel.accept({ baggage: 'k8s.namespace.name=apps' });
      stream.on('error', () => undefined);
      stream.pipe(stream);
    };
    const hold = (tunnel: InboundTunnel) => tunnel.accept({}).on('error', () => undefined);

    async function rawConnection(
      address: SocketAddr,
      certificate: WorkloadCertificate | undefined = clientCertificate,
    ) {
      const peer = await rawClient(await dial(address), certificate);
      closers.push(() => peer.socket.destroy());
      return peer;
    }

    async function readyPeer(address: SocketAddr): Promise<RawPeer> {
      const peer = await rawConnection(address);
      peer.send(preface, settingsFrame(), settingsAck);
      await until('SETTINGS of the server', () => peer.frames.some((f) => f.type === frameType.settings));
      return peer;
    }

    /** A listener where the test plays the server by raw frames. */
    function rawListener(onPeer: (peer: RawPeer) => void, certificate = serverCertificate): Promise<SocketAddr> {
      return listen((socket) => {
        rawServer(socket, certificate).then(onPeer, () => undefined);
      });
    }

    describe('request and response', () => {
      it('carries the headers both ways and proves both identities', async () => {
        let seen: InboundTunnel | undefined;
        const { address } = await startServer((tunnel) => {
          seen = tunnel;
          echo(tunnel);
        });
        const tunnel = await open(startPool(), address);
        assert.deepEqual(tunnel.peer, server);
        assert.equal(tunnel.responseHeaders['baggage'], 'k8s.namespace.name=apps');
        assert.deepEqual(seen!.peer, client);
        assert.equal(seen!.request.authority, '10.0.0.9:80');
        assert.equal(seen!.request.baggage, 'k8s.namespace.name=default');
        assert.equal(seen!.request.forwarded, 'for="10.0.0.1:1000"');
        assert.equal(seen!.request.traceparent, connectHeaders('').traceparent);
        assert.equal(seen!.request.forwardedNetwork, undefined);
        assert.equal(seen!.local, address);
      });

      for (const status of [400, 401, 503]) {
        it(`reports a refusal with status ${status}, and the connection stays`, async () => {
          let answer = status;
          const { address } = await startServer((tunnel) => (answer === 200 ? echo(tunnel) : tunnel.refuse(answer)));
          const pool = startPool();
          await assert.rejects(open(pool, address), (error: unknown) => {
            hasCode('TUNNEL_REFUSED')(error);
            assert.match((error as Error).message, new RegExp(`${status}`));
            return true;
          });
          answer = 200;
          await open(pool, address);
          assert.equal(pool.connections, 1);
        });
      }

      it('answers 400 to every method but CONNECT', async () => {
        let tunnels = 0;
        const { address } = await startServer(() => tunnels++);
        const peer = await readyPeer(address);
        for (const [i, method] of ['GET', 'POST', 'OPTIONS', 'connect'].entries()) {
          const stream = 1 + 2 * i;
          peer.send(
            headersFrame(
              stream,
              [
                [':method', method],
                [':scheme', 'https'],
                [':authority', '10.0.0.1:80'],
                [':path', '/'],
              ],
              flag.endHeaders | flag.endStream,
            ),
          );
          const answer = await until(`answer to ${method}`, () =>
            peer.frames.find((f) => f.stream === stream && f.type === frameType.headers),
          );
          // 8c: the static table's `:status 400`.
          assert.ok(answer.payload.equals(Buffer.of(0x8c)) || answer.payload.equals(Buffer.of(...noTable, 0x8c)));
          assert.ok(answer.flags & flag.endStream);
        }
        assert.equal(tunnels, 0);
      });

      it('tells the server when the client gives up before the answer', async () => {
        let waiting: InboundTunnel | undefined;
        const { address } = await startServer((tunnel) => {
          waiting = tunnel;
        });
        const abort = new AbortController();
        const pending = open(startPool(), address, { signal: abort.signal });
        await until('the request', () => waiting);
        abort.abort(new MeshError('CANCELLED', 'gone'));
        await assert.rejects(pending, hasCode('CANCELLED'));
        await until('the end of the stream', () => waiting!.signal.aborted);
        // A late answer meets a closed stream and must not throw.
        waiting!.refuse(503);
        assert.ok(waiting!.accept({}).destroyed || waiting!.accept({}).closed);
      });
    });

    describe('pool', () => {
      it('carries 100 clients of one source on one connection', async () => {
        const { address, accepted } = await startServer(hold);
        const pool = startPool();
        await Promise.all(Array.from({ length: 100 }, () => open(pool, address)));
        assert.equal(pool.connections, 1);
        assert.equal(accepted.length, 1);
      });

      it('never shares a connection between sources', async () => {
        const { address, accepted } = await startServer(hold);
        const pool = startPool();
        const sources = Array.from({ length: 100 }, (_, i) => ({ ...client, serviceAccount: `client-${i}` }));
        await Promise.all(sources.map((source) => open(pool, address, { source })));
        assert.equal(pool.connections, 100);
        assert.equal(accepted.length, 100);
      });

      it('carries 300 clients of 3 sources on 3 connections', async () => {
        const peers = new Map<string, number>();
        const { address, accepted } = await startServer((tunnel) => {
          hold(tunnel);
          peers.set(tunnel.peer.serviceAccount, (peers.get(tunnel.peer.serviceAccount) ?? 0) + 1);
        });
        const pool = startPool();
        const sources = Array.from({ length: 300 }, (_, i) => ({ ...client, serviceAccount: `client-${i % 3}` }));
        await Promise.all(sources.map((source) => open(pool, address, { source })));
        assert.equal(accepted.length, 3);
        assert.deepEqual([...peers.values()], [100, 100, 100]);
      });

      it('opens another connection when one is at its limit, and goes back when there is room', async () => {
        const { address, accepted } = await startServer(hold);
        const pool = startPool({ maxStreamsPerConnection: 10 });
        const tunnels = await Promise.all(Array.from({ length: 25 }, () => open(pool, address)));
        assert.equal(accepted.length, 3);
        for (const tunnel of tunnels.slice(0, 5)) tunnel.stream.destroy();
        await until('streams to close', () => tunnels.slice(0, 5).every((t) => t.stream.closed));
        await Promise.all(Array.from({ length: 5 }, () => open(pool, address)));
        assert.equal(accepted.length, 3);
      });

      it('keeps within the limit that the peer sets', async () => {
        const peers: RawPeer[] = [];
        const address = await rawListener((peer) => {
          peers.push(peer);
          peer.send(settingsFrame([[3, 2]]));
          answerConnects(peer);
        });
        const pool = startPool();
        await Promise.all(Array.from({ length: 6 }, () => open(pool, address)));
        assert.equal(peers.length, 3);
      });

      it('does not dial for ever to a peer that allows no streams', async () => {
        let dialled = 0;
        const address = await rawListener((peer) => {
          dialled++;
          peer.send(settingsFrame([[3, 0]]));
        });
        await assert.rejects(open(startPool(), address), hasCode('H2_FAILED'));
        assert.equal(dialled, 1);
      });

      it('makes a single dial for requests that come together, and one failure fails them all', async () => {
        let dials = 0;
        const pool = startPool({
          dial: async () => {
            dials++;
            throw new MeshError('CONNECT_FAILED', 'refused');
          },
        });
        const address = parseSocketAddr('127.0.0.1:1')!;
        const results = await Promise.allSettled(Array.from({ length: 20 }, () => open(pool, address)));
        assert.ok(results.every((r) => r.status === 'rejected' && hasCode('CONNECT_FAILED')(r.reason)));
        assert.equal(dials, 1);
      });

      it('closes a connection that was unused for 5 minutes, not one that is in use', async () => {
        const clock = new FakeClock();
        const { address } = await startServer(hold);
        const pool = startPool({ clock });
        const tunnel = await open(pool, address);
        await advance(clock, 600);
        assert.equal(pool.connections, 1);
        tunnel.stream.destroy();
        await until('the stream to close', () => tunnel.stream.closed);
        await advance(clock, 295);
        assert.equal(pool.connections, 1);
        await advance(clock, 10);
        await until('the connection to close', () => pool.connections === 0);
      });

      it('drops a connection on GOAWAY and lets its streams finish', async () => {
        const first = await startServer(echo);
        const pool = startPool();
        const old = await open(pool, first.address);
        const drained = first.hbone.drain(60_000);
        await until('a new connection for the next tunnel', async () => {
          await open(pool, first.address);
          return first.accepted.length > 1;
        });
        assert.equal(await echoed(old, 'still here'), 'still here');
        first.hbone.close();
        await drained;
      });

      it('sends a tunnel again that the peer has not processed', async () => {
        let peers = 0;
        const address = await rawListener((peer) => {
          peers++;
          peer.send(settingsFrame());
          if (peers === 1) onConnect(peer, () => peer.send(goaway(0, 0)));
          else answerConnects(peer);
        });
        await open(startPool(), address);
        assert.equal(peers, 2);
      });

      it('sends a tunnel again that a peer which leaves took and does not answer', async () => {
        let peers = 0;
        const address = await rawListener((peer) => {
          peers++;
          peer.send(settingsFrame());
          if (peers === 1) onConnect(peer, () => peer.send(goaway(1, 0)));
          else answerConnects(peer);
        });
        await open(startPool(), address);
        assert.equal(peers, 2);
      });

      it('waits for the answer of a peer that leaves', async () => {
        let peers = 0;
        const address = await rawListener((peer) => {
          peers++;
          peer.send(settingsFrame());
          onConnect(peer, (stream) => peer.send(goaway(1, 0), accepted(stream)));
        });
        await open(startPool(), address);
        assert.equal(peers, 1);
      });

      it('dials again while a peer that is being replaced takes each connection back', async () => {
        let peers = 0;
        const address = await rawListener((peer) => {
          peers++;
          if (peers < 4) {
            peer.send(settingsFrame(), goaway(0, 0));
            return;
          }
          peer.send(settingsFrame());
          answerConnects(peer);
        });
        const pool = startPool();
        await Promise.all([open(pool, address), open(pool, address), open(pool, address)]);
        assert.equal(peers, 4);
      });

      it('gives up a peer that takes every connection back', async () => {
        let peers = 0;
        const address = await rawListener((peer) => {
          peers++;
          peer.send(settingsFrame(), goaway(0, 0));
        });
        await assert.rejects(open(startPool(), address), hasCode('H2_FAILED'));
        assert.equal(peers, 6);
      });

      it('loses no tunnel while its peer drains', async () => {
        const { hbone, address, accepted } = await startServer(echo);
        const pool = startPool();
        await open(pool, address);
        const many = Promise.all(Array.from({ length: 90 }, () => open(pool, address)));
        void hbone.drain(60_000);
        const tunnels = await many;
        assert.equal(tunnels.length, 90);
        assert.ok(accepted.length >= 1);
      });

      it('gives up a dial whose only client has left', async () => {
        let dialSignal: CancelSignal | undefined;
        const pool = startPool({
          dial: (_, signal) => {
            dialSignal = signal;
            return new Promise(() => undefined);
          },
        });
        const abort = new AbortController();
        const pending = open(pool, parseSocketAddr('127.0.0.1:1')!, { signal: abort.signal });
        await until('the dial', () => dialSignal);
        abort.abort(new MeshError('CANCELLED', 'gone'));
        await assert.rejects(pending, hasCode('CANCELLED'));
        assert.ok(dialSignal!.aborted);
      });

      it('goes on with a dial when one of two clients leaves', async () => {
        const { address } = await startServer(hold);
        const gate = Promise.withResolvers<void>();
        const pool = startPool({ dial: (to, signal) => gate.promise.then(() => engineDial(to, signal)) });
        const abort = new AbortController();
        const leaves = open(pool, address, { signal: abort.signal });
        const stays = open(pool, address);
        abort.abort(new MeshError('CANCELLED', 'gone'));
        await assert.rejects(leaves, hasCode('CANCELLED'));
        gate.resolve();
        await stays;
      });

      it('gives a dial up after 10 s, as a probable network policy', async () => {
        const clock = new FakeClock();
        const pool = startPool({ clock, dial: () => new Promise(() => undefined) });
        const pending = open(pool, parseSocketAddr('127.0.0.1:1')!);
        const refused = assert.rejects(pending, hasCode('CONNECT_TIMEOUT'));
        await advance(clock, 10);
        await refused;
      });

      it('uses a rotated certificate for the next connection and keeps those that are open', async () => {
        const other = { ...client, serviceAccount: 'rotated' };
        const first = await ca.issue(other);
        const second = await ca.issue(other);
        let asked = 0;
        const { address, accepted } = await startServer(hold);
        const pool = startPool({
          maxStreamsPerConnection: 1,
          certificate: async () => (asked++ === 0 ? first : second),
        });
        await open(pool, address, { source: other });
        await open(pool, address, { source: other });
        assert.equal(asked, 2);
        assert.equal(accepted.length, 2);
        assert.equal(pool.connections, 2);
      });
    });

    describe('bytes', () => {
      it('passes an end of either side on while the other still sends', async () => {
        const { address } = await startServer((tunnel) => {
          const stream = tunnel.accept({});
          const hash = createHash('md5');
          stream.on('data', (chunk) => hash.update(chunk));
          // The answer is sent only after the client's end was seen.
          stream.once('end', () => stream.end(hash.digest('hex')));
        });
        const payload = randomBytes(5 * megabyte);
        const tunnel = await open(startPool(), address);
        tunnel.stream.end(payload);
        assert.equal(await readAll(tunnel), createHash('md5').update(payload).digest('hex'));
      });

      it('lets the server end first', async () => {
        const payload = randomBytes(5 * megabyte);
        const received = Promise.withResolvers<string>();
        const { address } = await startServer((tunnel) => {
          const stream = tunnel.accept({});
          stream.end(payload);
          const hash = createHash('md5');
          stream.on('data', (chunk) => hash.update(chunk));
          stream.once('end', () => received.resolve(hash.digest('hex')));
        });
        const tunnel = await open(startPool(), address);
        const hash = createHash('md5');
        for await (const chunk of tunnel.stream) hash.update(chunk);
        const wanted = createHash('md5').update(payload).digest('hex');
        assert.equal(hash.digest('hex'), wanted);
        tunnel.stream.end(payload);
        assert.equal(await received.promise, wanted);
      });

      it('copies odd sizes unchanged through a relay at either end', async () => {
        const app = await listen((socket) => socket.pipe(socket));
        const { address } = await startServer(async (tunnel) => {
          const upstream = await engineDial(app);
          await relay(tunnel.accept({}), upstream, { signal: tunnel.signal });
        });
        const pool = startPool();
        const outbound = await engineListen(async (socket) => {
          const tunnel = await open(pool, address);
          await relay(socket, tunnel.stream, { signal: never });
        });
        const sizes = [1, 2, 9, 1023, 1024, 1025, 16_383, 16_384, 16_385, 65_535, 65_537, 262_147];
        await Promise.all(
          Array.from({ length: 8 }, async (_, i) => {
            const socket = await dial(outbound);
            const sent = createHash('md5');
            const got = createHash('md5');
            const done = Promise.withResolvers<void>();
            socket.on('data', (chunk) => got.update(chunk));
            socket.once('end', () => done.resolve());
            for (let n = 0; n < 40; n++) {
              const chunk = randomBytes(sizes[(n * (i + 1)) % sizes.length]!);
              sent.update(chunk);
              if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
            }
            socket.end();
            await done.promise;
            assert.equal(got.digest('hex'), sent.digest('hex'));
          }),
        );
      });

      for (const [name, code] of [
        ['NO_ERROR', 0],
        ['CANCEL', 8],
      ] as const) {
        it(`reads RST_STREAM ${name} as the end`, async () => {
          const relayed = Promise.withResolvers<{ received: number; error?: Error }>();
          const app = await listen((socket) => {
            socket.on('end', () => socket.end());
            socket.resume();
          });
          const { address } = await startServer(async (tunnel) => {
            const upstream = await engineDial(app);
            relayed.resolve(await relay(tunnel.accept({}), upstream, { signal: never }));
          });
          const peer = await readyPeer(address);
          peer.send(connectFrame(1));
          await until('the answer', () => peer.frames.some((f) => f.type === frameType.headers));
          peer.send(frame(frameType.data, 0, 1, Buffer.from('abc')));
          await until('the bytes to be taken', () => true);
          peer.send(rstStream(1, code));
          const result = await relayed.promise;
          assert.equal(result.error, undefined);
          assert.equal(result.received, 3);
        });
      }

      it('does not take a lost connection for the end', async () => {
        const lost = Promise.withResolvers<Error>();
        let accepted = false;
        const { address } = await startServer((tunnel) => {
          const stream = tunnel.accept({});
          accepted = true;
          stream.on('data', () => undefined);
          stream.once('end', () => lost.reject(new Error('read as an end')));
          stream.once('error', lost.resolve);
        });
        const peer = await readyPeer(address);
        peer.send(connectFrame(1), frame(frameType.data, 0, 1, Buffer.from('abc')));
        await until('the tunnel', () => accepted);
        peer.socket.destroy();
        assert.ok((await lost.promise) instanceof Error);
      });

      it('resets a cut tunnel with CONNECT_ERROR and without END_STREAM, at either end', async () => {
        const app = await listen((socket) => socket.resume());
        const isReset = (peer: RawPeer) => peer.frames.some((f) => f.type === frameType.rstStream);
        const assertCut = (peer: RawPeer) => {
          const of = (type: number) => peer.frames.filter((f) => f.type === type && f.stream === 1);
          assert.deepEqual(
            of(frameType.rstStream).map((f) => f.payload.readUInt32BE()),
            [10],
          );
          assert.ok([...of(frameType.data), ...of(frameType.headers)].every((f) => (f.flags & flag.endStream) === 0));
        };
        const cut = new AbortController();
        const { address } = await startServer(async (tunnel) => {
          await relay(tunnel.accept({}), await engineDial(app), { signal: cut.signal });
        });
        const downstream = await readyPeer(address);
        downstream.send(connectFrame(1));
        const upstream = Promise.withResolvers<RawPeer>();
        const tunnel = await open(
          startPool(),
          await rawListener((peer) => {
            upstream.resolve(peer);
            peer.send(settingsFrame(), settingsAck);
            void until('the request', () => peer.frames.some((f) => f.type === frameType.headers)).then(() =>
              peer.send(headersFrame(1, [[':status', '200']])),
            );
          }),
        );
        const relayed = relay(await engineDial(app), tunnel.stream, { signal: cut.signal });
        await until('the answer', () => downstream.frames.some((f) => f.type === frameType.headers));
        cut.abort();
        await relayed;
        for (const peer of [downstream, await upstream.promise]) {
          await until('the reset', () => isReset(peer));
          assertCut(peer);
        }
      });

      for (const [name, before] of [
        ['a reset', []],
        ['a reset right after END_STREAM', [frame(frameType.data, flag.endStream, 1)]],
      ] as const) {
        it(`closes the socket behind a tunnel on ${name}`, async () => {
          const relayed = Promise.withResolvers<{ error?: Error }>();
          const app = await listen((socket) => socket.resume());
          let upstream: ByteStream | undefined;
          const { address } = await startServer(async (tunnel) => {
            upstream = await engineDial(app);
            relayed.resolve(await relay(tunnel.accept({}), upstream, { signal: never }));
          });
          const peer = await readyPeer(address);
          peer.send(connectFrame(1));
          await until('the answer', () => peer.frames.some((f) => f.type === frameType.headers));
          peer.send(...before, rstStream(1, 10));
          assert.match((await relayed.promise).error!.message, /CONNECT_ERROR/);
          await until('the socket to close', () => upstream!.closed);
        });
      }

      for (const streams of [1, 60]) {
        it(`holds a bounded amount for ${streams} readers that never read`, async () => {
          const readers: ReturnType<InboundTunnel['accept']>[] = [];
          const { address } = await startServer((tunnel) => {
            const stream = tunnel.accept({});
            stream.on('error', () => undefined);
            readers.push(stream);
          });
          const pool = startPool();
          let written = 0;
          const chunk = Buffer.alloc(65_536);
          for (let i = 0; i < streams; i++) {
            const { stream } = await open(pool, address);
            stream.on('error', () => undefined);
            const pump = (): void => {
              const more = stream.write(chunk, (error) => {
                written += error ? 0 : chunk.length;
              });
              if (more) setImmediate(pump);
            };
            stream.on('drain', pump);
            pump();
          }
          await settled(() => written);
          assert.ok(written >= 4 * megabyte, `only ${written} bytes were taken`);
          // 16 MiB is the connection's window; on top comes what is under way when the small window is announced.
          assert.ok(written <= 96 * megabyte, `${written} bytes were taken`);
          // A reader that reads is not held up by those that do not.
          const reader = readers[0]!;
          let read = 0;
          reader.on('data', (bytes: Buffer) => {
            read += bytes.length;
          });
          await until('8 MiB through one stream', () => read > 8 * megabyte);
        });
      }
    });

    describe('certificates', () => {
      const cases: readonly (readonly [string, () => Promise<WorkloadCertificate>])[] = [
        ['of another CA', () => otherCa.issue(client)],
        [
          'that has expired',
          () => ca.issue(client, { notBefore: Date.now() - 7_200_000, notAfter: Date.now() - 3_600_000 }),
        ],
        ['that is not valid yet', () => ca.issue(client, { notBefore: Date.now() + 3_600_000 })],
        ['of a foreign trust domain', () => ca.issue({ ...client, trustDomain: 'other.example' })],
        ['without a SPIFFE id', () => ca.issue(client, { uris: [], dns: ['client.example'] })],
        ['with six segments', () => ca.issue(client, { uris: ['spiffe://cluster.local/ns/apps/sa/client/x'] })],
        ['for servers only', () => ca.issue(client, { usages: [usage.serverAuth] })],
      ];
      for (const [name, issue] of cases) {
        it(`refuses a client certificate ${name}`, async () => {
          const { address, errors } = await startServer(() => assert.fail('a tunnel came through'));
          const bad = await issue();
          const pool = startPool({ certificate: async () => ({ ...bad, roots: [ca.root] }) });
          await assert.rejects(open(pool, address), MeshError);
          await until('the error', () => errors.length > 0);
          assert.ok(hasCode('TLS_FAILED')(errors[0]));
        });
      }

      it('refuses a client without a certificate', async () => {
        const { address, errors } = await startServer(() => assert.fail('a tunnel came through'));
        const peer = await rawClient(await dial(address), undefined);
        peer.send(preface, settingsFrame(), connectFrame(1));
        await until('the refusal', () => errors.length > 0 && peer.closed);
        assert.ok(hasCode('TLS_FAILED')(errors[0]));
      });

      it('takes the first SPIFFE id as the source when one of them is of its own domain', async () => {
        let peer: Identity | undefined;
        const { address } = await startServer((tunnel) => {
          peer = tunnel.peer;
          hold(tunnel);
        });
        const uris = ['https://x/y', 'spiffe://other.example/ns/a/sa/b', 'spiffe://cluster.local/ns/apps/sa/client'];
        const pool = startPool({ certificate: async () => ca.issue(client, { uris }) });
        await open(pool, address);
        assert.deepEqual(peer, { trustDomain: 'other.example', namespace: 'a', serviceAccount: 'b' });
      });

      it('does not read a second name out of one', async () => {
        const { address, errors } = await startServer(() => assert.fail('a tunnel came through'));
        const uris = [
          'http://x/, URI:spiffe://cluster.local/ns/apps/sa/client',
          'http://y/", URI:"spiffe://cluster.local/ns/a/sa/b',
        ];
        const pool = startPool({ certificate: async () => ca.issue(client, { uris }) });
        await assert.rejects(open(pool, address), MeshError);
        await until('the error', () => errors.length > 0);
      });

      for (const [name, expected] of [
        ['other than expected', [stranger]],
        ['when nothing is expected', []],
        ['of the same name in another domain', [{ ...server, trustDomain: 'other.example' }]],
      ] as const) {
        it(`refuses a server ${name}`, async () => {
          const { address } = await startServer(hold);
          await assert.rejects(open(startPool(), address, { expected: [...expected] }), hasCode('TLS_FAILED'));
        });
      }

      it('accepts a server that is one of several expected', async () => {
        const { address } = await startServer(hold);
        const tunnel = await open(startPool(), address, { expected: [stranger, server] });
        assert.deepEqual(tunnel.peer, server);
      });

      for (const [name, issue] of [
        ['of another CA', () => otherCa.issue(server)],
        [
          'that has expired',
          () => ca.issue(server, { notBefore: Date.now() - 7_200_000, notAfter: Date.now() - 60_000 }),
        ],
        ['for clients only', () => ca.issue(server, { usages: [usage.clientAuth] })],
      ] as const) {
        it(`refuses a server certificate ${name}`, async () => {
          const certificate = { ...(await issue()), roots: [ca.root] };
          const { address } = await startServer(hold, { certificate });
          await assert.rejects(open(startPool(), address), hasCode('TLS_FAILED'));
        });
      }

      it('trusts both roots of one name while the CA is rotated', async () => {
        const { address } = await startServer(hold, {
          certificate: { ...serverCertificate, roots: [otherCa.root, ca.root] },
        });
        await open(startPool(), address);
        const renewed = await otherCa.issue(client);
        await open(startPool({ certificate: async () => ({ ...renewed, roots: [otherCa.root, ca.root] }) }), address);
      });

      it('reports a certificate that cannot be had', async () => {
        const pool = startPool({
          certificate: async () => {
            throw new MeshError('IDENTITY_UNAVAILABLE', 'no');
          },
        });
        await assert.rejects(open(pool, parseSocketAddr('127.0.0.1:1')!), hasCode('IDENTITY_UNAVAILABLE'));
      });

      const isGoaway = (f: Frame) => f.type === frameType.goaway;
      for (const expiring of ['own', "peer's"] as const) {
        /** Five seconds before the end of one of both certificates; the real clock, which TLS itself asks, is far from it. */
        const nearlyExpired = async () => {
          const clock = new FakeClock(Date.now() + 3_600_000);
          const short = { notAfter: Math.floor(clock.wall() / 1_000) * 1_000 + 5_000 };
          const issue = (identity: Identity, whose: 'own' | "peer's") =>
            ca.issue(identity, expiring === whose ? short : { notAfter: clock.wall() + 86_400_000 });
          return { clock, issue };
        };

        it(`serves no new tunnel on a connection whose ${expiring} certificate has expired; open ones finish`, async () => {
          const { clock, issue } = await nearlyExpired();
          const tunnels: InboundTunnel[] = [];
          const onTunnel = (tunnel: InboundTunnel) => {
            tunnels.push(tunnel);
            echo(tunnel);
          };
          const { address } = await startServer(onTunnel, { clock, certificate: await issue(server, 'own') });
          const peer = await rawConnection(address, await issue(client, "peer's"));
          peer.send(preface, settingsFrame(), settingsAck, connectFrame(1));
          await until('the tunnel', () => tunnels.length === 1);
          await advance(clock, 3);
          assert.ok(!peer.frames.some(isGoaway));
          await advance(clock, 2);
          await until('GOAWAY', () => peer.frames.some(isGoaway));
          peer.send(connectFrame(3), frame(frameType.data, flag.endStream, 1, Buffer.from('finishes')));
          await until('the end of the connection', () => peer.closed);
          assert.match(
            Buffer.concat(peer.frames.filter((f) => f.type === frameType.data).map((f) => f.payload)).toString(),
            /finishes/,
          );
          assert.equal(tunnels.length, 1);
          peer.socket.destroy();
          await until('no timer to be left', () => clock.timers === 0);
        });

        it(`opens no new tunnel on a connection whose ${expiring} certificate has expired; open ones finish`, async () => {
          const { clock, issue } = await nearlyExpired();
          const peers: RawPeer[] = [];
          const address = await rawListener(
            (peer) => {
              peers.push(peer);
              peer.send(settingsFrame(), settingsAck);
              void until('the request', () => peer.frames.some((f) => f.type === frameType.headers)).then(() =>
                peer.send(headersFrame(1, [[':status', '200']])),
              );
            },
            await issue(server, "peer's"),
          );
          const certificate = await issue(client, 'own');
          const pool = startPool({ clock, certificate: issuedOnce(certificate) });
          const tunnel = await open(pool, address);
          await advance(clock, 3);
          assert.ok(!peers[0]!.frames.some(isGoaway));
          await advance(clock, 2);
          await until('GOAWAY', () => peers[0]!.frames.some(isGoaway));
          await assert.rejects(open(pool, address), hasCode('IDENTITY_UNAVAILABLE'));
          peers[0]!.send(frame(frameType.data, flag.endStream, 1, Buffer.from('finishes')));
          assert.equal(String(await readAll(tunnel)), 'finishes');
          tunnel.stream.end();
          await until('the end of the connection', () => peers[0]!.closed);
          peers[0]!.socket.destroy();
          await until('nothing to be left', () => pool.connections === 0 && clock.timers === 0);
        });

        it(`has no new tunnel on a connection whose ${expiring} certificate has expired since the clock was set`, async () => {
          const { clock, issue } = await nearlyExpired();
          const tunnels: InboundTunnel[] = [];
          const onTunnel = (tunnel: InboundTunnel) => {
            tunnels.push(tunnel);
            echo(tunnel);
          };
          const { address } = await startServer(onTunnel, { clock, certificate: await issue(server, 'own') });
          const certificate = await issue(client, "peer's");
          const peer = await rawConnection(address, certificate);
          peer.send(preface, settingsFrame(), settingsAck, connectFrame(1));
          await until('the tunnel', () => tunnels.length === 1);
          const pool = startPool({ clock, certificate: issuedOnce(certificate) });
          const tunnel = await open(pool, address);
          clock.setWall(5_000);
          peer.send(connectFrame(3));
          const refused = (f: Frame) => f.type === frameType.rstStream && f.stream === 3 && f.payload.equals(uint32(7));
          await until('the refusal', () => peer.frames.some(refused) && peer.frames.some(isGoaway));
          await assert.rejects(open(pool, address), hasCode('IDENTITY_UNAVAILABLE'));
          assert.equal(await echoed(tunnel, 'still here'), 'still here');
          assert.equal(tunnels.length, 2);
        });
      }

      it('forgets the expiry of connections that are gone', async () => {
        const clock = new FakeClock(Date.now());
        const { address } = await startServer(hold, { clock });
        const poolClock = new FakeClock(Date.now());
        const pool = startPool({ clock: poolClock });
        await open(pool, address);
        pool.close();
        await until('no timer to be left', () => clock.timers === 0 && poolClock.timers === 0);
      });
    });

    describe('hostile and broken peers', () => {
      it('closes a connection that sends garbage instead of TLS', async () => {
        const { address, errors } = await startServer(hold);
        const socket = await dial(address);
        let closed = false;
        socket.on('close', () => {
          closed = true;
        });
        socket.resume();
        // Not random: that could by chance begin like a record that is still incomplete.
        socket.write(Buffer.alloc(512, 'A'));
        await until('the error', () => errors.length > 0);
        socket.end();
        await until('the close', () => closed);
      });

      it('closes a connection that sends garbage instead of HTTP/2', async () => {
        const { address, errors } = await startServer(hold);
        const peer = await rawConnection(address);
        peer.send(Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'));
        await until('the close', () => errors.length > 0 && peer.closed);
      });

      it('refuses a client that does not offer h2', async () => {
        const { address, errors } = await startServer(hold);
        const { connect } = await import('node:tls');
        const raw = await dial(address);
        const socket = connect({
          socket: raw,
          key: clientCertificate.privateKey,
          cert: clientCertificate.chain.join('\n'),
          rejectUnauthorized: false,
        });
        socket.on('error', () => undefined);
        await until('the refusal', () => errors.length > 0);
        assert.ok(hasCode('TLS_FAILED')(errors[0]));
        socket.destroy();
      });

      it('fails a tunnel to a peer that sends garbage', async () => {
        const address = await listen((socket) => socket.end(Buffer.alloc(512, 'A')));
        await assert.rejects(open(startPool(), address), hasCode('TLS_FAILED'));
        const second = await rawListener((peer) => peer.send(randomBytes(512)));
        await assert.rejects(open(startPool(), second), hasCode('H2_FAILED'));
      });

      for (const stage of ['TLS', 'HTTP/2'] as const) {
        it(`gives up a client that stalls its ${stage} handshake for 10 s`, async () => {
          const clock = new FakeClock();
          const { address, errors, accepted } = await startServer(hold, { clock });
          const socket = stage === 'TLS' ? await dial(address) : (await rawConnection(address)).socket;
          let closed = false;
          socket.on('error', () => undefined);
          socket.on('end', () => {
            closed = true;
          });
          socket.resume();
          await until('the connection', () => accepted.length === 1 && clock.timers > 0);
          await advance(clock, 9);
          assert.equal(errors.length, 0);
          await advance(clock, 2);
          await until('the close', () => closed && errors.length === 1);
        });

        it(`gives up a server that stalls its ${stage} handshake for 10 s`, async () => {
          const clock = new FakeClock();
          let arrived = false;
          const address =
            stage === 'TLS'
              ? await listen(() => {
                  arrived = true;
                })
              : await rawListener(() => {
                  arrived = true;
                });
          const pending = assert.rejects(
            open(startPool({ clock }), address),
            hasCode(stage === 'TLS' ? 'TLS_FAILED' : 'H2_FAILED'),
          );
          await until('the dial', () => arrived);
          await advance(clock, 11);
          await pending;
        });
      }

      it('answers PING, and takes unknown settings, unknown frames and frames of 1 MiB', async () => {
        let received = 0;
        const { address } = await startServer((tunnel) => {
          const stream = tunnel.accept({});
          stream.on('data', (chunk: Buffer) => {
            received += chunk.length;
          });
        });
        const peer = await rawConnection(address);
        peer.send(
          preface,
          settingsFrame([
            [0x99, 7],
            [0xfff0, 1],
          ]),
          settingsAck,
          frame(0xfa, 0, 0, randomBytes(33)),
        );
        peer.send(frame(frameType.ping, 0, 0, Buffer.from('12345678')));
        const pong = await until('the PONG', () => peer.frames.find((f) => f.type === frameType.ping));
        assert.equal(pong.flags, flag.ack);
        assert.equal(pong.payload.toString(), '12345678');
        peer.send(connectFrame(1), frame(frameType.data, 0, 1, Buffer.alloc(megabyte)));
        await until('the frame of 1 MiB', () => received === megabyte);
      });

      it('announces the limits of the wire reference', async () => {
        const { address } = await startServer(hold);
        const peer = await readyPeer(address);
        const settings = peer.frames.find((f) => f.type === frameType.settings)!.payload;
        const value = new Map<number, number>();
        for (let i = 0; i < settings.length; i += 6) value.set(settings.readUInt16BE(i), settings.readUInt32BE(i + 2));
        assert.equal(value.get(3), 200);
        assert.equal(value.get(4), 4 * megabyte);
        assert.equal(value.get(5), megabyte);
        assert.equal(value.get(6), 65_536);
        const window = await until('the connection window', () =>
          peer.frames.find((f) => f.type === frameType.windowUpdate && f.stream === 0),
        );
        assert.equal(window.payload.readUInt32BE(0), 16 * megabyte - 65_535);
      });

      for (const role of ['server', 'client'] as const) {
        it(`sends PING as a ${role} after 10 s, goes on when it is answered, and closes after 20 s when it is not`, async () => {
          const clock = new FakeClock();
          let peer: RawPeer | undefined;
          if (role === 'server') {
            const { address } = await startServer(hold, { clock });
            peer = await readyPeer(address);
          } else {
            const address = await rawListener((p) => {
              peer = p;
              p.send(settingsFrame());
              answerConnects(p);
            });
            await open(startPool({ clock }), address);
          }
          const pings = () => peer!.frames.filter((f) => f.type === frameType.ping && f.flags === 0);
          await until('the timers', () => clock.timers > 0);
          await advance(clock, 10);
          await until('the first PING', () => pings().length === 1);
          peer!.send(frame(frameType.ping, flag.ack, 0, pings()[0]!.payload));
          await until('the second PING', async () => {
            await advance(clock, 1);
            return pings().length === 2;
          });
          await advance(clock, 15);
          assert.equal(peer!.closed, false);
          await advance(clock, 10);
          await until('the close', () => peer!.closed);
        });
      }

      it('keeps a peer whose answer to a PING is late as long as anything comes from it', async () => {
        const clock = new FakeClock();
        const { address } = await startServer(hold, { clock });
        const peer = await readyPeer(address);
        const pings = () => peer.frames.filter((f) => f.type === frameType.ping && f.flags === 0);
        const answers = () => peer.frames.filter((f) => f.type === frameType.ping && f.flags === flag.ack);
        await until('the timers', () => clock.timers > 0);
        await advance(clock, 10);
        await until('the PING', () => pings().length === 1);
        for (let sent = 1; sent <= 6; sent++) {
          peer.send(frame(frameType.ping, 0, 0, Buffer.from('12345678')));
          await until('its own PING is answered', () => answers().length === sent);
          await advance(clock, 10);
          assert.equal(peer.closed, false, `${sent * 10} s after the PING`);
        }
        await advance(clock, 20);
        await until('the close', () => peer.closed);
      });

      it('refuses streams beyond 200', async () => {
        let tunnels = 0;
        const { address } = await startServer((tunnel) => {
          hold(tunnel);
          tunnels++;
        });
        const peer = await readyPeer(address);
        for (let i = 0; i < 210; i++) peer.send(connectFrame(1 + 2 * i));
        await until(
          'the refusals',
          () => peer.frames.filter((f) => f.type === frameType.rstStream).length === 10 || peer.closed,
        );
        // An engine with a thread of its own refuses before the others are told of here.
        await until('the tunnels', () => tunnels >= 200 || peer.closed);
        assert.equal(tunnels, 200);
      });

      it('refuses headers beyond 64 KiB', async () => {
        let tunnels = 0;
        const { address } = await startServer(() => tunnels++);
        const peer = await readyPeer(address);
        peer.send(
          headersFrame(1, [
            [':method', 'CONNECT'],
            [':authority', '10.0.0.1:80'],
            ['baggage', 'x'.repeat(70_000)],
          ]),
        );
        await until('the reset', () => peer.closed || peer.frames.some((f) => f.type === frameType.rstStream));
        assert.equal(tunnels, 0);
      });

      for (const code of [0, 8]) {
        it(`closes on rapid reset with code ${code}, also when the peer never has many streams open`, async () => {
          let begun = 0;
          let gone = 0;
          const { address, errors } = await startServer((tunnel) => {
            begun++;
            tunnel.signal.addEventListener('abort', () => gone++);
          });
          const peer = await readyPeer(address);
          let stream = 1;
          while (!peer.closed && begun < 2_000) {
            for (let i = 0; i < 50; i++, stream += 2) peer.send(connectFrame(stream), rstStream(stream, code));
            await until('the streams to end', () => peer.closed || gone === (stream - 1) / 2);
          }
          assert.ok(begun <= 551, `${begun} streams`);
          assert.ok(errors.some((e) => e instanceof MeshError && e.code === 'PROTOCOL'));
        });
      }

      it('loses no tunnel of a client that resets fast', async () => {
        const { address } = await startServer(hold);
        const pool = startPool();
        for (let round = 0; round < 15; round++) {
          const tunnels = await Promise.all(Array.from({ length: 100 }, () => open(pool, address)));
          for (const { stream } of tunnels) stream.on('error', () => undefined).destroy();
        }
      });

      it('closes on rapid reset that comes in one burst', async () => {
        let begun = 0;
        const { address } = await startServer(() => begun++);
        const peer = await readyPeer(address);
        for (let stream = 1; stream < 20_000; stream += 2) peer.send(connectFrame(stream), rstStream(stream, 8));
        await until('the close', () => peer.closed);
        assert.ok(begun <= 1_100, `${begun} streams`);
      });

      it('does not take our own resets for those of the peer', async () => {
        const { address } = await startServer((tunnel) =>
          tunnel
            .accept({})
            .on('error', () => undefined)
            .destroy(new Error('app')),
        );
        const peer = await readyPeer(address);
        for (let i = 0; i < 700; i++) {
          peer.send(connectFrame(1 + 2 * i));
          if (i % 50 === 49) {
            await until(
              'the resets',
              () => peer.closed || peer.frames.filter((f) => f.type === frameType.rstStream).length > i,
            );
          }
        }
        assert.equal(peer.closed, false);
      });

      const floods: readonly (readonly [string, () => Buffer])[] = [
        ['PING', () => frame(frameType.ping, 0, 0, Buffer.alloc(8))],
        ['SETTINGS', () => settingsFrame([[4, 65_535]])],
        ['empty DATA', () => frame(frameType.data, 0, 1)],
        ['PRIORITY on itself', () => frame(frameType.priority, 0, 1, Buffer.concat([uint32(1), Buffer.of(0)]))],
        ['zero WINDOW_UPDATE', () => frame(frameType.windowUpdate, 0, 0, uint32(0))],
        ['CONTINUATION', () => frame(frameType.continuation, 0, 3)],
        ['DATA on a closed stream', () => frame(frameType.data, 0, 1_001, Buffer.alloc(1))],
      ];
      for (const [name, make] of floods) {
        it(`survives a flood of ${name} from a peer that reads nothing`, async () => {
          const { address } = await startServer(hold);
          const peer = await readyPeer(address);
          peer.send(connectFrame(1));
          if (name === 'CONTINUATION') peer.send(frame(frameType.headers, 0, 3));
          peer.socket.pause();
          const before = process.memoryUsage().rss;
          const flood = Buffer.concat(Array.from({ length: 500 }, make));
          for (let i = 0; i < 200 && !peer.socket.destroyed; i++) {
            if (!peer.socket.write(flood)) await Promise.race([once(peer.socket, 'drain'), tick(20)]);
          }
          const grown = process.memoryUsage().rss - before;
          assert.ok(grown < 128 * megabyte, `${Math.round(grown / megabyte)} MiB more`);
          peer.socket.destroy();
          // The server still serves others.
          await open(startPool(), address);
        });
      }

      it('lives through streams and connections cut at any moment', async () => {
        const { address } = await startServer(echo);
        for (let i = 0; i < 40; i++) {
          const peer = await rawConnection(address);
          const bytes = Buffer.concat([
            preface,
            settingsFrame(),
            settingsAck,
            connectFrame(1),
            frame(0, 1, 1, randomBytes(50)),
          ]);
          peer.send(bytes.subarray(0, Math.floor((bytes.length * i) / 40)));
          if (i % 2 === 0) peer.socket.destroy();
          else peer.socket.end();
        }
        const tunnel = await open(startPool(), address);
        assert.equal(await echoed(tunnel, 'alive'), 'alive');
      });
    });

    describe('drain', () => {
      it('ends at once without streams', async () => {
        const { hbone, address } = await startServer(echo);
        const pool = startPool();
        const tunnel = await open(pool, address);
        tunnel.stream.end();
        tunnel.stream.resume();
        await until('the stream to end', () => tunnel.stream.closed);
        await hbone.drain(60_000);
        await until('the client to notice', () => pool.connections === 0);
      });

      it('waits for open streams, and cuts them at the deadline', async () => {
        const clock = new FakeClock();
        const { hbone, address } = await startServer(echo, { clock });
        const short = await open(startPool(), address);
        const long = await open(startPool(), address);
        let drained = false;
        const drain = hbone.drain(5_000).then(() => {
          drained = true;
        });
        assert.equal(await echoed(short, 'finishes'), 'finishes');
        assert.equal(drained, false);
        const cut = new Promise((resolve) => long.stream.once('close', resolve));
        let failure: Error | undefined;
        long.stream.on('error', (error: Error) => {
          failure = error;
        });
        long.stream.resume();
        await advance(clock, 5);
        await cut;
        await drain;
        assert.ok(failure, 'what was cut does not look complete');
      });

      it('makes none of the tunnels that it cuts look complete, on either side', async () => {
        const ends: string[] = [];
        const watch = (stream: Duplex, side: string) => {
          stream.on('error', () => ends.push(`${side} failed`));
          stream.on('end', () => ends.push(`${side} complete`));
        };
        const { hbone, address } = await startServer((tunnel) => {
          const stream = tunnel.accept({});
          watch(stream, 'server');
          stream.on('data', (chunk) => stream.write(chunk));
        });
        const pools = [startPool(), startPool()];
        const tunnels = await Promise.all(Array.from({ length: 40 }, (_, i) => open(pools[i % 2]!, address)));
        for (const { stream } of tunnels) {
          watch(stream, 'client');
          stream.on('data', (chunk) => stream.write(chunk));
          stream.write('x');
        }
        await Promise.all(tunnels.map(({ stream }) => new Promise((resolve) => stream.once('data', resolve))));
        await hbone.drain(5);
        await until('all have ended', () => ends.length >= 80);
        assert.deepEqual(new Set(ends), new Set(['server failed', 'client failed']));
      });

      it('serves a client whose connection was accepted but not yet used', async () => {
        const { hbone, address } = await startServer(echo);
        const pending = open(startPool(), address);
        const drained = hbone.drain(60_000);
        assert.equal(await echoed(await pending, 'late'), 'late');
        await drained;
      });

      it('lets the streams of a draining pool finish and refuses new ones', async () => {
        const { address } = await startServer(echo);
        const pool = startPool();
        const tunnel = await open(pool, address);
        const drained = pool.drain(60_000);
        await assert.rejects(open(pool, address), hasCode('CANCELLED'));
        assert.equal(await echoed(tunnel, 'finishes'), 'finishes');
        await drained;
        assert.equal(pool.connections, 0);
      });

      it('cuts everything on close', async () => {
        const { hbone, address } = await startServer(hold);
        const pool = startPool();
        const tunnel = await open(pool, address);
        tunnel.stream.on('error', () => undefined);
        hbone.close();
        await until('the client to notice', () => tunnel.stream.closed && pool.connections === 0);
      });
    });
  });
}

function answerConnects(peer: RawPeer): void {
  onConnect(peer, (stream) => peer.send(accepted(stream)));
}

/** `88` is the static table's `:status 200`. */
function accepted(stream: number): Buffer {
  return frame(frameType.headers, flag.endHeaders, stream, Buffer.of(...noTable, 0x88));
}

function onConnect(peer: RawPeer, then: (stream: number) => void): void {
  const seen = new Set<number>();
  const scan = () => {
    for (const f of peer.frames) {
      if (f.type === frameType.settings && f.flags === 0 && !seen.has(0)) {
        seen.add(0);
        peer.send(settingsAck);
      }
      if (f.type === frameType.headers && !seen.has(f.stream)) {
        seen.add(f.stream);
        then(f.stream);
      }
    }
  };
  peer.socket.on('data', scan);
  scan();
}

async function readAll(tunnel: OutboundTunnel): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of tunnel.stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('latin1');
}

/** A store whose identity cannot be issued again. */
function issuedOnce(certificate: WorkloadCertificate): () => Promise<WorkloadCertificate> {
  const certificates = [certificate];
  return async () => {
    const next = certificates.pop();
    if (next) return next;
    throw new MeshError('IDENTITY_UNAVAILABLE', 'it has expired');
  };
}

function echoed(tunnel: OutboundTunnel, text: string): Promise<string> {
  tunnel.stream.end(text);
  return readAll(tunnel);
}

const tick = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const once = (socket: Socket, event: string) => new Promise<void>((resolve) => socket.once(event, () => resolve()));

/** Waits until a figure has stood still for 300 ms. */
async function settled(figure: () => number): Promise<void> {
  let last = -1;
  let since = performance.now();
  await until('the figure to settle', () => {
    if (figure() !== last) {
      last = figure();
      since = performance.now();
    }
    return performance.now() - since > 300;
  });
}
