import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseConfig, type ZtunnelConfig } from './config.ts';
import { hasCapabilities, openFilesLimit } from './surroundings.ts';

const surroundings = { maxOpenFiles: 20_000, cpus: 8, exists: (path: string) => path === 'here' };
const pem = '-----BEGIN CERTIFICATE-----';
const ownPod = { POD_NAME: 'p', POD_NAMESPACE: 'n', SERVICE_ACCOUNT: 's' };

function caPlane({ ca }: ZtunnelConfig) {
  if (ca.kind !== 'istiod') throw new Error('not that of istiod');
  return ca.plane;
}

function ok(env: Record<string, string>) {
  const parsed = parseConfig(env, surroundings);
  if (parsed.kind !== 'ok') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

test('nothing set gives the defaults of the reference', () => {
  const c = ok({});
  const plane = {
    address: 'https://localhost:15012',
    roots: { kind: 'file', path: './var/run/secrets/istio/root-cert.pem' },
    alternativeName: undefined,
    token: { kind: 'optionalFile', path: './var/run/secrets/tokens/istio-token' },
    clusterId: 'Kubernetes',
    headers: {},
  };
  assert.deepEqual(c.xds, plane);
  assert.deepEqual(c.ca, { kind: 'istiod', plane });
  assert.deepEqual(c.mode, { kind: 'shared', zdsPath: '/var/run/ztunnel/ztunnel.sock' });
  assert.equal(c.secretTtl, 86_400_000);
  assert.equal(c.drainDeadline, 5_000);
  assert.equal(c.packetMark, 1337);
  assert.equal(c.maxDescriptors, 20_000);
  assert.equal(c.workers, 1);
  assert.equal(c.dnsProxy, true);
  assert.equal(c.originalSource, 'auto');
  assert.equal(c.nodeName, undefined);
  assert.deepEqual(c.keepAlive, { idle: 180, interval: 180, probes: 9 });
});

test('a dedicated proxy has one workload, no mark, and shows itself to the app unless there is a mark', () => {
  const dedicated = { PROXY_MODE: 'dedicated', PROXY_WORKLOAD_INFO: 'ns/name/sa' };
  const c = ok(dedicated);
  assert.deepEqual(c.mode, {
    kind: 'dedicated',
    workload: { namespace: 'ns', name: 'name', serviceAccount: 'sa' },
  });
  assert.equal(c.packetMark, undefined);
  assert.equal(c.originalSource, 'never');
  assert.equal(ok({ ...dedicated, PACKET_MARK: '1337' }).originalSource, 'auto');
  assert.equal(ok({ ...dedicated, ENABLE_ORIG_SRC: 'true' }).originalSource, 'always');
  const parsed = parseConfig({ PROXY_MODE: 'dedicated' }, surroundings);
  assert.match(parsed.kind === 'invalid' ? parsed.errors.join() : '', /PROXY_WORKLOAD_INFO is not set/);
});

test('in Kubernetes istiod is found by its name', () => {
  const { xds, ca } = ok({ KUBERNETES_SERVICE_HOST: '10.0.0.1', XDS_ADDRESS: 'istiod:15012' });
  assert.equal(ca.kind === 'istiod' && ca.plane.address, 'https://istiod.istio-system.svc:15012');
  assert.equal(xds?.address, 'https://istiod:15012');
});

test('every mistake is reported, each with name, value and what was expected', () => {
  const parsed = parseConfig(
    {
      AQUIFER_WORKERS: '0',
      IPV6_ENABLED: 'maybe',
      SECRET_TTL: 'soon',
      CA_ADDRESS: 'http://istiod:15010',
      XDS_ADDRESS: 'https://no-port',
      AQUIFER_COMPAT: 'missing-policy,nonsense',
      AQUIFER_TRACE: 'who=me',
      INSTANCE_IP: 'localhost',
      PROXY_MODE: 'dedicated',
      PROXY_WORKLOAD_INFO: 'ns/name',
      AQUIFER_ENGINE: 'rust',
    },
    surroundings,
  );
  assert.equal(parsed.kind, 'invalid');
  const text = parsed.kind === 'invalid' ? parsed.errors.join('\n') : '';
  for (const expected of [
    /AQUIFER_WORKERS=0: expected a whole number from 1 to 64/,
    /IPV6_ENABLED=maybe: expected one of true, false/,
    /SECRET_TTL=soon: expected a duration/,
    /CA_ADDRESS=http:\/\/istiod:15010: expected https:\/\/host:port/,
    /XDS_ADDRESS=https:\/\/no-port/,
    /AQUIFER_COMPAT=.*missing-policy, l7-deny/,
    /AQUIFER_TRACE=who=me/,
    /INSTANCE_IP=localhost: expected an IP/,
    /PROXY_WORKLOAD_INFO=ns\/name: expected namespace\/name\/service-account/,
    /AQUIFER_ENGINE=rust: expected one of auto, node, native/,
  ]) {
    assert.match(text, expected);
  }
});

function mistakes(env: Record<string, string>): string {
  const parsed = parseConfig(env, surroundings);
  return parsed.kind === 'invalid' ? parsed.errors.join('\n') : '';
}

/** Every variable of ambient-wire 6.7 that is honoured: what it changes, and a value that is refused. */
const dedicated = { PROXY_MODE: 'dedicated', PROXY_WORKLOAD_INFO: 'ns/name/sa' };
const local = { LOCAL_XDS: '{}' };
const rows: readonly {
  readonly env: Record<string, string>;
  readonly is: (c: ZtunnelConfig) => unknown;
  readonly equals: unknown;
  readonly not?: Record<string, string>;
}[] = [
  { env: { ENABLE_PROXY: 'false' }, is: (c) => c.proxy, equals: false, not: { ENABLE_PROXY: 'no' } },
  { env: dedicated, is: (c) => c.mode.kind, equals: 'dedicated', not: { PROXY_MODE: 'sidecar' } },
  { env: { XDS_ADDRESS: '', ...local }, is: (c) => c.xds, equals: undefined, not: { XDS_ADDRESS: '' } },
  {
    env: { XDS_ADDRESS: 'http://i:15010' },
    is: (c) => c.xds?.address,
    equals: 'http://i:15010',
    not: { XDS_ADDRESS: 'x' },
  },
  {
    env: { CA_ADDRESS: 'ca:1' },
    is: (c) => caPlane(c).address,
    equals: 'https://ca:1',
    not: { CA_ADDRESS: 'http://ca:1' },
  },
  { env: { XDS_ROOT_CA: 'SYSTEM' }, is: (c) => c.xds?.roots, equals: { kind: 'system' } },
  { env: { XDS_ROOT_CA: '/r.pem' }, is: (c) => c.xds?.roots, equals: { kind: 'file', path: '/r.pem' } },
  { env: { CA_ROOT_CA: pem }, is: (c) => caPlane(c).roots, equals: { kind: 'pem', pem } },
  { env: { ALT_XDS_HOSTNAME: 'a' }, is: (c) => c.xds?.alternativeName, equals: 'a' },
  { env: { ALT_CA_HOSTNAME: 'a' }, is: (c) => caPlane(c).alternativeName, equals: 'a' },
  { env: { AUTH_TOKEN: '/t' }, is: (c) => c.xds?.token, equals: { kind: 'file', path: '/t' } },
  { env: { AUTH_TOKEN: 'here' }, is: (c) => c.xds?.token, equals: { kind: 'file', path: 'here' } },
  {
    env: { AUTH_TOKEN: 'ey.J' },
    is: (c) => c.xds?.token,
    equals: { kind: 'literal', token: 'ey.J' },
    not: { AUTH_TOKEN: 'a\nb' },
  },
  {
    env: { XDS_HEADER_X_Tenant: 'b' },
    is: (c) => [c.xds?.headers, caPlane(c).headers],
    equals: [{ x_tenant: 'b' }, {}],
    not: { 'XDS_HEADER_a b': 'c' },
  },
  {
    env: { CA_HEADER_K: 'v' },
    is: (c) => [c.xds?.headers, caPlane(c).headers],
    equals: [{}, { k: 'v' }],
    not: { CA_HEADER_K: 'a\nb' },
  },
  {
    env: { LOCAL_XDS_PATH: '/m' },
    is: (c) => c.localMesh,
    equals: { kind: 'file', path: '/m' },
    not: { LOCAL_XDS_PATH: '/m', ...local },
  },
  { env: local, is: (c) => c.localMesh, equals: { kind: 'text', text: '{}' } },
  {
    env: { FAKE_CA: 'true', AQUIFER_FAKE_CA_DIR: '/ca' },
    is: (c) => c.ca,
    equals: { kind: 'fake', folder: '/ca' },
    not: { FAKE_CA: 'true' },
  },
  { env: { SECRET_TTL: '1h' }, is: (c) => c.secretTtl, equals: 3_600_000, not: { SECRET_TTL: 'soon' } },
  { env: { CLUSTER_ID: 'c' }, is: (c) => [c.clusterId, c.xds?.clusterId], equals: ['c', 'c'] },
  { env: { CLUSTER_DOMAIN: 'd' }, is: (c) => c.clusterDomain, equals: 'd' },
  { env: { NETWORK: 'n' }, is: (c) => c.network, equals: 'n' },
  { env: { NODE_NAME: 'n' }, is: (c) => c.nodeName, equals: 'n' },
  {
    env: { POD_NAME: 'p', POD_NAMESPACE: 'n' },
    is: (c) => [c.podName, c.podNamespace, c.self],
    equals: ['p', 'n', undefined],
  },
  { env: ownPod, is: (c) => c.self, equals: { name: 'p', namespace: 'n', serviceAccount: 's' } },
  { env: { ...ownPod, ...dedicated }, is: (c) => c.self, equals: undefined },
  { env: { TRUST_DOMAIN: 'td' }, is: (c) => c.trustDomain, equals: 'td' },
  { env: { INSTANCE_IP: '10.0.0.1' }, is: (c) => c.instanceIp, equals: '10.0.0.1', not: { INSTANCE_IP: 'here' } },
  { env: { PREFERED_SERVICE_NAMESPACE: 'n' }, is: (c) => c.preferredServiceNamespace, equals: 'n' },
  { env: { INPOD_UDS: '/z' }, is: (c) => c.mode, equals: { kind: 'shared', zdsPath: '/z' } },
  { env: { INPOD_PORT_REUSE: 'false' }, is: (c) => c.portReuse, equals: false, not: { INPOD_PORT_REUSE: '1' } },
  { env: { PACKET_MARK: '7' }, is: (c) => c.packetMark, equals: 7, not: { PACKET_MARK: 'x' } },
  { env: { ENABLE_ORIG_SRC: 'false' }, is: (c) => c.originalSource, equals: 'never', not: { ENABLE_ORIG_SRC: 'x' } },
  { env: { IPV6_ENABLED: 'false' }, is: (c) => c.ipv6, equals: false, not: { IPV6_ENABLED: 'x' } },
  { env: { ISTIO_META_DNS_CAPTURE: 'yes' }, is: (c) => c.dnsProxy, equals: false },
  { env: { ISTIO_META_DNS_CAPTURE: 'TRUE' }, is: (c) => c.dnsProxy, equals: true },
  {
    env: { ISTIO_META_DNS_PROXY_ADDR: '[::1]:53' },
    is: (c) => c.dnsAddress,
    equals: { kind: 'address', ip: '::1', port: 53 },
    not: { ISTIO_META_DNS_PROXY_ADDR: 'x' },
  },
  {
    env: { ISTIO_META_DNS_PROXY_ADDR: 'localhost:5353' },
    is: (c) => c.dnsAddress,
    equals: { kind: 'localhost', port: 5353 },
  },
  {
    env: { ISTIO_METAJSON_L: '{"a":[1]}' },
    is: (c) => c.nodeMetadata,
    equals: { L: { a: [1] } },
    not: { ISTIO_METAJSON_L: '{' },
  },
  {
    env: { POOL_MAX_STREAMS_PER_CONNECTION: '7' },
    is: (c) => c.poolMaxStreams,
    equals: 7,
    not: { POOL_MAX_STREAMS_PER_CONNECTION: '0' },
  },
  {
    env: { POOL_UNUSED_RELEASE_TIMEOUT: '1m' },
    is: (c) => c.poolUnusedRelease,
    equals: 60_000,
    not: { POOL_UNUSED_RELEASE_TIMEOUT: 'x' },
  },
  {
    env: { HTTP2_STREAM_WINDOW_SIZE: '65535' },
    is: (c) => c.http2.stream,
    equals: 65_535,
    not: { HTTP2_STREAM_WINDOW_SIZE: '0' },
  },
  {
    env: { HTTP2_CONNECTION_WINDOW_SIZE: '65536' },
    is: (c) => c.http2.connection,
    equals: 65_536,
    not: { HTTP2_CONNECTION_WINDOW_SIZE: '1' },
  },
  { env: { HTTP2_FRAME_SIZE: '16384' }, is: (c) => c.http2.frame, equals: 16_384, not: { HTTP2_FRAME_SIZE: '16383' } },
  { env: { KEEPALIVE_ENABLED: 'false' }, is: (c) => c.keepAlive, equals: undefined, not: { KEEPALIVE_ENABLED: 'x' } },
  {
    env: { KEEPALIVE_TIME: '9s', KEEPALIVE_INTERVAL: '8s', KEEPALIVE_RETRIES: '7' },
    is: (c) => c.keepAlive,
    equals: { idle: 9, interval: 8, probes: 7 },
    not: { KEEPALIVE_RETRIES: '0' },
  },
  {
    env: { USER_TIMEOUT_ENABLED: 'true' },
    is: (c) => c.userTimeout,
    equals: 1_800_000,
    not: { USER_TIMEOUT_ENABLED: 'x' },
  },
  {
    env: { CONNECTION_TERMINATION_DEADLINE: '7s' },
    is: (c) => c.drainDeadline,
    equals: 7_000,
    not: { CONNECTION_TERMINATION_DEADLINE: 'x' },
  },
  {
    env: { TERMINATION_GRACE_PERIOD_SECONDS: '30' },
    is: (c) => c.drainDeadline,
    equals: 25_000,
    not: { TERMINATION_GRACE_PERIOD_SECONDS: 'x' },
  },
  {
    env: { ENABLE_RESPONSE_BAGGAGE: 'false' },
    is: (c) => c.responseBaggage,
    equals: false,
    not: { ENABLE_RESPONSE_BAGGAGE: 'x' },
  },
  {
    env: { LOCALHOST_APP_TUNNEL: 'false' },
    is: (c) => c.localhostAppTunnel,
    equals: false,
    not: { LOCALHOST_APP_TUNNEL: 'x' },
  },
  { env: { CRL_PATH: '/crl.pem' }, is: (c) => c.crlFile, equals: '/crl.pem' },
  {
    env: { UNSTABLE_ENABLE_SOCKS5: 'true' },
    is: (c) => c.socks5,
    equals: true,
    not: { UNSTABLE_ENABLE_SOCKS5: 'x' },
  },
  { env: { TLS12_ENABLED: 'true' }, is: (c) => c.tls.oldest, equals: 'TLSv1.2', not: { TLS12_ENABLED: 'x' } },
  {
    env: { COMPLIANCE_POLICY: 'pqc' },
    is: (c) => c.tls.keyExchange,
    equals: 'pqc',
    not: { COMPLIANCE_POLICY: 'fips-140-2' },
  },
  {
    env: { AUTHZ_POLICY_INFO_LOGGING: 'true' },
    is: (c) => c.logPolicyDecisions,
    equals: true,
    not: { AUTHZ_POLICY_INFO_LOGGING: 'x' },
  },
  { env: { ZTUNNEL_WORKER_THREADS: '3' }, is: (c) => c.workers, equals: 3, not: { ZTUNNEL_WORKER_THREADS: 'many' } },
  { env: { ZTUNNEL_WORKER_THREADS: '0' }, is: (c) => c.workers, equals: 8 },
  { env: { ZTUNNEL_WORKER_THREADS: '0', AQUIFER_WORKERS: '2' }, is: (c) => c.workers, equals: 2 },
  { env: { ZTUNNEL_WORKER_THREADS: '30%' }, is: (c) => c.workers, equals: 3, not: { ZTUNNEL_WORKER_THREADS: '101%' } },
  {
    env: { ZTUNNEL_WORKER_THREADS: '50%', ZTUNNEL_CPU_LIMIT: '4' },
    is: (c) => c.workers,
    equals: 2,
    not: { ZTUNNEL_CPU_LIMIT: '-1' },
  },
  {
    env: { ZTUNNEL_WORKER_THREADS: '50%', ZTUNNEL_CPU_LIMIT: '4', ZTUNNEL_RESOURCE_CPU_LIMIT: '1500m' },
    is: (c) => c.workers,
    equals: 1,
    not: { ZTUNNEL_RESOURCE_CPU_LIMIT: 'x' },
  },
  {
    env: { ZTUNNEL_RESOURCE_CPU_REQUEST: '6' },
    is: (c) => c.workers,
    equals: 1,
    not: { ZTUNNEL_RESOURCE_CPU_REQUEST: 'x' },
  },
  {
    env: {
      PROXY_CONFIG:
        'discoveryAddress: istiod:1\nproxyAdminPort: 2\nstatsPort: 3\nconcurrency: 4\nproxyMetadata: {ISTIO_META_A: x, B: y, DNS_CAPTURE: "false"}',
    },
    is: (c) => [c.xds?.address, c.adminPort, c.statsPort, c.workers, c.nodeMetadata, c.dnsProxy],
    equals: ['https://istiod:1', 2, 3, 4, { A: 'x', B: 'y', DNS_CAPTURE: 'false' }, false],
    not: { PROXY_CONFIG: 'statsPort: many' },
  },
  {
    env: { PROXY_CONFIG: 'discoveryAddress: a:1', XDS_ADDRESS: 'b:2' },
    is: (c) => c.xds?.address,
    equals: 'https://b:2',
    not: { PROXY_CONFIG: 'discoveryAddress: a' },
  },
  {
    env: { PROXY_CONFIG: 'proxyMetadata: {X: a}', ISTIO_META_X: 'b' },
    is: (c) => c.nodeMetadata,
    equals: { X: 'b' },
    not: { PROXY_CONFIG: '[' },
  },
];

for (const { env, is, equals, not } of rows) {
  test(`${Object.keys(env).join(' and ')}=${Object.values(env)[0]?.slice(0, 30)} has its effect`, () => {
    assert.deepEqual(is(ok(env)), equals);
    if (not) assert.notEqual(mistakes(not), '', JSON.stringify(not));
  });
}

test('secrets are not shown where they are refused', () => {
  const refused = mistakes({ AUTH_TOKEN: 'se\ncret', XDS_HEADER_K: 'se\ncret' });
  assert.match(refused, /AUTH_TOKEN=\.\.\..*\n.*XDS_HEADER_K=\.\.\./);
  assert.doesNotMatch(refused, /cret/);
});

test('the file of the mesh gives what PROXY_CONFIG does not', () => {
  const meshFile =
    'defaultConfig:\n  statsPort: 1\n  proxyAdminPort: 2\n  proxyMetadata: {A: file, B: file}\nother: ignored';
  const parsed = parseConfig({ PROXY_CONFIG: 'statsPort: 9\nproxyMetadata: {A: env}' }, { ...surroundings, meshFile });
  assert.ok(parsed.kind === 'ok');
  const { statsPort, adminPort, nodeMetadata } = parsed.config;
  assert.deepEqual([statsPort, adminPort, nodeMetadata], [9, 2, { A: 'env', B: 'file' }]);
  const bad = parseConfig({}, { ...surroundings, meshFile: 'defaultConfig: 5' });
  assert.match(bad.kind === 'invalid' ? bad.errors.join() : '', /etc\/istio\/config\/mesh.*defaultConfig/);
});

test('of contradictions each is named', () => {
  assert.match(
    mistakes({ ENABLE_PROXY: 'false', ISTIO_META_DNS_CAPTURE: 'false' }),
    /ENABLE_PROXY=false.*nothing to serve/,
  );
  assert.match(mistakes({ AQUIFER_FAKE_CA_DIR: '/ca' }), /no effect without FAKE_CA/);
  assert.match(mistakes({ XDS_ADDRESS: '' }), /LOCAL_XDS_PATH or LOCAL_XDS/);
});

test('descriptors: at most 20,000 unless asked for, never more than the process may open', () => {
  const descriptors = (maxOpenFiles: number, env: Record<string, string> = {}) => {
    const parsed = parseConfig(env, { maxOpenFiles });
    return parsed.kind === 'ok' ? parsed.config.maxDescriptors : parsed.errors.join();
  };
  assert.equal(descriptors(1_048_576), 20_000);
  assert.equal(descriptors(1_024), 1_024);
  assert.equal(descriptors(1_048_576, { AQUIFER_MAX_DESCRIPTORS: '100000' }), 100_000);
  assert.match(
    `${descriptors(1_024, { AQUIFER_MAX_DESCRIPTORS: '1025' })}`,
    /AQUIFER_MAX_DESCRIPTORS=1025: this process may open 1024 files; raise that limit \(ulimit -n\) or lower the setting/,
  );
});

test('addresses on demand exclude the DNS proxy, which is on by default', () => {
  assert.equal(ok({}).xdsOnDemand, false);
  assert.equal(ok({ XDS_ON_DEMAND: 'true', ISTIO_META_DNS_CAPTURE: 'false' }).xdsOnDemand, true);
  const both = parseConfig({ XDS_ON_DEMAND: 'true' }, surroundings);
  assert.match(both.kind === 'invalid' ? both.errors.join() : '', /XDS_ON_DEMAND=true.*ISTIO_META_DNS_CAPTURE=false/);
});

test('the drain deadline follows the grace period', () => {
  const deadline = (env: Record<string, string>) => ok(env).drainDeadline;
  assert.equal(deadline({ TERMINATION_GRACE_PERIOD_SECONDS: '30' }), 25_000);
  assert.equal(deadline({ TERMINATION_GRACE_PERIOD_SECONDS: '10' }), 9_000);
  assert.equal(deadline({ TERMINATION_GRACE_PERIOD_SECONDS: '1' }), 1_000);
  assert.equal(deadline({ TERMINATION_GRACE_PERIOD_SECONDS: '30', CONNECTION_TERMINATION_DEADLINE: '7s' }), 7_000);
});

test('compatibility is asked for as a whole or by case', () => {
  assert.equal(ok({ AQUIFER_COMPAT: 'istio' }).compat.size, 5);
  assert.deepEqual([...ok({ AQUIFER_COMPAT: 'l7-deny, no-waypoint' }).compat], ['l7-deny', 'no-waypoint']);
});

test('metadata of the node comes from ISTIO_META_', () => {
  const c = ok({ ISTIO_META_CLUSTER_ID: 'c1', ISTIO_META_X: 'y', CLUSTER_ID: 'c2' });
  assert.deepEqual(c.nodeMetadata, { CLUSTER_ID: 'c1', X: 'y' });
  assert.equal(c.clusterId, 'c1');
});

test('any environment gives a configuration or reasons, never an exception', () => {
  const names = [
    'XDS_ADDRESS',
    'AQUIFER_TRACE',
    'AQUIFER_COMPAT',
    'SECRET_TTL',
    'PACKET_MARK',
    'CA_ROOT_CA',
    'IPV6_ENABLED',
  ];
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), fc.string({ unit: 'binary', maxLength: 60 })), (env) => {
      const parsed = parseConfig(env, surroundings);
      if (parsed.kind === 'invalid') assert.ok(parsed.errors.length > 0);
    }),
  );
});

test('limits and capabilities are read from /proc', () => {
  assert.equal(openFilesLimit('Max open files            20000                30000                files'), 20_000);
  assert.equal(
    openFilesLimit('Max open files            unlimited            unlimited            files'),
    Number.MAX_SAFE_INTEGER,
  );
  assert.equal(openFilesLimit(''), 1024);
  assert.equal(hasCapabilities('Name:\tnode\nCapEff:\t0000000000000000\n'), false);
  assert.equal(hasCapabilities('CapEff:\t0000000000001000\n'), true);
  assert.equal(hasCapabilities('nothing'), true);
});

test('SETTINGS.md names every variable that is read, and no other', () => {
  const page = readFileSync(new URL('SETTINGS.md', import.meta.url), 'utf8');
  const table = page.slice(0, page.indexOf('\n## '));
  const firstCells = table.split('\n').filter((line) => line.startsWith('| `'));
  const listed = new Set(firstCells.flatMap((line) => line.split('|')[1]!.match(/`([A-Z][A-Z0-9_]+)(?=`)/g) ?? []));
  const read = new Set<string>();
  for (const env of [{}, dedicated, { FAKE_CA: 'true' }, { XDS_ADDRESS: '', ...local }]) {
    const watched = new Proxy<Record<string, string>>(env, {
      get(target, name) {
        read.add(`\`${String(name)}`);
        return target[String(name)];
      },
    });
    parseConfig(watched, surroundings);
  }
  // Read by the name that follows the prefix, as all metadata.
  for (const name of ['ISTIO_META_DNS_CAPTURE', 'ISTIO_META_DNS_PROXY_ADDR']) read.add(`\`${name}`);
  assert.deepEqual([...listed].toSorted(), [...read].toSorted());
});
