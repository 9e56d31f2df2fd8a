import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Port, SocketAddr } from '../../common/core/net.ts';
import { ip } from '../../common/testing/builders.ts';
import { fits, parseTraceFilter } from './trace-filter.ts';

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

test('trace filters', () => {
  assert.deepEqual(parseTraceFilter('src=10.0.0.1,dst=10.0.0.2:80'), {
    source: { ip: '10.0.0.1' },
    destination: { ip: '10.0.0.2', port: 80 },
  });
  assert.deepEqual(parseTraceFilter('dst=:80'), { destination: { port: 80 } });
  assert.deepEqual(parseTraceFilter('dst=[fd00::1]:80'), { destination: { ip: 'fd00::1', port: 80 } });
  assert.deepEqual(parseTraceFilter('4bf9'), { idPrefix: '4bf9' });
  for (const text of ['', 'dst=', 'dst=host:80', 'src=1.2.3.4:99999', 'id=XY', 'dst=1.2.3.4,']) {
    assert.equal(parseTraceFilter(text), undefined, text);
  }
});
