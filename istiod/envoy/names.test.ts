import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inboundCluster, outboundCluster, parseCluster } from './names.ts';

const host = fc.stringMatching(/^[a-z]{1,8}(\.[a-z]{1,8}){0,3}$/);
const subset = fc.stringMatching(/^([a-z][a-z0-9-]{0,8})?$/);
const port = fc.integer({ min: 1, max: 65_535 });

test('names of clusters come back as what they were made of', () => {
  fc.assert(
    fc.property(host, port, fc.constantFrom('tcp' as const, 'http' as const), subset, (hostname, p, kind, s) => {
      const inbound = parseCluster(inboundCluster(hostname, p, kind, s));
      assert.deepEqual(inbound, { direction: 'inbound-vip', port: p, kind, subset: s, hostname });
      const outbound = parseCluster(outboundCluster(hostname, p, s));
      assert.deepEqual(outbound, { direction: 'outbound', port: p, kind: undefined, subset: s, hostname });
    }),
  );
});

test('other names are none', () => {
  for (const name of [
    '',
    'encap',
    'outbound|80|',
    'outbound|x||a',
    'inbound-vip|80|udp|a',
    'a|80||b',
    'outbound|80||a|b',
  ])
    assert.equal(parseCluster(name), undefined, name);
});
