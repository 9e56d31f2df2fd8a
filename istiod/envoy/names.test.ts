import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inboundCluster, outboundCluster, parseOutbound } from './names.ts';

const host = fc.stringMatching(/^[a-z]{1,8}(\.[a-z]{1,8}){0,3}$/);
const subset = fc.stringMatching(/^([a-z][a-z0-9-]{0,8})?$/);
const port = fc.integer({ min: 1, max: 65_535 });

test('names of clusters come back as what they were made of', () => {
  fc.assert(
    fc.property(host, port, subset, (hostname, p, s) => {
      assert.deepEqual(parseOutbound(outboundCluster(hostname, p, s)), { port: p, subset: s, hostname });
    }),
  );
});

test('other names are none', () => {
  const inbound = inboundCluster('a', 80, 'http');
  for (const name of ['', 'encap', 'outbound|80|', 'outbound|x||a', 'outbound|80||', inbound, 'outbound|80||a|b'])
    assert.equal(parseOutbound(name), undefined, name);
});
