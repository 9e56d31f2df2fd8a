import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RE2JS } from 're2js';
import { unenforced } from './filters.ts';
import { hostMatcher } from './matchers.ts';
import { convertRule, type Level } from './rules.ts';

const convert = (rule: Parameters<typeof convertRule>[0], isAllow = true, level: Level = 'http') =>
  convertRule(rule, isAllow, 'rules[0]', {
    level,
    namespace: 'shop',
    trustDomains: ['cluster.local', 'old.example'],
    hasTokens: true,
  });

describe('rules of AuthorizationPolicies as RBAC of Envoy', () => {
  test('an empty rule matches everything', () => {
    assert.deepEqual(convert({}).policy, { permissions: [{ any: true }], principals: [{ any: true }] });
  });

  test('one alternative that asks for nothing makes the list true', () => {
    const { policy } = convert({ to: [{ operation: { ports: ['80'] } }, {}], from: [{}] });
    assert.deepEqual(policy, { permissions: [{ any: true }], principals: [{ any: true }] });
  });

  test('fields are and, values are or, and not is not any of them', () => {
    const { policy } = convert({ to: [{ operation: { ports: ['80', '81'], notPorts: ['82'] } }] });
    assert.deepEqual(policy?.['permissions'], [
      {
        and_rules: {
          rules: [
            { or_rules: { rules: [{ destination_port: 80 }, { destination_port: 81 }] } },
            { not_rule: { destination_port: 82 } },
          ],
        },
      },
    ]);
  });

  test("a principal of the mesh's own trust domain is one of its aliases, too", () => {
    const { policy } = convert({ from: [{ source: { principals: ['old.example/ns/a/sa/b'] } }] });
    assert.match(JSON.stringify(policy), /spiffe:\/\/cluster.local\/ns\/a\/sa\/b/);
    assert.match(JSON.stringify(policy), /spiffe:\/\/old.example\/ns\/a\/sa\/b/);
  });

  test('what cannot be checked allows nothing, and refuses more', () => {
    const rule = {
      from: [{ source: { ipBlocks: ['x'], namespaces: ['a'] } }],
      to: [{ operation: { ports: ['x'] } }],
    };
    const unsupported = ['rules[0].from[0].source.ipBlocks', 'rules[0].to[0].operation.ports'];
    assert.deepEqual(convert(rule), { policy: undefined, unsupported });
    const denied = convert(rule, false);
    assert.deepEqual(denied.policy?.['permissions'], [{ any: true }]);
    assert.match(JSON.stringify(denied.policy?.['principals']), /\/ns\/a\//);
  });

  test('of a connection without requests nothing of HTTP can be checked', () => {
    const rule = { to: [{ operation: { methods: ['GET'], ports: ['80'] } }] };
    assert.equal(convert(rule, true, 'tcp').policy, undefined);
    assert.deepEqual(convert(rule, false, 'tcp').policy?.['permissions'], [{ destination_port: 80 }]);
  });

  test('claims of tokens are texts or lists of them, and nested; a principal is its issuer and subject', () => {
    const when = [{ key: 'request.auth.claims[a][b]', values: ['x*'] }];
    const { principals } = convert({ when }).policy as {
      readonly principals: readonly [{ readonly metadata: object }];
    };
    assert.deepEqual(principals[0].metadata, {
      filter: 'envoy.filters.http.jwt_authn',
      path: [{ key: 'payload' }, { key: 'a' }, { key: 'b' }],
      value: {
        or_match: {
          value_matchers: [
            { string_match: { prefix: 'x' } },
            { list_match: { one_of: { string_match: { prefix: 'x' } } } },
          ],
        },
      },
    });
    const of = (...requestPrincipals: string[]) =>
      JSON.stringify(convert({ from: [{ source: { requestPrincipals } }] }).policy);
    assert.match(of('https://a.test/x/alice'), /"exact":"https:\/\/a.test\/x".*"exact":"alice"/);
    assert.match(of('https://a.test/*'), /"exact":"https:\/\/a.test".*"\.\+"/);
    assert.match(of('*/alice'), /"\.\+".*"exact":"alice"/);
    // No request has a token where there are none.
    assert.equal(convert({ when }, true, 'tcp').policy, undefined);
  });

  test('what no proxy knows is told of in words', () => {
    const metadata = { name: 'p', namespace: 'shop', uid: 'u', resourceVersion: '1' };
    const policy = { apiVersion: 'v', kind: 'AuthorizationPolicy', metadata } as const;
    const facts = { trustDomain: 'cluster.local', trustDomainAliases: [] };
    const when = [{ key: 'request.claims', values: ['a'] }];
    assert.match(unenforced({ ...policy, spec: { rules: [{ when }] } }, facts).join(), /request.claims.*allow nothing/);
    assert.deepEqual(unenforced({ ...policy, spec: { rules: [{}] } }, facts), []);
  });
});

test('a host means itself with any port, in any case, and nothing that contains it', () => {
  const matches = (pattern: string, host: string) => {
    const { string_match: m } = hostMatcher(pattern) as {
      readonly string_match: { readonly safe_regex: { readonly regex: string } };
    };
    return RE2JS.compile(m.safe_regex.regex).matches(host);
  };
  for (const host of ['a.com', 'A.COM', 'a.com:80', 'a.com.', 'a.com.:8080']) assert.ok(matches('a.com', host), host);
  for (const host of ['xa.com', 'a.com.evil', 'a-com', 'a.com:x', 'a.com:80:80'])
    assert.ok(!matches('a.com', host), host);
  assert.ok(matches('*.a.com', 'b.A.com:80'));
  assert.ok(!matches('*.a.com', 'a.com'));
});
