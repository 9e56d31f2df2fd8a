/** Units that move between two loops: what TypeScript is told, and that the apps notice nothing. */
import assert from 'node:assert/strict';
import { closeSync, existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { Fd } from '../../../common/core/brand.ts';
import type { SocketAddr } from '../../../common/core/net.ts';
import { createFakeCa } from '../../../common/testing/fake-ca.ts';
import { dialTcp, listenTcp, loopback, loopbackPort } from '../../../common/testing/hbone-rig.ts';
import {
  command,
  type EngineEvent,
  EngineLoop,
  event,
  type Handle,
  readPieces,
  relayEnd,
  writePieces,
} from '../../../native/engine.ts';
import { socketName, socketsHere } from '../../../native/index.ts';
import { type Frozen, freeze, type Restored, restore } from './unit.ts';

if (existsSync(join(import.meta.dirname, '../../../native/build/aquifer.node'))) all();
else it('units', { skip: 'the addon is not built: make -C native' });

/** Events of one object, in order. */
class Told {
  readonly handle: Handle;
  readonly #loop: EngineLoop;
  readonly #events: EngineEvent[] = [];
  #wake: (() => void) | undefined;

  constructor(loop: EngineLoop, adopted?: Handle) {
    this.#loop = loop;
    this.handle = adopted ? loop.adopt(adopted.slot, adopted.generation, this) : loop.name(this);
  }

  receive(e: EngineEvent): void {
    this.#events.push({ ...e, bytes: Buffer.from(e.bytes) });
    this.#wake?.();
  }

  /** The first of this type; earlier ones of other types are passed by. */
  async next(type: number): Promise<EngineEvent> {
    for (;;) {
      for (let e = this.#events.shift(); e !== undefined; e = this.#events.shift()) if (e.type === type) return e;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  send(type: number, a = 0, b = 0, c = 0, bytes?: Uint8Array): void {
    this.#loop.send(type, this.handle, a, b, c, bytes);
  }
}

function all(): void {
  const sockets: Socket[] = [];
  const closers: (() => void)[] = [];
  after(() => {
    for (const socket of sockets) socket.destroy();
    for (const close of closers) close();
  });
  const kept = (socket: Socket): Socket => {
    sockets.push(socket);
    return socket;
  };

  /** A dial of the loop's, and the app that it reached. */
  async function dialled(loop: EngineLoop): Promise<{ end: Told; app: Socket }> {
    const app = Promise.withResolvers<Socket>();
    const { server, address } = await listenTcp((socket) => app.resolve(kept(socket)));
    const end = new Told(loop);
    end.send(command.dial, socketsHere({ family: 4, type: 'stream' }, 1)[0]!, address.port, 0, Buffer.from(address.ip));
    assert.equal((await end.next(event.connected)).a, 0);
    const socket = await app.promise;
    server.close();
    return { end, app: socket };
  }

  function listening(loop: EngineLoop): { listener: Told; address: SocketAddr } {
    const bind = { ip: loopback, port: loopbackPort(0).port };
    const [fd] = socketsHere({ family: 4, type: 'stream', bind, backlog: 16 }, 1);
    const listener = new Told(loop);
    listener.send(command.listen, fd!);
    closers.push(() => {
      listener.send(command.close);
      loop.forget(listener.handle);
    });
    return { listener, address: socketName(fd!) };
  }

  async function bytes(of: Socket, size: number): Promise<string> {
    let text = '';
    while (text.length < size) {
      const chunk = of.read() as Buffer | null;
      if (chunk) text += chunk.toString();
      else await new Promise((resolve) => of.once('readable', resolve));
    }
    return text;
  }

  async function frozen(loop: EngineLoop, of: Handle): Promise<Frozen> {
    const unit = await freeze(loop, of);
    assert.ok(unit.kind === 'frozen', JSON.stringify(unit));
    return unit;
  }

  async function restored(loop: EngineLoop, { state, sockets: fds }: Frozen): Promise<Restored> {
    const unit = await restore(loop, state, fds);
    assert.ok(unit.kind === 'restored', JSON.stringify(unit));
    return unit;
  }

  const close = ({ state, sockets: fds }: Frozen) => {
    for (const fd of [state, ...fds]) closeSync(fd);
  };

  describe('a unit of the native engine', () => {
    it('is a relay of two connections, which goes on in another loop with its counts', async () => {
      const [here, there] = [new EngineLoop(), new EngineLoop()];
      const [down, up] = [await dialled(here), await dialled(here)];
      assert.deepEqual(await freeze(here, down.end.handle), {
        kind: 'unmoved',
        reason: 'a connection of it is not relayed yet',
      });
      const { slot, generation } = up.end.handle;
      down.end.send(command.relay, slot, generation, here.takeCounters());
      down.app.write('before');
      assert.equal(await bytes(up.app, 6), 'before');

      const first = await frozen(here, down.end.handle);
      assert.deepEqual(first.relays, [{ downstream: down.end.handle, upstream: up.end.handle }]);
      assert.equal(first.sockets.length, 2);
      assert.deepEqual(await freeze(here, down.end.handle), { kind: 'unmoved', reason: 'it is on its way already' });
      // Its own cut does nothing now.
      down.end.send(command.reset, 8);
      up.app.write('back');
      first.thaw();
      first.forget();
      close(first);
      assert.equal(await bytes(down.app, 4), 'back');

      const second = await frozen(here, down.end.handle);
      down.app.write(' and after');
      (await restored(there, second)).discard();
      second.thaw();
      assert.equal(await bytes(up.app, 10), ' and after');

      const third = await frozen(here, down.end.handle);
      const unit = await restored(there, third);
      assert.equal(unit.tunnel, undefined);
      const [relay] = unit.relays;
      assert.deepEqual(relay!.was, down.end.handle);
      const moved = new Told(there, relay!.downstream);
      third.forget();
      unit.goLive();
      down.app.end('!');
      assert.equal(await bytes(up.app, 1), '!');
      up.app.end('bye');
      assert.equal(await bytes(down.app, 3), 'bye');
      const over = await moved.next(event.relayed);
      assert.equal(over.a, relayEnd.complete);
      assert.deepEqual([there.count(relay!.counters, 0), there.count(relay!.counters, 1)], [17, 7]);
      there.forget(moved.handle);
    });

    it('is a tunnel with its relays, of either side', async () => {
      const ca = await createFakeCa();
      const identity = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'a' };
      const { chain, privateKey, roots } = await ca.issue(identity as Parameters<typeof ca.issue>[0]);
      const context = (server: boolean) => ({
        server,
        chain: chain.join('\n'),
        key: privateKey,
        roots: roots.join('\n'),
        tls12: false,
        pqc: false,
        streamWindow: 1 << 20,
        connectionWindow: 1 << 22,
        maxFrame: 1 << 20,
        maxHeaderList: 16 * 1024,
        maxStreams: 100,
      });
      const loops = Array.from({ length: 4 }, () => new EngineLoop()) as [
        EngineLoop,
        EngineLoop,
        EngineLoop,
        EngineLoop,
      ];
      const [ofClient, clientNext, ofServer, serverNext] = loops;
      const { listener, address } = listening(ofServer);
      const raw = new Told(ofClient);
      raw.send(
        command.dial,
        socketsHere({ family: 4, type: 'stream' }, 1)[0]!,
        address.port,
        0,
        Buffer.from(address.ip),
      );
      await raw.next(event.connected);
      const incoming = await listener.next(event.accepted);
      const client = new Told(ofClient);
      const server = new Told(ofServer);
      client.send(command.tunnel, raw.handle.slot, raw.handle.generation, ofClient.addContext(context(false)));
      ofClient.forget(raw.handle);
      server.send(command.tunnel, incoming.a, incoming.b, ofServer.addContext(context(true)));
      await Promise.all(
        [client, server].map(async (side) => {
          await side.next(event.handshaken);
          side.send(command.accepted);
        }),
      );
      await client.next(event.settings);

      const entrance = listening(ofClient);
      const app = kept(await dialTcp(entrance.address));
      const accepted = await entrance.listener.next(event.accepted);
      const down = new Told(ofClient, { slot: accepted.a, generation: accepted.b });
      const stream = new Told(ofClient);
      const headers = writePieces([':method', 'CONNECT', ':authority', '10.0.0.1:80']);
      stream.send(command.open, client.handle.slot, client.handle.generation, 0, headers);
      const request = await server.next(event.request);
      assert.deepEqual(readPieces(request.bytes).map(String), [':method', 'CONNECT', ':authority', '10.0.0.1:80']);
      assert.deepEqual(await freeze(ofServer, server.handle), {
        kind: 'unmoved',
        reason: 'a request of it is not answered yet',
      });
      const asked = new Told(ofServer, { slot: request.a, generation: request.b });
      const backend = await dialled(ofServer);
      asked.send(command.respond, 200);
      asked.send(command.relay, backend.end.handle.slot, backend.end.handle.generation, ofServer.takeCounters());
      await stream.next(event.response);
      down.send(command.relay, stream.handle.slot, stream.handle.generation, ofClient.takeCounters());
      app.write('one');
      assert.equal(await bytes(backend.app, 3), 'one');
      assert.deepEqual(await freeze(ofClient, down.handle), { kind: 'unmoved', reason: 'it moves with its tunnel' });

      const move = async (from: EngineLoop, to: EngineLoop, tunnel: Handle) => {
        const unit = await frozen(from, tunnel);
        const next = await restored(to, unit);
        const tunnelThere = new Told(to, next.tunnel);
        const relay = new Told(to, next.relays[0]!.downstream);
        unit.forget();
        next.goLive();
        return { tunnel: tunnelThere, relay };
      };
      const moved = {
        client: await move(ofClient, clientNext, client.handle),
        server: await move(ofServer, serverNext, server.handle),
      };
      app.end('two');
      backend.app.end('three');
      assert.equal(await bytes(backend.app, 3), 'two');
      assert.equal(await bytes(app, 5), 'three');
      assert.equal((await moved.client.relay.next(event.relayed)).a, relayEnd.complete);
      assert.equal((await moved.server.relay.next(event.relayed)).a, relayEnd.complete);
      moved.client.tunnel.send(command.ping);
      await moved.client.tunnel.next(event.pong);
      moved.client.tunnel.send(command.close);
      await moved.server.tunnel.next(event.closed);
      await moved.client.tunnel.next(event.closed);
      for (const told of [moved.client.tunnel, moved.client.relay]) clientNext.forget(told.handle);
      for (const told of [moved.server.tunnel, moved.server.relay]) serverNext.forget(told.handle);
    });

    it('is refused where its state is no sealed memory', async () => {
      const loop = new EngineLoop();
      const [fd] = socketsHere({ family: 4, type: 'stream' }, 1);
      assert.deepEqual(await restore(loop, fd as Fd, []), { kind: 'unreadable', reason: 'it is no sealed memory' });
    });
  });
}
