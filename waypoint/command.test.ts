import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCommand } from './command.ts';

const none = {
  '--domain': undefined,
  '--serviceCluster': undefined,
  '--proxyLogLevel': undefined,
  '--proxyComponentLogLevel': undefined,
  '--log_output_level': undefined,
};

test('without an Envoy it is the waypoint itself, with one its agent', () => {
  assert.deepEqual(parseCommand([]), { kind: 'runtime', flags: none });
  assert.deepEqual(parseCommand(['--envoy', '/bin/envoy']), { kind: 'agent', envoy: '/bin/envoy', flags: none });
});

test("Istio's start line is understood", () => {
  const line = 'proxy waypoint --domain shop.svc.cluster.local --serviceCluster wp.shop --proxyLogLevel warning';
  assert.deepEqual(parseCommand(line.split(' ')), {
    kind: 'runtime',
    flags: {
      ...none,
      '--domain': 'shop.svc.cluster.local',
      '--serviceCluster': 'wp.shop',
      '--proxyLogLevel': 'warning',
    },
  });
});

test('what is wrong is named', () => {
  const errors = (...args: string[]) => {
    const command = parseCommand(args);
    return command.kind === 'invalid' ? command.errors.join('; ') : '';
  };
  assert.match(errors('proxy', 'sidecar'), /found "proxy sidecar"/);
  assert.match(errors('--envoy'), /--envoy needs a value/);
  assert.match(errors('--envoy='), /--envoy is empty/);
  assert.match(errors('--concurrency', '2'), /--concurrency is not a flag/);
  assert.equal(parseCommand(['--help']).kind, 'help');
});

test('any arguments are read without an exception', () => {
  fc.assert(fc.property(fc.array(fc.string()), (args) => void parseCommand(args)));
});
