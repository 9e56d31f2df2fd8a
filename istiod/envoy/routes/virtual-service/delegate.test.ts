import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { httpRoutesOf } from '../http.ts';
import { objects, service, viewOf, waypointContext } from '../testing/view.ts';

const services = [service('shop/web:http=80'), service('team/web:http=80'), service('shop/v2:http=80')];

function made(root: string, delegate: string, namespace = 'team', exportTo = "['*']") {
  const yaml = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: root }
spec: { hosts: [web], http: [${root}] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: part, namespace: ${namespace} }
spec: { exportTo: ${exportTo}, http: [${delegate}] }`;
  return httpRoutesOf(waypointContext(viewOf(services, objects(yaml)), services[0]!, 80));
}

const to = 'delegate: { name: part, namespace: team }';
const there = 'route: [{ destination: { host: web } }]';

describe('a delegate', () => {
  test('says where requests go, in its own namespace; what it does not say, the root does', () => {
    const { routes, objects: made_of } = made(
      `{ name: a, match: [{ uri: { prefix: /a }, headers: { x: { exact: x } }, name: m }], timeout: 3s, mirror: { host: v2 }, headers: { request: { set: { k: r } } }, ${to} }, { ${there} }`,
      `{ name: b, match: [{ uri: { prefix: /a/b }, queryParams: { q: { exact: q } }, name: o }], headers: { request: { set: { k: d } } }, ${there} }`,
    );
    const [first] = routes;
    assert.deepEqual(first!.match, {
      prefix: '/a/b',
      headers: [{ name: 'x', string_match: { exact: 'x' } }],
      query_parameters: [{ name: 'q', string_match: { exact: 'q' } }],
    });
    assert.equal(first!.name, 'a-b.m-o');
    const action = 'route' in first! ? first.route : assert.fail('forwards nothing');
    assert.equal(action.cluster, 'inbound-vip|80|http|web.team.svc.cluster.local');
    assert.deepEqual(action.timeout, { seconds: 3 });
    assert.equal(action.request_mirror_policies?.[0]?.cluster, 'inbound-vip|80|http|v2.shop.svc.cluster.local');
    assert.deepEqual(
      first!.request_headers_to_add?.map((h) => h.header),
      [{ key: 'k', value: 'd' }],
    );
    assert.deepEqual(first!.metadata.filter_metadata['aquifer']!.fields['rule'], {
      stringValue: 'spec.http[0] > team/part spec.http[0].match[0]',
    });
    assert.deepEqual(
      made_of.map((o) => o.name),
      ['root', 'part'],
    );
    assert.equal(routes[1]!.name, 'shop.root.1');
  });

  const rootMatch = (match: string) => `{ match: [${match}], ${to} }`;
  const rows: readonly (readonly [string, string, string, boolean])[] = [
    ['a longer prefix', '{ uri: { prefix: /a } }', '{ uri: { prefix: /a/b } }', true],
    ['an exact path within', '{ uri: { prefix: /a } }', '{ uri: { exact: /a/b } }', true],
    ['the same exact path', '{ uri: { exact: /a } }', '{ uri: { exact: /a } }', true],
    ['no path', '{ uri: { exact: /a } }', '{ method: { exact: GET } }', true],
    ['fewer gateways', '{ gateways: [mesh, edge] }', '{ gateways: [mesh] }', true],
    ['the same namespace', '{ sourceNamespace: pay }', '{ sourceNamespace: pay }', true],
    ['a shorter prefix', '{ uri: { prefix: /a/b } }', '{ uri: { prefix: /a } }', false],
    ['another exact path', '{ uri: { exact: /a } }', '{ uri: { exact: /b } }', false],
    ['a prefix of an exact path', '{ uri: { exact: /a } }', '{ uri: { prefix: /a } }', false],
    ['a regular expression', '{ uri: { prefix: /a } }', "{ uri: { regex: '/a.*' } }", false],
    ['a path within a regular expression', "{ uri: { regex: '/a.*' } }", '{ uri: { exact: /a } }', false],
    ['another method', '{ method: { exact: GET } }', '{ method: { exact: PUT } }', false],
    ['another header', '{ headers: { x: { exact: a } } }', '{ headers: { x: { exact: b } } }', false],
    [
      'another header that is not there',
      '{ withoutHeaders: { x: { exact: a } } }',
      '{ withoutHeaders: { x: { exact: b } } }',
      false,
    ],
    ['another query', '{ queryParams: { x: { exact: a } } }', '{ queryParams: { x: { exact: b } } }', false],
    ['another case', '{ uri: { prefix: /a } }', '{ uri: { prefix: /a }, ignoreUriCase: true }', false],
    ['another port', '{ port: 80 }', '{ port: 81 }', false],
    ['another namespace', '{ sourceNamespace: pay }', '{ method: { exact: GET } }', false],
    ['other labels', '{ sourceLabels: { a: b } }', '{ sourceLabels: { a: c } }', false],
    ['more gateways', '{ gateways: [mesh] }', '{ gateways: [mesh, edge] }', false],
  ];
  for (const [name, root, own, isWithin] of rows) {
    test(`with ${name} ${isWithin ? 'is within the root' : 'is outside of the root, and left out'}`, () => {
      const { problems, routes } = made(rootMatch(root), `{ match: [${own}], ${there} }`);
      assert.deepEqual(
        problems.map((p) => [p.object.name, p.field]),
        isWithin ? [] : [['part', 'spec.http[0]']],
      );
      assert.equal(routes.length, 1);
      assert.equal(routes[0]!.name, isWithin ? 'shop.root.0' : 'default');
    });
  }

  test('takes all matches of the root that hold its own, and all of the root where it has none', () => {
    const two = made(
      `{ match: [{ uri: { prefix: /a } }, { method: { exact: GET } }], ${to} }`,
      `{ match: [{ uri: { exact: /a } }], ${there} }`,
    );
    assert.deepEqual(
      two.routes.map((r) => r.match),
      [{ path: '/a' }, { path: '/a', headers: [{ name: ':method', string_match: { exact: 'GET' } }] }],
    );
    assert.deepEqual(
      made(`{ match: [{ uri: { prefix: /a } }], ${to} }`, `{ ${there} }`).routes.map((r) => r.match),
      [{ prefix: '/a' }],
    );
  });

  test('that is not there, has hosts, or is not exported is left out, which is said', () => {
    const root = `{ ${to} }`;
    const own = `{ ${there} }`;
    for (const result of [made(root, own, 'elsewhere'), made(root, own, 'team', "['.']")]) {
      assert.deepEqual(
        result.problems.map((p) => [p.kind, p.field]),
        [['ineffective', 'spec.http[0].delegate']],
      );
      assert.equal(result.routes[0]!.name, 'default');
    }
    assert.equal(made(root, own, 'team', '[shop]').routes[0]!.name, 'shop.root.0');
    assert.equal(made('{ delegate: { name: part } }', own, 'shop').routes[0]!.name, 'shop.root.0');
  });
});
