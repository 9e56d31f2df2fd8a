import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from './config.ts';

const env = { AQUIFER_KUBE_DIR: '/k', AQUIFER_DATA_DIR: '/d' };

test('defaults', () => {
  const parsed = parseConfig(['discovery'], env);
  assert.ok(parsed.kind === 'ok');
  const { config } = parsed;
  assert.deepEqual(
    [config.grpc, config.secureGrpc?.port, config.monitoring?.port],
    [{ ip: undefined, port: 15010 }, 15012, 15014],
  );
  assert.deepEqual([...config.trustedNodeAccounts], ['istio-system/ztunnel']);
  assert.deepEqual([config.defaultCertTtl, config.maxCertTtl], [24 * 3_600_000, 2160 * 3_600_000]);
  assert.deepEqual(
    [config.clusterId, config.domain, config.namespace, config.tokens],
    ['Kubernetes', 'cluster.local', 'istio-system', undefined],
  );
});

test('an empty address turns a port off', () => {
  const parsed = parseConfig(['discovery', '--grpcAddr='], env);
  assert.ok(parsed.kind === 'ok' && parsed.config.grpc === undefined);
});

test('an empty list trusts no node', () => {
  const parsed = parseConfig(['discovery'], { ...env, CA_TRUSTED_NODE_ACCOUNTS: '' });
  assert.ok(parsed.kind === 'ok' && parsed.config.trustedNodeAccounts.size === 0);
});

test('all mistakes are told at once', () => {
  const parsed = parseConfig(['serve', 'more', '--bla', '--grpcAddr', 'x', '--domain'], {
    CA_TRUSTED_NODE_ACCOUNTS: 'a/b,c',
    DEFAULT_WORKLOAD_CERT_TTL: '1w',
    MAX_WORKLOAD_CERT_TTL: '0h',
    AQUIFER_JWKS: '/j',
    RUST_LOG: 'loud',
  });
  assert.ok(parsed.kind === 'invalid');
  const expected = [
    /^--bla is not a flag/,
    /^--domain needs/,
    /"serve"/,
    /"more"/,
    /^DEFAULT_WORKLOAD_CERT_TTL=1w: expected a duration/,
    /^MAX_WORKLOAD_CERT_TTL=0h: expected a duration.* at least 1ms/,
    /"c" is not/,
    /belong together/,
    /^--kubeconfig is not set/,
    /^--grpcAddr=x: expected ADDRESS:PORT/,
    /^AQUIFER_DATA_DIR is not set/,
    /^RUST_LOG=loud: expected/,
  ];
  assert.equal(parsed.errors.length, expected.length, parsed.errors.join('\n'));
  for (const [i, e] of expected.entries()) assert.match(parsed.errors[i]!, e);
});

test('help wins over mistakes', () => {
  assert.equal(parseConfig(['--help', '--bla'], {}).kind, 'help');
});
