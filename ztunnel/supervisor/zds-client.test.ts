import assert from 'node:assert/strict';
import { existsSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { type Fd, fd } from '../../common/core/brand.ts';
import { silentLogger } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import { decodeAck, decodeHello, encodeRequest } from '../../common/zds/codec.ts';
import type { WorkloadInfo, ZdsRequest } from '../../common/zds/types.ts';
import type { Packet, SeqpacketConnection } from '../../native/index.ts';
import { misplaced, ZdsClient, type ZdsHandler } from './zds-client.ts';

const info: WorkloadInfo = { name: 'web', namespace: 'shop', serviceAccount: 'web' };

/** The agent's end of one connection. */
class Line implements SeqpacketConnection {
  readonly peer = { pid: 1, uid: 0 };
  readonly sent: Uint8Array[] = [];
  closed = false;
  #onPacket: ((packet: Packet) => void) | undefined;
  #onClose: ((error: Error | undefined) => void) | undefined;

  send(data: Uint8Array): void {
    this.sent.push(data);
  }
  onPacket(handler: (packet: Packet) => void): void {
    this.#onPacket = handler;
  }
  onClose(handler: (error: Error | undefined) => void): void {
    this.#onClose = handler;
  }
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#onClose?.(undefined);
  }
  unref(): void {}

  ask(request: ZdsRequest, fds: readonly Fd[] = []): void {
    this.#onPacket!({ data: encodeRequest(request), fds });
  }
  raw(data: Uint8Array): void {
    this.#onPacket!({ data, fds: [] });
  }

  /** Error of the n-th ack, the first being 0. */
  async ack(n: number): Promise<string> {
    const packet = await until(`ack ${n}`, () => this.sent[n + 1]);
    const decoded = decodeAck(packet);
    if (decoded.kind !== 'ok') throw new Error(decoded.reason);
    return decoded.value.error;
  }
}

class Handler implements ZdsHandler {
  readonly calls: string[] = [];
  answer: (uid: string) => Promise<string> = async () => '';
  async add(uid: string): Promise<string> {
    this.calls.push(`add ${uid}`);
    return this.answer(uid);
  }
  del(uid: string): string {
    this.calls.push(`del ${uid}`);
    return '';
  }
  snapshot(uids: ReadonlySet<string>): void {
    this.calls.push(`snapshot ${[...uids].join(',')}`);
  }
}

function started() {
  const lines: Line[] = [];
  const clock = new FakeClock();
  const handler = new Handler();
  let refuse = false;
  const client = new ZdsClient({
    connect() {
      if (refuse) throw new Error('ECONNREFUSED');
      lines.push(new Line());
      return lines.at(-1)!;
    },
    handler,
    onSnapshot: () => handler.calls.push('told'),
    clock,
    log: silentLogger,
  });
  client.start();
  return { lines, line: lines[0]!, clock, handler, client, refuse: (now: boolean) => (refuse = now) };
}

/** Something to be closed: a test that passes a made-up number would close a descriptor of the runner. */
function someFd(): Fd {
  return fd(openSync('/dev/null', 'r'));
}

test('hello comes first; adds and keeps are the snapshot', async () => {
  const { line, handler } = started();
  assert.deepEqual(decodeHello(line.sent[0]!), { kind: 'ok', value: { version: 1 } });
  line.ask({ kind: 'add', uid: 'a', info }, [someFd()]);
  line.ask({ kind: 'keep', uid: 'b' });
  line.ask({ kind: 'snapshotSent' });
  assert.equal(await line.ack(2), '');
  assert.deepEqual(handler.calls, ['add a', 'snapshot a,b', 'told']);
});

test('each request is answered before the next is looked at', async () => {
  const { line, handler } = started();
  const slow = Promise.withResolvers<string>();
  handler.answer = () => slow.promise;
  line.ask({ kind: 'add', uid: 'a', info }, [someFd()]);
  line.ask({ kind: 'del', uid: 'a' });
  await until('the add', () => handler.calls.length === 1);
  assert.equal(line.sent.length, 1);
  slow.resolve('port in use');
  assert.equal(await line.ack(0), 'port in use');
  assert.equal(await line.ack(1), '');
  assert.deepEqual(handler.calls, ['add a', 'del a']);
});

test('what breaks the protocol is named in the ack and ends the connection', async (t) => {
  const rows: readonly (readonly [string, (line: Line) => void, RegExp])[] = [
    ['no descriptor', (l) => l.ask({ kind: 'add', uid: 'a', info }), /carries 0 descriptors/],
    ['two descriptors', (l) => l.ask({ kind: 'add', uid: 'a', info }, [someFd(), someFd()]), /carries 2 descriptors/],
    ['del with a descriptor', (l) => l.ask({ kind: 'del', uid: 'a' }, [someFd()]), /expected none/],
    ['keep with a descriptor', (l) => l.ask({ kind: 'keep', uid: 'a' }, [someFd()]), /expected none/],
    ['more than fits', (l) => l.raw(new Uint8Array(1_025)), /at most 1024/],
    ['no workload_info', (l) => l.raw(Buffer.from([0x0a, 3, 0x0a, 1, 0x61])), /workload_info/],
    ['noise', (l) => l.raw(Buffer.from([0xff, 0xff, 0xff])), /expected message/],
    ['empty', (l) => l.raw(new Uint8Array()), /holds none of/],
  ];
  for (const [name, send, reason] of rows) {
    await t.test(name, async () => {
      const { line, handler, client } = started();
      send(line);
      assert.match(await line.ack(0), reason);
      await until('the end', () => line.closed);
      assert.deepEqual(handler.calls, []);
      assert.equal(client.refused, 1);
    });
  }
});

test('what comes after a packet that broke the protocol is not looked at, and its descriptors are closed', async () => {
  const { line, handler } = started();
  line.ask({ kind: 'snapshotSent' });
  line.ask({ kind: 'snapshotSent' });
  const late = someFd();
  line.ask({ kind: 'add', uid: 'a', info }, [late]);
  assert.match(await line.ack(1), /second snapshot/);
  await until('the end', () => line.closed);
  await until('the descriptor to be closed', () => !existsSync(`/proc/self/fd/${late}`));
  assert.deepEqual(handler.calls, ['snapshot ', 'told']);
  assert.equal(line.sent.length, 3);
});

test('requests that do not fit their place', () => {
  assert.equal(misplaced({ kind: 'keep', uid: 'a' }, 0, false), undefined);
  assert.match(misplaced({ kind: 'keep', uid: 'a' }, 0, true)!, /after the snapshot/);
  assert.match(misplaced({ kind: 'snapshotSent' }, 0, true)!, /second/);
  assert.equal(misplaced({ kind: 'del', uid: 'a' }, 0, true), undefined);
});

/** What is waited, in ms, before each of so many further attempts. */
function waits(clock: FakeClock, attempts: number): readonly number[] {
  return Array.from({ length: attempts }, () => {
    const next = clock.nextIn!;
    clock.advance(next);
    return next;
  });
}

test('while no agent listens it is looked for often, also after it broke off more than once', async () => {
  const { lines, line, clock, refuse } = started();
  refuse(true);
  line.close();
  assert.deepEqual(waits(clock, 7), [10, 20, 40, 80, 160, 160, 160]);
  refuse(false);
  clock.advance(160);
  lines[1]!.close();
  waits(clock, 1);
  lines[2]!.close();
  refuse(true);
  waits(clock, 1);
  assert.deepEqual(waits(clock, 2), [160, 160]);
});

test('an agent that closes before it has told all its pods is asked ever less often, until it has', async () => {
  const { lines, line, clock } = started();
  line.ask({ kind: 'keep', uid: 'a' });
  assert.equal(await line.ack(0), '');
  const closing = Array.from({ length: 13 }, () => {
    lines.at(-1)!.close();
    return waits(clock, 1)[0];
  });
  assert.deepEqual(closing.slice(0, 4), [10, 20, 40, 80]);
  assert.equal(closing.at(-1), 15_000);
  lines.at(-1)!.ask({ kind: 'snapshotSent' });
  assert.equal(await lines.at(-1)!.ack(0), '');
  lines.at(-1)!.close();
  assert.equal(clock.nextIn, 10);
});

test('a client that was stopped stays stopped', () => {
  const { line, clock, client } = started();
  client.stop();
  assert.equal(line.closed, true);
  assert.equal(clock.timers, 0);
});
