import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { encodeHello } from '../../common/zds/codec.ts';
import type { Packet, SeqpacketConnection } from '../../native/index.ts';
import { ZdsServer } from './server.ts';

/** A connection of a process that has said hello. */
function connection(pid: number): SeqpacketConnection & { hangUp(): void } {
  let closed: ((error: Error | undefined) => void) | undefined;
  return {
    peer: { pid, uid: 0 },
    send: () => undefined,
    onPacket: (handler: (packet: Packet) => void) => handler({ data: encodeHello(), fds: [] }),
    onClose: (handler) => {
      closed = handler;
    },
    close: () => undefined,
    unref: () => undefined,
    hangUp: () => closed?.(undefined),
  };
}

test('a ztunnel is replaced while a newer one is connected, and only then', () => {
  const server = new ZdsServer({
    clock: new FakeClock(),
    log: silentLogger,
    onHello: (pid) => {
      if (pid === 9) throw new MeshError('CONFIG', 'not this one');
    },
    snapshot: async () => [],
    entry: () => undefined,
    onNewest: () => undefined,
    onRefused: () => undefined,
  });
  let accept: (connection: SeqpacketConnection) => void = () => assert.fail('nobody listens');
  server.start({
    onConnection: (handler) => {
      accept = handler;
    },
    close: () => undefined,
    unref: () => undefined,
  });
  const newer = connection(2);
  accept(connection(1));
  assert.equal(server.isReplaced(1), false);
  accept(newer);
  assert.deepEqual([server.isReplaced(1), server.isReplaced(2), server.isReplaced(3)], [true, false, false]);
  newer.hangUp();
  assert.equal(server.isReplaced(1), false);
  accept(connection(9));
  assert.equal(server.isReplaced(1), false, 'who is turned away replaces nobody');
});
