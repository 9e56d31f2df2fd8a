import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { formatSocketAddr, parseIp, parsePort, type SocketAddr } from '../core/net.ts';
import {
  type Baggage,
  formatAuthority,
  formatBaggage,
  formatForwarded,
  newTraceparent,
  parseAuthority,
  parseBaggage,
  parseForwarded,
  parseTraceparent,
} from './headers.ts';

const ip = fc.oneof(fc.ipV4(), fc.ipV6()).map((text) => parseIp(text)!);
const port = fc.integer({ min: 1, max: 65_535 }).map((n) => parsePort(n)!);
const address = fc.record({ ip, port }, { noNullPrototype: true });
const host = fc.domain().map((d) => d.toLowerCase());
const value = fc.stringMatching(/^[A-Za-z0-9._/=-]{1,30}$/);
const anything = fc.oneof(fc.string(), fc.string({ unit: 'binary' }));

it('reads the authorities that it writes', () => {
  fc.assert(
    fc.property(address, (a) => {
      assert.deepEqual(parseAuthority(formatSocketAddr(a)), { kind: 'address', address: a });
    }),
  );
  fc.assert(
    fc.property(host, port, (hostname, p) => {
      const authority = { kind: 'hostname', hostname, port: p } as const;
      assert.deepEqual(parseAuthority(formatAuthority(authority)), authority);
    }),
  );
});

it('refuses other authorities, and never throws', () => {
  for (const text of [
    '',
    ':80',
    '10.0.0.1',
    '10.0.0.1:',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.1:+80',
    '010.0.0.1:80',
    '10.0.1:80',
    '1.2.3.4.5:80',
    '::1:80',
    '[::1]80',
    '[::1]:80x',
    '[fe80::1%eth0]:80',
    '[10.0.0.1]:80',
    'a b:80',
    'user@host:80',
    'http://host:80',
    'host:80/path',
    'host..example:80',
    '-host:80',
    'host\n:80',
    '0x7f000001:80',
    '2130706433:80',
  ]) {
    const parsed = parseAuthority(text);
    if (text === '0x7f000001:80') assert.equal(parsed?.kind, 'hostname');
    else assert.equal(parsed, undefined, JSON.stringify(text));
  }
  assert.deepEqual(parseAuthority('Example.COM.:443'), { kind: 'hostname', hostname: 'example.com', port: 443 });
  fc.assert(fc.property(anything, (text) => void parseAuthority(text)));
});

it('reads the forwarded header that it writes, and nothing else', () => {
  fc.assert(
    fc.property(address, fc.option(host, { nil: undefined }), (source: SocketAddr, h) => {
      assert.deepEqual(parseForwarded(formatForwarded({ source, host: h })), { source, host: h });
    }),
  );
  assert.equal(
    formatForwarded({ source: { ip: parseIp('::1')!, port: parsePort(5)! }, host: 'a.b' }),
    'for="[::1]:5";host=a.b',
  );
  for (const text of [
    '',
    'for=10.0.0.1:80',
    'for="10.0.0.1"',
    'for="10.0.0.1:80',
    'for="10.0.0.1:80";host=',
    'for="10.0.0.1:80";host="a"',
    'for="10.0.0.1:80";host=a;proto=http',
    'for="10.0.0.1:80", for="10.0.0.2:80"',
    'host=a;for="10.0.0.1:80"',
  ]) {
    assert.equal(parseForwarded(text), undefined, text);
  }
  fc.assert(fc.property(anything, (text) => void parseForwarded(text)));
});

const baggage: fc.Arbitrary<Baggage> = fc
  .record(
    {
      clusterId: value,
      namespace: value,
      workloadType: fc.constantFrom('deployment', 'cronjob', 'pod', 'job'),
      workloadName: value,
      serviceName: value,
      serviceVersion: value,
      region: value,
      zone: value,
    },
    { requiredKeys: [], noNullPrototype: true },
  )
  .map(({ workloadType, workloadName, ...rest }) =>
    workloadType && workloadName ? { ...rest, workloadType, workloadName } : rest,
  );

it('reads the baggage that it writes', () => {
  fc.assert(
    fc.property(baggage, (b) => {
      assert.deepEqual(parseBaggage(formatBaggage(b)), b);
    }),
  );
});

it('writes baggage in the order of the wire reference and leaves out what is unknown', () => {
  assert.equal(
    formatBaggage({
      zone: 'z',
      region: 'r',
      serviceVersion: 'v1',
      serviceName: 's',
      workloadType: 'deployment',
      workloadName: 'w',
      namespace: 'n',
      clusterId: 'Kubernetes',
    }),
    'k8s.cluster.name=Kubernetes,k8s.namespace.name=n,k8s.deployment.name=w,service.name=s,service.version=v1,' +
      'cloud.region=r,cloud.availability_zone=z',
  );
  assert.equal(formatBaggage({}), '');
  assert.equal(formatBaggage({ namespace: 'a,service.name=forged' }), '');
});

it('reads foreign baggage without being led astray', () => {
  assert.deepEqual(parseBaggage('k8s.namespace.name=, unknown=1 ,service.name = s ,cloud.region,=x,__proto__=y'), {
    serviceName: 's',
  });
  assert.deepEqual(parseBaggage('service.name=a\nb,service.version=v=1'), { serviceVersion: 'v=1' });
  fc.assert(fc.property(anything, (text) => void parseBaggage(text)));
});

it('makes traceparents that are valid and different', () => {
  const made = newTraceparent();
  assert.match(made, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  assert.equal(parseTraceparent(made)?.flags, 0);
  assert.notEqual(newTraceparent(), made);
  for (const text of [
    '',
    `00-${'0'.repeat(32)}-${'1'.repeat(16)}-00`,
    `00-${'1'.repeat(32)}-${'0'.repeat(16)}-00`,
    `ff-${'1'.repeat(32)}-${'1'.repeat(16)}-00`,
    `00-${'A'.repeat(32)}-${'1'.repeat(16)}-00`,
    `${made}-x`,
  ]) {
    assert.equal(parseTraceparent(text), undefined, text);
  }
});
