import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fd } from '../../common/core/brand.ts';
import type { MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { decodeSteerPod, encodeSteering } from '../../common/zds/steering.ts';
import type { Packet, SeqpacketConnection } from '../../native/index.ts';
import { SteeringClient } from './steering-client.ts';

const ports = { v4: 1, v6: 2 };
const pod = { uid: 'u1', outbound: ports, dnsUdp: ports, dnsTcp: ports };
const fds = [fd(1), fd(2), fd(3), fd(4)];

class AgentEnd implements SeqpacketConnection {
  readonly peer = { pid: 1, uid: 0 };
  readonly sent: Packet[] = [];
  #onPacket: ((packet: Packet) => void) | undefined;
  #onClose: ((error: Error | undefined) => void) | undefined;
  send(data: Uint8Array, with_: Packet['fds'] = []): void {
    this.sent.push({ data, fds: with_ });
  }
  onPacket(handler: (packet: Packet) => void): void {
    this.#onPacket = handler;
  }
  onClose(handler: (error: Error | undefined) => void): void {
    this.#onClose = handler;
  }
  close(): void {
    this.#onClose?.(undefined);
  }
  unref(): void {}

  answer(id: number, error: string): void {
    this.#onPacket!({ data: encodeSteering({ kind: 'steered', id, error }), fds: [] });
  }
  noise(): void {
    this.#onPacket!({ data: Buffer.from('?'), fds: [] });
  }
  id(n: number): number {
    const decoded = decodeSteerPod(this.sent[n]!.data);
    if (decoded.kind !== 'ok') throw new Error(decoded.reason);
    return decoded.value.id;
  }
}

function client() {
  const ends: AgentEnd[] = [];
  const clock = new FakeClock();
  const steering = new SteeringClient({
    connect() {
      ends.push(new AgentEnd());
      return ends.at(-1)!;
    },
    clock,
    log: silentLogger,
  });
  return { steering, ends, clock };
}

test('one connection serves all pods, and each answer finds its question', async () => {
  const { steering, ends } = client();
  const first = steering.steer(pod, fds);
  const second = steering.steer({ ...pod, uid: 'u2' }, fds);
  assert.equal(ends.length, 1);
  assert.deepEqual(ends[0]!.sent[0]!.fds, fds);
  ends[0]!.answer(ends[0]!.id(1), 'no such netns');
  ends[0]!.answer(ends[0]!.id(0), '');
  await first;
  await assert.rejects(second, (e: MeshError) => e.code === 'KERNEL' && /u2.*no such netns/.test(e.message));
});

test('an agent that is silent, gone or confused fails the pod, and the next one asks a new connection', async () => {
  const { steering, ends, clock } = client();
  const silent = steering.steer(pod, fds);
  clock.advance(4_000);
  await assert.rejects(silent, /did not answer/);
  const gone = steering.steer(pod, fds);
  ends[0]!.close();
  await assert.rejects(gone, /closed the steering socket/);
  const confused = steering.steer(pod, fds);
  assert.equal(ends.length, 2);
  ends[1]!.noise();
  await assert.rejects(confused, /closed the steering socket/);
});

test('without an agent the pod fails at once', async () => {
  const steering = new SteeringClient({
    connect() {
      throw new Error('ECONNREFUSED');
    },
    clock: new FakeClock(),
    log: silentLogger,
  });
  await assert.rejects(steering.steer(pod, fds), (e: MeshError) => e.code === 'CONNECT_FAILED');
});
