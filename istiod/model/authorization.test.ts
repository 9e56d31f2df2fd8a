import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuthorizationPolicy as KubePolicy } from '../../common/kube/kinds/security.ts';
import type { PolicyMatch } from '../../common/mesh/types.ts';
import { convertPolicy } from './authorization.ts';
import { defaultSettings as settings } from './settings.ts';

const kube = (spec: KubePolicy['spec'], namespace = 'shop', annotations = {}): KubePolicy => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name: 'p', namespace, uid: 'u', resourceVersion: '1', annotations },
  ...(spec === undefined ? {} : { spec }),
});
const convert = (spec: KubePolicy['spec'], namespace?: string) => convertPolicy(kube(spec, namespace), settings);

/** Each match as its non-empty fields. */
function groupsOf(spec: KubePolicy['spec']) {
  const filled = (m: PolicyMatch) => Object.fromEntries(Object.entries(m).filter(([, v]) => v.length > 0));
  return convert(spec).policy?.groups.map((g) => g.rules.map((r) => r.matches.map(filled)));
}

test('scope follows selector and namespace', () => {
  assert.equal(convert({}).policy?.scope, 'NAMESPACE');
  assert.equal(convert({}, 'istio-system').policy?.scope, 'GLOBAL');
  assert.equal(convert({ selector: {} }, 'istio-system').policy?.scope, 'WORKLOAD_SELECTOR');
});

test('no spec and no rules is an ALLOW that allows nothing', () => {
  assert.equal(convert(undefined).policy?.action, 'ALLOW');
  assert.deepEqual(groupsOf({}), []);
  assert.deepEqual(groupsOf({ rules: [{}] }), [[]]);
});

test('what is not for node proxies is not sent', () => {
  const target = { kind: 'Service', name: 'web' };
  assert.deepEqual(convert({ targetRef: target }), { policy: undefined, accepted: undefined });
  assert.deepEqual(convert({ targetRefs: [target] }), { policy: undefined, accepted: undefined });
  for (const action of ['AUDIT', 'CUSTOM'] as const) {
    const { policy, accepted } = convert({ action });
    assert.equal(policy, undefined);
    assert.deepEqual([accepted?.status, accepted?.reason], ['False', 'UnsupportedValue']);
  }
  const dry = convertPolicy(kube({}, 'shop', { 'istio.io/dry-run': 'true' }), settings);
  assert.deepEqual([dry.policy, dry.accepted?.status], [undefined, 'False']);
});

test('to, from and each when are one rule each; every kind of value', () => {
  assert.deepEqual(
    groupsOf({
      rules: [
        {
          to: [{ operation: { ports: ['80', '443'], notPorts: ['8080'] } }],
          from: [
            { source: { principals: ['*', '*/sa/x', 'cluster.local/*', 'a/ns/b/sa/c'], notNamespaces: ['dev-*'] } },
            { source: { serviceAccounts: ['web', 'other/api'], ipBlocks: ['10.0.0.0/8', 'fd00::1'] } },
          ],
          when: [
            { key: 'source.ip', values: ['1.2.3.4'], notValues: ['1.2.3.0/24'] },
            { key: 'destination.port', notValues: ['22'] },
          ],
        },
      ],
    }),
    [
      [
        [{ destinationPorts: [80, 443], notDestinationPorts: [8080] }],
        [
          {
            principals: [
              { kind: 'presence' },
              { kind: 'suffix', value: '/sa/x' },
              { kind: 'prefix', value: 'cluster.local/' },
              { kind: 'exact', value: 'a/ns/b/sa/c' },
            ],
            notNamespaces: [{ kind: 'prefix', value: 'dev-' }],
          },
          {
            serviceAccounts: [
              { namespace: 'shop', serviceAccount: 'web' },
              { namespace: 'other', serviceAccount: 'api' },
            ],
            sourceIps: [
              { ip: '10.0.0.0', length: 8 },
              { ip: 'fd00::1', length: 128 },
            ],
          },
        ],
        [{ sourceIps: [{ ip: '1.2.3.4', length: 32 }], notSourceIps: [{ ip: '1.2.3.0', length: 24 }] }],
        [{ notDestinationPorts: [22] }],
      ],
    ],
  );
});

const l7Rules = {
  paths: { to: [{ operation: { paths: ['/admin'] } }] },
  methods: { to: [{ operation: { methods: ['DELETE'], ports: ['80'] } }] },
  oneOfTwo: { to: [{ operation: { hosts: ['a'] } }, { operation: { ports: ['80'] } }] },
  jwt: { from: [{ source: { requestPrincipals: ['*'] } }] },
  header: { from: [{ source: { namespaces: ['dev'] } }], when: [{ key: 'request.headers[x]', values: ['y'] }] },
  badPort: { to: [{ operation: { ports: ['http'] } }] },
  badIp: { from: [{ source: { notIpBlocks: ['10.0.0.0/33'] } }] },
  trustDomain: { from: [{ source: { trustDomains: ['a'], namespaces: ['dev'] } }] },
};
const dev = { namespaces: [{ kind: 'exact', value: 'dev' }] };

test('of an ALLOW a rule with parts that cannot be checked is dropped whole, the policy stays', () => {
  for (const [name, rule] of Object.entries(l7Rules)) {
    assert.deepEqual(groupsOf({ action: 'ALLOW', rules: [rule, { to: [{ operation: { ports: ['1'] } }] }] }), [
      [[{ destinationPorts: [1] }]],
    ]);
    assert.deepEqual(groupsOf({ rules: [rule] }), [], name);
  }
});

test('of a DENY only these parts are dropped: what is left matches more, never less', () => {
  const expected: Record<keyof typeof l7Rules, unknown> = {
    paths: [],
    methods: [[{ destinationPorts: [80] }]],
    oneOfTwo: [],
    jwt: [],
    header: [[dev]],
    badPort: [],
    badIp: [],
    trustDomain: [[dev]],
  };
  for (const [name, rule] of Object.entries(l7Rules)) {
    assert.deepEqual(groupsOf({ action: 'DENY', rules: [rule] }), [expected[name as keyof typeof l7Rules]], name);
  }
});

test('the condition names the fields that cannot be checked', () => {
  const { accepted } = convert({ action: 'DENY', rules: [l7Rules.methods, l7Rules.header] });
  assert.deepEqual([accepted?.status, accepted?.reason], ['True', 'UnsupportedValue']);
  assert.match(
    accepted?.message ?? '',
    /rules\[0\]\.to\[0\]\.operation\.methods, rules\[1\]\.when\[0\]\.key "request\.headers\[x\]"/,
  );
  assert.deepEqual(convert({ rules: [{}] }).accepted, {
    status: 'True',
    reason: 'Accepted',
    message: 'enforced by the node proxies',
  });
});
