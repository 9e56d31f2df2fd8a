import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseListenAddress } from './listen-address.ts';

test('addresses to listen on', () => {
  assert.deepEqual(parseListenAddress('[::1]:0'), { ip: '::1', port: 0 });
  assert.deepEqual(parseListenAddress('127.0.0.1:80'), { ip: '127.0.0.1', port: 80 });
  assert.deepEqual(parseListenAddress(':80'), { ip: undefined, port: 80 });
  for (const bad of ['::1:80', 'localhost:80', '80', ':', ':65536', '[::1]']) {
    assert.equal(parseListenAddress(bad), undefined, bad);
  }
  fc.assert(fc.property(fc.string(), (text) => void parseListenAddress(text)));
});
