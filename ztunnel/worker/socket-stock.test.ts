import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Fd, fd } from '../../common/core/brand.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { SocketKind } from '../control/messages.ts';
import { SocketStock } from './socket-stock.ts';

class Supervisor {
  readonly requests: { readonly kind: SocketKind; readonly count: number }[] = [];
  readonly closed: Fd[] = [];
  readonly stock = new SocketStock({
    request: (kind, count) => this.requests.push({ kind, count }),
    closeFd: (f) => this.closed.push(f),
  });
  #next = 100;

  /** Answers the oldest request. */
  answer(error = ''): number {
    const request = this.requests.shift()!;
    const fds = error === '' ? Array.from({ length: request.count }, () => fd(this.#next++)) : [];
    this.stock.supply(request.kind, request.count, fds, error);
    return request.count;
  }
}

const signal = new AbortController().signal;

test('a primed stock gives at once, and asks for more before it is empty', () => {
  const s = new Supervisor();
  s.stock.prime('outbound4');
  assert.equal(s.answer(), 8);
  const given = Array.from({ length: 5 }, () => s.stock.take('outbound4'));
  assert.equal(new Set(given).size, 5);
  assert.deepEqual(s.requests, [{ kind: 'outbound4', count: 8 }]);
});

test('3,000 takers at once all get their own socket, in packets that the kernel allows', async () => {
  const s = new Supervisor();
  const waits = Array.from({ length: 3_000 }, () => s.stock.take('inbound4') ?? s.stock.wait('inbound4', signal));
  while (s.requests.length > 0) assert.ok(s.answer() <= 128);
  const got = await Promise.all(waits);
  assert.equal(new Set(got).size, 3_000);
  assert.ok(s.stock.size <= 256, `${s.stock.size} left over`);
});

test('what a burst left behind is given back', async () => {
  const s = new Supervisor();
  const waits = Array.from({ length: 500 }, () => s.stock.wait('outbound6', signal));
  while (s.requests.length > 0) s.answer();
  await Promise.all(waits);
  const left = s.stock.size;
  s.stock.sweep();
  s.stock.sweep();
  assert.equal(s.stock.size, Math.min(left, 8));
  assert.equal(s.closed.length, left - s.stock.size);
});

test('a refusal of the supervisor reaches the takers with its reason, and the next one asks again', async () => {
  const s = new Supervisor();
  const wait = s.stock.wait('outbound4', signal);
  s.answer('EMFILE');
  await assert.rejects(wait, (e: MeshError) => e.code === 'KERNEL' && /EMFILE/.test(e.message));
  const again = s.stock.wait('outbound4', signal);
  while (s.requests.length > 0) s.answer();
  assert.ok((await again) >= 100);
});

test('a taker that gives up leaves its socket to others', async () => {
  const s = new Supervisor();
  const controller = new AbortController();
  const wait = s.stock.wait('outbound4', controller.signal);
  controller.abort();
  await assert.rejects(wait, MeshError);
  while (s.requests.length > 0) s.answer();
  assert.ok(s.stock.size > 0);
  assert.deepEqual(s.closed, []);
});

test('a closed stock closes what it has and what comes late', async () => {
  const s = new Supervisor();
  s.stock.prime('dns4');
  s.answer();
  const wait = s.stock.wait('dns6', signal);
  s.stock.close();
  await assert.rejects(wait, MeshError);
  assert.equal(s.closed.length, 8);
  const late = s.requests.reduce((n, r) => n + r.count, 0);
  while (s.requests.length > 0) s.answer();
  assert.equal(s.closed.length, 8 + late);
});

test('what is spare leaves some for takers, and makes batches grow', () => {
  const s = new Supervisor();
  s.stock.prime('inbound4');
  assert.equal(s.answer(), 8);
  for (let i = 0; i < 4; i++) assert.ok(s.stock.spare('inbound4') !== undefined);
  assert.equal(s.stock.spare('inbound4'), undefined);
  assert.equal(s.stock.size, 4);
  let given = 0;
  while (given < 200 && s.requests.length > 0) {
    s.answer();
    while (s.stock.spare('inbound4') !== undefined) given++;
  }
  assert.ok(given >= 200, `${given} were given`);
});
