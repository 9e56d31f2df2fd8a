import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { millis } from '../core/brand.ts';
import { classify, nextDelay } from './backoff.ts';

test('how ends are told apart', () => {
  const table: readonly (readonly [status, string, connected: boolean, reason: string])[] = [
    [status.OK, '', true, 'Complete'],
    [status.UNAVAILABLE, 'ECONNREFUSED', false, 'ConnectionError'],
    [status.UNAVAILABLE, 'no healthy upstream', true, 'Error'],
    [status.UNAVAILABLE, 'transport is closing', true, 'Reconnect'],
    [status.UNAVAILABLE, 'received prior goaway: code: NO_ERROR', true, 'Reconnect'],
    [status.UNKNOWN, '', true, 'Reconnect'],
    [status.CANCELLED, '', true, 'Reconnect'],
    [status.DEADLINE_EXCEEDED, '', true, 'Reconnect'],
    [status.PERMISSION_DENIED, 'no', true, 'Error'],
    [status.UNAUTHENTICATED, 'no', false, 'ConnectionError'],
    [status.INTERNAL, 'bad message', true, 'Error'],
  ];
  for (const [code, details, connected, reason] of table) {
    assert.equal(classify(code, details, connected).reason, reason, `${status[code]} ${details}`);
  }
  assert.equal(classify(status.PERMISSION_DENIED, 'no', true).detail, 'PERMISSION_DENIED: no');
});

test('delays double, and start over after a delivery or an orderly reset, never at once', () => {
  const failed = { reason: 'ConnectionError', detail: '' } as const;
  assert.equal(nextDelay(undefined, failed, false), 10);
  assert.equal(nextDelay(millis(10), failed, false), 20);
  assert.equal(nextDelay(millis(10_240), failed, false), 15_000);
  assert.equal(nextDelay(millis(640), failed, true), 10);
  assert.equal(nextDelay(millis(640), { reason: 'Reconnect', detail: '' }, false), 10);
  assert.equal(
    nextDelay(millis(640), { reason: 'Complete', detail: '' }, false),
    1280,
    'a server that hangs up at once',
  );
  assert.equal(nextDelay(millis(640), { reason: 'Error', detail: '' }, false), 1280);
});
