import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Port, SocketAddr } from '../../common/core/net.ts';
import { ip } from '../../common/testing/builders.ts';
import { parseTraceFilter } from '../config.ts';
import { fits } from './trace.ts';

const addr = (text: string, port: number): SocketAddr => ({ ip: ip(text), port: port as Port });
const connection = { source: addr('10.0.0.1', 999), destination: addr('10.0.0.2', 80), traceId: 'abcd1234' };

test('every part of a filter must fit', () => {
  for (const [filter, expected] of [
    ['src=10.0.0.1', true],
    ['src=10.0.0.1:999', true],
    ['src=10.0.0.1:998', false],
    ['src=10.0.0.1,dst=10.0.0.2:80', true],
    ['src=10.0.0.1,dst=10.0.0.2:81', false],
    ['dst=:80', true],
    ['abc', true],
    ['abd', false],
    ['dst=:80,id=abd', false],
  ] as const) {
    assert.equal(fits(parseTraceFilter(filter)!, connection), expected, filter);
  }
});

test('what is not known does not fit', () => {
  const unknown = { source: connection.source, destination: undefined, traceId: undefined };
  assert.equal(fits(parseTraceFilter('dst=:80')!, unknown), false);
  assert.equal(fits(parseTraceFilter('ab')!, unknown), false);
});
