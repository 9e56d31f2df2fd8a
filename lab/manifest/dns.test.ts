import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fullName, hostsFile, planNames, resolvConf } from './dns.ts';
import { Problems } from './problems.ts';

const cluster = { domain: 'cluster.local', dns: '10.96.0.10' };
const conf = (spec: object) => {
  const problems = new Problems();
  const plan = planNames({ containers: [], ...spec }, 'spec', problems);
  assert.deepEqual(problems.found, []);
  return resolvConf(plan, 'shop', cluster).trimEnd().split('\n');
};
const search = 'search shop.svc.cluster.local svc.cluster.local cluster.local';

test('policies choose servers and search paths', () => {
  assert.deepEqual(conf({}), [search, 'nameserver 10.96.0.10', 'options ndots:5']);
  assert.deepEqual(conf({ hostNetwork: true }), ['nameserver 10.96.0.10']);
  assert.deepEqual(conf({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' })[0], search);
  assert.deepEqual(conf({ dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.1'] } }), ['nameserver 192.0.2.1']);
});

test("a pod's own configuration is added, and its options win", () => {
  const dnsConfig = {
    nameservers: ['192.0.2.1', '10.96.0.10', '192.0.2.2', '192.0.2.3'],
    searches: ['example.org', 'cluster.local'],
    options: [{ name: 'ndots', value: '1' }, { name: 'single-request' }],
  };
  assert.deepEqual(conf({ dnsConfig }), [
    `${search} example.org`,
    ...['10.96.0.10', '192.0.2.1', '192.0.2.2'].map((s) => `nameserver ${s}`),
    'options ndots:1 single-request',
  ]);
});

test('an unknown policy is a problem', () => {
  const problems = new Problems();
  planNames({ containers: [], dnsPolicy: 'Any' }, 'spec', problems);
  assert.deepEqual(
    problems.found.map((p) => p.field),
    ['spec.dnsPolicy'],
  );
});

test('whole names need a subdomain; aliases follow the pod in /etc/hosts', () => {
  const pod = { name: 'web-0', namespace: 'shop' };
  const domain = 'cluster.local';
  assert.equal(fullName({ hostname: undefined, subdomain: undefined }, pod, domain), undefined);
  assert.equal(fullName({ hostname: undefined, subdomain: 'web' }, pod, domain), 'web-0.web.shop.svc.cluster.local');
  const text = hostsFile(['10.244.1.2'], ['a.b', 'a'], [{ ip: '192.0.2.1', hostnames: ['x', 'y'] }]);
  assert.deepEqual(text.trimEnd().split('\n').slice(-2), ['10.244.1.2\ta.b\ta', '192.0.2.1\tx\ty']);
});
