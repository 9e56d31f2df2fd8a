import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathOfNode } from './node-paths.ts';

test('sockets, plugins and pins are each node’s own, all else is the machine’s', () => {
  const cases = {
    '/var/run/ztunnel': '/n/ztunnel',
    '/run/ztunnel/': '/n/ztunnel',
    '/var/run/istio-cni/pluginevent.sock': '/n/cni/run/pluginevent.sock',
    '/etc/cni/net.d': '/n/cni/net.d',
    '/opt/cni/bin/x': '/n/cni/bin/x',
    '/sys/fs/bpf': '/n/bpf',
    '/etc/cni/net.d2': '/etc/cni/net.d2',
    '/var/run/netns': '/var/run/netns',
    '/': '/',
  };
  for (const [path, expected] of Object.entries(cases)) assert.equal(pathOfNode('/n', path), expected, path);
});
