/** Who may: AuthorizationPolicies at a waypoint, allowed and denied requests counted. */
import { waypointYaml } from '../../../istiod/testing/manifests.ts';
import type { RouteCase } from './case.ts';

const policy = (name: string, spec: string, more = '') => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name} ${more} }
spec: { targetRefs: [{ kind: Service, group: '', name: web }], ${spec} }
---`;
const raw = (name: string, spec: string) => policy(name, spec).replace('name: web }', 'name: raw }');
const other = 'spiffe://cluster.local/ns/pay/sa/other';
const open = { path: '/', expect: { to: 'web' } } as const;
const shut = { path: '/', expect: { status: 403, body: 'RBAC: access denied' } } as const;
const when = (key: string, ...values: readonly string[]) =>
  `{ when: [{ key: '${key}', values: [${values.map((v) => `'${v}'`).join()}] }] }`;
/** One of rules that allow, each with a value that the request has. */
const allowing = (name: string, ...rules: readonly string[]): RouteCase => ({
  name: `allowed by ${name}`,
  objects: policy('p', `rules: [${rules.join()}]`),
  requests: [open, { ...shut, principal: other }],
});

export const policyCases: readonly RouteCase[] = [
  allowing('source.principal', when('source.principal', 'cluster.local/ns/shop/sa/*')),
  allowing('source.namespace', when('source.namespace', 'shop')),
  allowing('any host', "{ from: [{ source: { namespaces: [shop] } }], to: [{ operation: { hosts: ['*'] } }] }"),
  allowing('the end of a principal', "{ from: [{ source: { principals: ['*/sa/client'] } }] }"),
  allowing(
    'an account, and one that is none',
    '{ from: [{ source: { serviceAccounts: [a/b/c] } }] }',
    '{ from: [{ source: { serviceAccounts: [client] } }] }',
  ),
  allowing('source.serviceAccount', when('source.serviceAccount', 'shop/client')),
  // Each alone: what one rule of several allows hides what the others do not.
  allowing(
    'the address that the node proxy tells of the caller',
    "{ from: [{ source: { ipBlocks: ['127.0.0.0/8'], namespaces: [shop] } }] }",
  ),
  allowing(
    'source.ip and who',
    '{ from: [{ source: { namespaces: [shop] } }], when: [{ key: source.ip, values: [127.0.0.1] }] }',
  ),
  allowing(
    'remote.ip and who',
    '{ from: [{ source: { namespaces: [shop] } }], when: [{ key: remote.ip, values: [127.0.0.1] }] }',
  ),
  allowing(
    'destination.ip and who',
    '{ from: [{ source: { namespaces: [shop] } }], when: [{ key: destination.ip, values: [10.96.0.1] }] }',
  ),
  {
    name: 'denied by the address, whatever x-forwarded-for says',
    objects: policy('deny', "action: DENY, rules: [{ from: [{ source: { ipBlocks: ['127.0.0.1'] } }] }]"),
    requests: [shut, { ...shut, headers: { 'x-forwarded-for': '192.0.2.9' } }, { ...shut, by: 'http2' }],
  },
  {
    name: 'allowed by addresses, ports, hosts, trust domains',
    objects: policy(
      'p',
      `rules: [${[when('source.ip', '127.0.0.0/8'), when('remote.ip', '127.0.0.1'), when('destination.port', '80'), when('source.trustDomain', 'cluster.local')].join()}]`,
    ),
    requests: [open, { ...open, by: 'http2' }],
  },
  {
    name: 'rules that match nobody: keys, ports, addresses that are none',
    objects: policy(
      'p',
      `rules: [${[when('unknown.key', 'x'), when('destination.port', '99999', 'x'), when('destination.ip', 'x'), when('experimental.nothing', 'x'), when('request.claims', 'b')].join()}]`,
    ),
    requests: [shut, { ...shut, by: 'http2' }],
  },
  {
    name: 'an ALLOW without rules, a DENY without rules',
    objects: policy('none', '') + policy('deny', 'action: DENY'),
    requests: [shut],
  },
  {
    name: 'denied by method, path, header',
    objects: policy(
      'deny',
      `action: DENY, rules: [{ to: [{ operation: { methods: [DELETE], paths: ['/a/*'] } }] }, { from: [{}], to: [{}], when: [{ key: 'request.headers[x-bad]', values: ['*'] }] }, { to: [{ operation: { paths: ['/t/{*}/u', '/w/{**}'] } }] }]`,
    ),
    requests: [
      open,
      { ...open, method: 'DELETE' },
      { ...shut, path: '/a/b', method: 'DELETE' },
      { ...shut, headers: { 'x-bad': '1' } },
      { ...shut, path: '/t/x/u' },
      { ...shut, path: '/w/x/y' },
      { ...shut, path: '/a/b', method: 'DELETE', by: 'http2' },
      {
        path: '/a/b',
        method: 'DELETE',
        by: 'http2',
        headers: { 'content-type': 'application/grpc' },
        expect: { response: { 'grpc-status': '7' } },
      },
    ],
  },
  {
    name: 'on trial: counted, without effect',
    objects: policy(
      'trial',
      'rules: [{ from: [{ source: { principals: [x] } }] }]',
      ", annotations: { istio.io/dry-run: 'true' }",
    ),
    requests: [open],
  },
  {
    name: 'who refuses, in a header where the Gateway asks for it',
    objects:
      waypointYaml({ annotations: 'aquifer.dev/denial-details: "true"' }) +
      '---' +
      policy('deny', "action: DENY, rules: [{ to: [{ operation: { paths: ['/x'] } }] }]", ', generation: 7'),
    requests: [
      {
        ...shut,
        path: '/x',
        expect: {
          ...shut.expect,
          response: {
            'x-aquifer-denied-by': 'rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[0]-generation[7]]',
          },
        },
      },
      { ...open, expect: { ...open.expect, response: { 'x-aquifer-denied-by': null } } },
      {
        path: '/x',
        headers: { 'content-type': 'application/grpc' },
        expect: {
          response: {
            'grpc-status': '7',
            'x-aquifer-denied-by': 'rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[0]-generation[7]]',
          },
        },
      },
    ],
  },
  {
    name: 'nobody tells who refuses where the Gateway asks for something else',
    objects: `${waypointYaml({ annotations: 'aquifer.dev/denial-details: "yes"' })}---${policy('deny', 'action: DENY, rules: [{}]')}`,
    requests: [{ ...shut, expect: { ...shut.expect, response: { 'x-aquifer-denied-by': null } } }],
  },
  { name: 'AUDIT is noted alone', objects: policy('audit', 'action: AUDIT, rules: [{}]'), requests: [open] },
  {
    name: 'connections: by whom, not by what they say',
    objects:
      raw('p', 'rules: [{ from: [{ source: { namespaces: [shop] } }] }]') +
      raw(
        'deny',
        "action: DENY, rules: [{ to: [{ operation: { paths: ['/x'] } }], from: [{ source: { namespaces: [pay] } }] }]",
      ),
    requests: [
      { service: 'raw', port: 82, path: '/', expect: { to: 'raw' } },
      // The tunnel stands, and is cut.
      { service: 'raw', port: 82, path: '/', principal: 'spiffe://cluster.local/ns/pay/sa/x', expect: { status: 0 } },
    ],
  },
  {
    name: 'of the mesh, of a class of waypoints',
    objects: `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: class, namespace: istio-system }
spec: { targetRefs: [{ kind: GatewayClass, group: gateway.networking.k8s.io, name: istio-waypoint }], rules: [{ to: [{ operation: { notPaths: [/none] } }] }] }
---
${policy('own', 'rules: [{ from: [{ source: { namespaces: [shop] } }] }]')}`,
    requests: [open],
  },
];
