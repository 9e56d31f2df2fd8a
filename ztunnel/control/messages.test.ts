import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MeshError } from '../../common/core/errors.ts';
import { decodeFromSupervisor, decodeFromWorker, encode, type ToSupervisor, type ToWorker } from './messages.ts';

test('what a worker says survives the packet', () => {
  const messages: readonly ToSupervisor[] = [
    { kind: 'hello' },
    { kind: 'pending', items: ['state manager'] },
    { kind: 'serving', pod: 3, error: '' },
    { kind: 'dropped', pod: 3 },
    { kind: 'need', pod: 3, socket: 'inbound6', count: 128 },
    { kind: 'noAnswer', id: 8, error: 'busy' },
    { kind: 'answer', id: 9, last: true, text: '[{"é":1}]' },
  ];
  for (const m of messages) assert.deepEqual(decodeFromWorker(encode(m)), m);
});

test('what the supervisor says survives the packet', () => {
  const m: ToWorker = { kind: 'sockets', pod: 1, socket: 'dns4', asked: 8, error: '' };
  assert.deepEqual(decodeFromSupervisor(encode(m)), m);
});

test('a worker that is taken over cannot ask for anything outside its bounds', () => {
  for (const bad of [
    {},
    { kind: 'sockets' },
    { kind: 'need', pod: 1, socket: 'inbound6', count: 129 },
    { kind: 'need', pod: 1, socket: 'inbound6', count: 0 },
    { kind: 'need', pod: 1, socket: 'raw', count: 1 },
    { kind: 'need', pod: -1, socket: 'dns4', count: 1 },
    { kind: 'need', pod: 1.5, socket: 'dns4', count: 1 },
    { kind: 'pending', items: [1] },
    { kind: 'pending', items: 'x' },
    { kind: 'noAnswer', id: 1, error: 'x'.repeat(5_000) },
    { kind: 'answer', id: 1, last: 'yes', text: '' },
    { kind: 'answer', id: 1, last: true, text: 'x'.repeat(40_000) },
    { kind: 'serving', pod: 1, error: 5 },
  ]) {
    assert.throws(() => decodeFromWorker(Buffer.from(JSON.stringify(bad))), MeshError, JSON.stringify(bad));
  }
});

test('any bytes are a message or a protocol error', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((t) => Buffer.from(t)),
      ),
      (bytes) => {
        try {
          decodeFromWorker(bytes);
        } catch (e) {
          assert.ok(e instanceof MeshError && e.code === 'PROTOCOL');
        }
      },
    ),
  );
});
