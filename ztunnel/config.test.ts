import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseConfig } from './config.ts';
import { hasCapabilities, openFilesLimit } from './process-limits.ts';

const surroundings = { maxOpenFiles: 20_000 };

function ok(env: Record<string, string>) {
  const parsed = parseConfig(env, surroundings);
  if (parsed.kind !== 'ok') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

test('nothing set gives the defaults of the reference', () => {
  const c = ok({});
  assert.equal(c.xds.address, 'https://localhost:15012');
  assert.equal(c.xds.rootFile, './var/run/secrets/istio/root-cert.pem');
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
  assert.equal(ok({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }).ca.address, 'https://istiod.istio-system.svc:15012');
  assert.equal(ok({ XDS_ADDRESS: 'istiod:15012' }).xds.address, 'https://istiod:15012');
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
      AQUIFER_ENGINE: 'native',
      FAKE_CA: 'true',
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
    /AQUIFER_ENGINE=native: comes with a later release/,
    /FAKE_CA=true: not supported/,
  ]) {
    assert.match(text, expected);
  }
});

test('settings of Istio that nothing here reads are mistakes, unless they say what is so anyway', () => {
  const ignored = {
    HTTP2_STREAM_WINDOW_SIZE: '65535',
    HTTP2_CONNECTION_WINDOW_SIZE: '65535',
    HTTP2_FRAME_SIZE: '16384',
    ISTIO_METAJSON_LABELS: '{}',
    XDS_HEADER_X: 'y',
    CA_HEADER_X: 'y',
    ZTUNNEL_WORKER_THREADS: '4',
    ZTUNNEL_CPU_LIMIT: '2',
    ISTIO_META_DNS_PROXY_ADDR: '127.0.0.1:5353',
    TRUST_DOMAIN: 'td.example',
  };
  const parsed = parseConfig(ignored, surroundings);
  const errors = parsed.kind === 'invalid' ? parsed.errors : [];
  assert.deepEqual(errors.map((e) => e.slice(0, e.indexOf('='))).toSorted(), Object.keys(ignored).toSorted());
  ok({
    HTTP2_STREAM_WINDOW_SIZE: '4194304',
    HTTP2_CONNECTION_WINDOW_SIZE: '16777216',
    HTTP2_FRAME_SIZE: '1048576',
    ISTIO_META_DNS_PROXY_ADDR: 'localhost:15053',
    TRUST_DOMAIN: 'cluster.local',
    XDS_HEADER_X: '',
  });
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
