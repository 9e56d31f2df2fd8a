import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { discoveryFlags, discoveryVariables, parseConfig } from './config.ts';

const env = { KUBECONFIG: '/k', AQUIFER_DATA_DIR: '/d' };

test('defaults', () => {
  const parsed = parseConfig(['discovery'], env);
  assert.ok(parsed.kind === 'ok');
  const { config } = parsed;
  assert.deepEqual(
    [config.grpc, config.secureGrpc?.port, config.monitoring?.port, config.http?.port],
    [{ ip: '127.0.0.1', port: 15010 }, 15012, 15014, 8080],
  );
  assert.deepEqual([...config.ca.trustedNodeAccounts], ['istio-system/ztunnel']);
  assert.deepEqual([config.ca.defaultCertTtl, config.ca.maxCertTtl], [24 * 3_600_000, 2160 * 3_600_000]);
  assert.deepEqual(
    [config.clusterId, config.domain, config.namespace, config.tokens],
    ['Kubernetes', 'cluster.local', 'istio-system', undefined],
  );
});

test('an empty address turns a port off', () => {
  const parsed = parseConfig(['discovery', '--grpcAddr='], env);
  assert.ok(parsed.kind === 'ok' && parsed.config.grpc === undefined);
});

test("Istio's flags that change nothing are no mistakes, and are told with the reason", () => {
  const line =
    '--networksConfig /etc/istio/meshNetworks --shutdownDuration=10s --kubernetesApiQPS 80 --log_target=stdout';
  const parsed = parseConfig(['discovery', ...line.split(' ')], env);
  assert.ok(parsed.kind === 'ok', JSON.stringify(parsed));
  assert.deepEqual(
    parsed.config.ignored.map((i) => [i.flag, i.value]),
    [
      ['--networksConfig', '/etc/istio/meshNetworks'],
      ['--shutdownDuration', '10s'],
      ['--kubernetesApiQPS', '80'],
      ['--log_target', 'stdout'],
    ],
  );
  for (const { reason } of parsed.config.ignored) assert.ok(reason.length > 20);
});

test('what TLS ports take', () => {
  const flags = ['--tls-min-version=1.3', '--caCertFile', '/roots'];
  const cipher = 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256';
  const parsed = parseConfig(['discovery', ...flags, `--tls-cipher-suites=${cipher}`], env);
  assert.ok(parsed.kind === 'ok', JSON.stringify(parsed));
  const ciphers = ['ECDHE-RSA-AES128-GCM-SHA256'];
  assert.deepEqual(parsed.config.tls, { minVersion: '1.3', ciphers, clientRoots: '/roots' });
  const wrong = ['--tls-min-version=1.1', '--tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA'];
  const refused = parseConfig(['discovery', ...wrong], env);
  assert.ok(refused.kind === 'invalid');
  assert.match(refused.errors.join('\n'), /--tls-min-version=1.1: expected one of 1.2, 1.3/);
  assert.match(refused.errors.join('\n'), /"TLS_RSA_WITH_RC4_128_SHA" is unknown or insecure/);
});

test('clusters: other names of this one, and where the Secrets of others are', () => {
  const parsed = parseConfig(['discovery', '--clusterAliases=a=x,b=y', '--clusterRegistriesNamespace', 'far'], env);
  assert.ok(parsed.kind === 'ok', JSON.stringify(parsed));
  assert.deepEqual([...parsed.config.clusterAliases], Object.entries({ a: 'x', b: 'y' }));
  assert.equal(parsed.config.clustersNamespace, 'far');
  const refused = parseConfig(['discovery', '--clusterAliases=a=x,b=x,c'], env);
  assert.ok(refused.kind === 'invalid');
  assert.match(refused.errors.join('\n'), /x has more than one alias\n.*"c" is not ALIAS=CLUSTER/);
});

test('what is no source is refused by what to do instead', () => {
  const parsed = parseConfig(['discovery', '--registries=Kubernetes,Mock', '--configDir=/config'], env);
  assert.ok(parsed.kind === 'invalid');
  for (const part of [/only Kubernetes is there/, /--standalone --manifests/])
    assert.match(parsed.errors.join('\n'), part);
});

test('ControlZ, profiles and keep-alives by their other names', () => {
  const spoken = { ...env, GRPC_KEEPALIVE_INTERVAL: '20s', GRPC_KEEPALIVE_TIMEOUT: '7s' };
  const args = ['discovery', '--ctrlz_address=localhost', '--ctrlz_port=1', '--profile=false', '--keepaliveTimeout=8s'];
  const parsed = parseConfig(args, spoken);
  assert.ok(parsed.kind === 'ok', JSON.stringify(parsed));
  const { console, keepalive, profiles } = parsed.config;
  assert.deepEqual([console, profiles], [{ ip: '127.0.0.1', port: 1 }, false]);
  assert.deepEqual(keepalive, { interval: 20_000, timeout: 8_000 });
});

test('an empty list trusts no node', () => {
  const parsed = parseConfig(['discovery'], { ...env, CA_TRUSTED_NODE_ACCOUNTS: '' });
  assert.ok(parsed.kind === 'ok' && parsed.config.ca.trustedNodeAccounts.size === 0);
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
    /belong together/,
    /^--kubeconfig is not set/,
    /^--grpcAddr=x: expected ADDRESS:PORT/,
    /^DEFAULT_WORKLOAD_CERT_TTL=1w: expected a duration/,
    /^MAX_WORKLOAD_CERT_TTL=0h: expected a duration.* at least 1ms/,
    /"c" is not/,
    /^RUST_LOG=loud: expected/,
  ];
  assert.equal(parsed.errors.length, expected.length, parsed.errors.join('\n'));
  for (const [i, e] of expected.entries()) assert.match(parsed.errors[i]!, e);
});

test('help wins over mistakes', () => {
  assert.equal(parseConfig(['--help', '--bla'], {}).kind, 'help');
});

test("a start line of Istio's charts works", () => {
  const line =
    'discovery --monitoringAddr=:15014 --log_output_level=default:info,ads:debug --log_as_json --domain x.y --keepaliveMaxServerConnectionAge 30m --keepaliveInterval=1m --keepaliveTimeout 5s -n mesh';
  const parsed = parseConfig(line.split(' '), { ...env, POD_NAMESPACE: 'other' });
  assert.ok(parsed.kind === 'ok', JSON.stringify(parsed));
  const { config, sink } = parsed;
  assert.deepEqual([config.domain, config.maxConnectionAge, config.namespace], ['x.y', 30 * 60_000, 'mesh']);
  assert.deepEqual(config.keepalive, { interval: 60_000, timeout: 5_000 });
  assert.equal(sink.format, 'json');
  assert.ok(sink.levels.enabled('istiod::xds', 'debug') && !sink.levels.enabled('istiod::model', 'debug'));
});

test("scopes of Istio's log are ours, with what is inside of them", () => {
  const parsed = parseConfig(['discovery', '--log_output_level=ca:debug,ads:none'], env);
  assert.ok(parsed.kind === 'ok', JSON.stringify(parsed));
  const { levels } = parsed.sink;
  assert.ok(levels.enabled('istiod::ca', 'debug') && levels.enabled('istiod::ca::audit', 'debug'));
  assert.ok(!levels.enabled('istiod::xds', 'error') && levels.enabled('istiod::model', 'info'));
});

test('flags of the log are checked', () => {
  const parsed = parseConfig(['discovery', '--log_output_level=envoy:debug,xds:loud', '--log_as_json=1'], env);
  assert.ok(parsed.kind === 'invalid');
  for (const part of [/"envoy" is not a scope/, /RUST_LOG=istiod::xds=loud/, /--log_as_json=1: expected/])
    assert.match(parsed.errors.join('\n'), part);
});

test('the page of settings names all flags and variables', async () => {
  const page = await readFile(new URL('./SETTINGS.md', import.meta.url), 'utf8');
  for (const name of [...discoveryFlags, ...discoveryVariables]) assert.ok(page.includes(`\`${name}`), name);
});
