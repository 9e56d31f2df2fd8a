import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import { encodeHello } from '../../common/zds/codec.ts';
import type { Packet, SeqpacketConnection } from '../../native/index.ts';
import { ZdsServer } from './server.ts';

/** A connection of a process that has said hello. */
function connection(pid: number): SeqpacketConnection & { hangUp(): void; sent: number } {
  let closed: ((error: Error | undefined) => void) | undefined;
  return {
    sent: 0,
    peer: { pid, uid: 0 },
    send() {
      this.sent++;
    },
    onPacket: (handler: (packet: Packet) => void) => handler({ data: encodeHello(), fds: [] }),
    onClose: (handler) => {
      closed = handler;
    },
    close: () => undefined,
    unref: () => undefined,
    hangUp: () => closed?.(undefined),
  };
}

function acceptingOf(server: ZdsServer): (connection: SeqpacketConnection) => void {
  let accept: (connection: SeqpacketConnection) => void = () => assert.fail('nobody listens');
  server.start({
    onConnection: (handler) => {
      accept = handler;
    },
    close: () => undefined,
    unref: () => undefined,
  });
  return (connection) => accept(connection);
}

test('a ztunnel is replaced while a newer one is connected, and only then', () => {
  const server = new ZdsServer({
    clock: new FakeClock(),
    log: silentLogger,
    onHello: (pid) => {
      if (pid === 9) throw new MeshError('CONFIG', 'not this one');
    },
    startedAt: () => 0,
    snapshot: async () => [],
    entry: () => undefined,
    onNewest: () => undefined,
    onRefused: () => undefined,
  });
  const accept = acceptingOf(server);
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

test('after a restart of the agent the newest is who started last, whoever comes first, and the other follows when it is gone', async () => {
  const told: boolean[] = [];
  const server = new ZdsServer({
    clock: new FakeClock(),
    log: silentLogger,
    onHello: () => undefined,
    startedAt: (pid) => pid,
    snapshot: async () => [],
    entry: () => undefined,
    onNewest: (ready) => void told.push(ready),
    onRefused: () => undefined,
  });
  const accept = acceptingOf(server);
  const [old, successor] = [connection(1), connection(2)];
  accept(successor);
  accept(old);
  assert.deepEqual([server.isReplaced(1), server.isReplaced(2)], [true, false]);
  assert.deepEqual(told, [false], 'the old one interrupts nothing');
  await until('the successor is asked', () => successor.sent === 1);
  assert.equal(old.sent, 0, 'the old one keeps what it has');
  successor.hangUp();
  assert.equal(server.isReplaced(1), false);
  await until('the old one is asked', () => old.sent === 1);
});
