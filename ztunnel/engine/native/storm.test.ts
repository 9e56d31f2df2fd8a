/** Random ends at random moments: whatever apps and peers do, the engine neither crashes nor keeps a descriptor or an object. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { it } from 'node:test';
import type { ByteStream } from '../../../common/core/byte-stream.ts';
import { Cancellation } from '../../../common/core/cancel.ts';
import { systemClock } from '../../../common/core/clock.ts';
import { MeshError } from '../../../common/core/errors.ts';
import type { SocketAddr } from '../../../common/core/net.ts';
import type { Ahead, RelayCounters } from '../../../common/hbone/relay.ts';
import { identity } from '../../../common/testing/builders.ts';
import { createFakeCa } from '../../../common/testing/fake-ca.ts';
import { connectHeaders, loopback, loopbackPort } from '../../../common/testing/hbone-rig.ts';
import { until } from '../../../common/testing/until.ts';
import { socketName, socketsHere } from '../../../native/index.ts';
import { createNativeEngine } from './engine.ts';

const built = existsSync(join(import.meta.dirname, '../../../native/build/aquifer.node'));
const skip = built ? false : 'the addon is not built: make -C native';
const connections = 600;

/** xorshift32, so that a failure can be had again. */
function randomFrom(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

const descriptors = () => readdirSync('/proc/self/fd').length;

it('survives apps, tunnels and policies that end at any moment, and keeps nothing', { skip }, async () => {
  const random = randomFrom(0x5eed);
  const engine = createNativeEngine();
  const dial = engine.dialer(systemClock);
  const never = new AbortController().signal;
  const open = (to: SocketAddr, ahead?: Ahead) =>
    dial(socketsHere({ family: 4, type: 'stream' }, 1)[0]!, to, never, 10_000, ahead);
  const listen = (onSocket: (socket: ByteStream, remote: SocketAddr) => void) => {
    const bind = { ip: loopback, port: loopbackPort(0).port };
    const [fd] = socketsHere({ family: 4, type: 'stream', bind, backlog: 4096 }, 1);
    const address = socketName(fd!);
    const fail = (error: Error) => assert.fail(error);
    return { address, ...engine.accept(fd!, ({ socket, remote }) => onSocket(socket, remote), fail) };
  };
  const ca = await createFakeCa();
  const certificates = {
    client: await ca.issue(identity('apps', 'client')),
    server: await ca.issue(identity('apps', 'server')),
  };
  const before = descriptors();

  /** Reads, writes and ends as it likes. */
  const behave = (stream: ByteStream): void => {
    if (random(8) > 0) stream.resume();
    stream.on('end', () => random(3) > 0 && stream.end());
    const act = () => {
      if (stream.destroyed) return;
      switch (random(9)) {
        case 0:
          stream.resetAndDestroy();
          return;
        case 1:
          stream.destroy();
          return;
        case 2:
          if (!stream.writableEnded) stream.end(Buffer.alloc(random(100_000)));
          break;
        default:
          if (!stream.writableEnded) stream.write(Buffer.alloc(random(200_000)));
      }
      setImmediate(act);
    };
    act();
  };
  let relays = 0;
  const settle = async (downstream: Duplex, upstream: Duplex, cut: Cancellation, counters: RelayCounters) => {
    const relayed = engine.relay(downstream, upstream, { signal: cut, counters });
    if (random(4) === 0) setImmediate(() => cut.abort(new MeshError('CANCELLED', 'policy')));
    const { received, sent } = await relayed;
    assert.deepEqual({ received, sent }, { received: counters.received, sent: counters.sent });
    relays++;
  };
  /** Makes the way onwards, half of them for the loop to begin ahead; some are given up meanwhile. */
  const onwards = async (
    downstream: Duplex,
    answer: Ahead['answer'],
    make: (ahead: Ahead | undefined, permit: Cancellation) => Promise<Duplex>,
  ): Promise<void> => {
    const permit = new Cancellation();
    const counters = engine.counters();
    const ahead = { downstream, counters, permit, ...(answer && { answer }) };
    if (random(6) === 0) setImmediate(() => permit.abort(new MeshError('CANCELLED', 'policy')));
    const upstream = await make(random(2) === 0 ? ahead : undefined, permit);
    if (random(10) > 0) return settle(downstream, upstream, permit, counters);
    upstream.destroy();
    downstream.destroy();
  };

  const app = listen(behave);
  const server = engine.createServer({
    clock: systemClock,
    certificate: async () => certificates.server,
    onTunnel(tunnel) {
      if (random(10) === 0) tunnel.refuse(503);
      else {
        const dialled = (ahead: Ahead | undefined) =>
          open(app.address, ahead).then((upstream) => {
            tunnel.accept({});
            return upstream;
          });
        onwards(tunnel.stream, {}, dialled).catch(() => tunnel.refuse(503));
      }
    },
    onError: () => undefined,
  });
  const hbone = listen((socket, remote) => server.serve(socket, remote, hbone.address));
  const makePool = () =>
    engine.createPool({
      clock: systemClock,
      certificate: async () => certificates.client,
      dial: (address) => open(address),
      maxStreamsPerConnection: 10,
    });
  let pool = makePool();
  const target = {
    address: hbone.address,
    expected: [identity('apps', 'server')],
    source: identity('apps', 'client'),
    sourceIp: '10.0.0.1',
  };
  const outbound = listen((socket) => {
    onwards(socket, undefined, async (ahead, permit) => {
      const { stream } = await pool.connect(target, connectHeaders('10.0.0.9:80'), permit, ahead);
      return stream;
    }).catch(() => socket.resetAndDestroy());
  });
  for (let i = 0; i < connections; i++) {
    // Who is reset before it looks was never connected.
    await open(outbound.address).then(behave, () => undefined);
    if (i === connections / 2) {
      void pool.drain(1);
      pool = makePool();
    }
    if (random(20) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await until('relays to have ended', () => relays > connections / 4);
  for (const listener of [outbound, app, hbone]) listener.close();
  pool.close();
  server.close();
  await until('all descriptors to be closed', () => descriptors() <= before);
});
