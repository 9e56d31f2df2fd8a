import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseConfig, parseDuration, parseListenAddress } from './config.ts';

const env = { AQUIFER_KUBE_DIR: '/k', AQUIFER_DATA_DIR: '/d' };

test('defaults', () => {
  const parsed = parseConfig(['discovery'], env);
  assert.ok(parsed.kind === 'config');
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
  assert.ok(parsed.kind === 'config' && parsed.config.grpc === undefined);
});

test('an empty list trusts no node', () => {
  const parsed = parseConfig(['discovery'], { ...env, CA_TRUSTED_NODE_ACCOUNTS: '' });
  assert.ok(parsed.kind === 'config' && parsed.config.trustedNodeAccounts.size === 0);
});

test('all mistakes are told at once', () => {
  const parsed = parseConfig(['serve', 'more', '--bla', '--grpcAddr', 'x', '--domain'], {
    CA_TRUSTED_NODE_ACCOUNTS: 'a/b,c',
    DEFAULT_WORKLOAD_CERT_TTL: '1d',
    MAX_WORKLOAD_CERT_TTL: '0h',
    AQUIFER_JWKS: '/j',
    RUST_LOG: 'loud',
  });
  assert.ok(parsed.kind === 'errors');
  const expected = [
    /--bla/,
    /--domain needs/,
    /"serve"/,
    /"more"/,
    /--grpcAddr "x"/,
    /AQUIFER_KUBE_DIR/,
    /AQUIFER_DATA_DIR/,
    /DEFAULT_WORKLOAD_CERT_TTL="1d"/,
    /MAX_WORKLOAD_CERT_TTL="0h"/,
    /"c" is not/,
    /belong together/,
    /RUST_LOG.*"loud"/,
  ];
  assert.equal(parsed.errors.length, expected.length, parsed.errors.join('\n'));
  for (const [i, e] of expected.entries()) assert.match(parsed.errors[i]!, e);
});

test('help wins over mistakes', () => {
  assert.equal(parseConfig(['--help', '--bla'], {}).kind, 'help');
});

test('durations', () => {
  assert.deepEqual(
    ['24h', '90m', '1h30m', '1.5h', '250ms'].map(parseDuration),
    [86_400_000, 5_400_000, 5_400_000, 5_400_000, 250],
  );
  assert.deepEqual(['', '0s', '-1h', '1', '1d', 'h', '1h '].map(parseDuration), Array(7).fill(undefined));
});

test('addresses', () => {
  assert.deepEqual(parseListenAddress('[::1]:0'), { ip: '::1', port: 0 });
  assert.deepEqual(parseListenAddress('127.0.0.1:80'), { ip: '127.0.0.1', port: 80 });
  for (const bad of ['::1:80', 'localhost:80', '80', ':', ':65536', '[::1]'])
    assert.equal(parseListenAddress(bad), undefined, bad);
  fc.assert(fc.property(fc.string(), (text) => void [parseListenAddress(text), parseDuration(text)]));
});
