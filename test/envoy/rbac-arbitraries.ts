/** Random RBAC rules and requests about them. In the codec's form. */
import fc from 'fast-check';
import { headerMatch } from './arbitraries.ts';
import type { Request } from './world.ts';

const some = <T>(...values: readonly T[]) => fc.constantFrom(...values);

const stringMatch = fc.oneof(
  some('/a', '/a/b', 'spiffe://td/ns/x/sa/y', 'a').map((exact) => ({ exact })),
  some('/a', '/', 'spiffe://td/').map((prefix) => ({ prefix })),
  some('/b', 'sa/y', 'y').map((suffix) => ({ suffix })),
  some('a', 'ns/x').map((contains) => ({ contains })),
  some('/[ab](/.*)?', '.*/sa/[yz]', 'spiffe://td/.+').map((regex) => ({ safe_regex: { regex } })),
  some('/A', 'SPIFFE://TD/NS/X/SA/Y').map((exact) => ({ exact, ignore_case: true })),
);

const cidr = fc
  .tuple(some('127.0.0.1', '10.1.0.0', '10.1.2.3', '0.0.0.0', '2001:db8::', '::'), some(0, 1, 8, 16, 24, 31, 32))
  .map(([address_prefix, value]) => ({ address_prefix, prefix_len: { value } }));

const template = some('/{v}', '/a/*', '/**', '/{v=**}', '/a/{x}/c').map((path_template) => ({
  name: 'template',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
    path_template,
  },
}));

const metadata = fc
  .tuple(some('team', 'level', 'list', 'none'), some('red', 'a', '7'), fc.boolean(), some('exact', 'present', 'list'))
  .map(([key, exact, invert, kind]) => {
    const text = { string_match: { exact } };
    const value = { exact: text, present: { present_match: true }, list: { list_match: { one_of: text } } }[kind];
    return { filter: 'test.meta', path: [{ key }], value, ...(invert ? { invert } : {}) };
  });

const leaf = fc.oneof(
  fc.constant({ any: true }),
  { weight: 4, arbitrary: headerMatch.map((header) => ({ header })) },
  { weight: 3, arbitrary: stringMatch.map((path) => ({ url_path: { path } })) },
  metadata.map((m) => ({ metadata: m })),
);

const permissionLeaf = fc.oneof(
  { weight: 3, arbitrary: leaf },
  cidr.map((destination_ip) => ({ destination_ip })),
  some(80, 0, 8080).map((destination_port) => ({ destination_port })),
  fc
    .tuple(some(0, 1_000, 40_000), some(40_001, 65_536))
    .map(([start, end]) => ({ destination_port_range: { start, end } })),
  some({ exact: '' }, { prefix: 'a' }, { exact: 'x.test' }).map((requested_server_name) => ({ requested_server_name })),
  template.map((uri_template) => ({ uri_template })),
);

const principalLeaf = fc.oneof(
  { weight: 3, arbitrary: leaf },
  cidr.map((direct_remote_ip) => ({ direct_remote_ip })),
  cidr.map((remote_ip) => ({ remote_ip })),
  cidr.map((source_ip) => ({ source_ip })),
  fc.constant({ authenticated: {} }),
  stringMatch.map((principal_name) => ({ authenticated: { principal_name } })),
  {
    weight: 3,
    arbitrary: stringMatch.map((string_match) => ({ filter_state: { key: 'io.istio.peer_principal', string_match } })),
  },
);

const { permission } = fc.letrec<{ permission: object }>((tie) => ({
  permission: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    permissionLeaf,
    fc.array(tie('permission'), { minLength: 1, maxLength: 3 }).map((rules) => ({ and_rules: { rules } })),
    fc.array(tie('permission'), { minLength: 1, maxLength: 3 }).map((rules) => ({ or_rules: { rules } })),
    tie('permission').map((not_rule) => ({ not_rule })),
  ),
}));

const { principal } = fc.letrec<{ principal: object }>((tie) => ({
  principal: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    principalLeaf,
    fc.array(tie('principal'), { minLength: 1, maxLength: 3 }).map((ids) => ({ and_ids: { ids } })),
    fc.array(tie('principal'), { minLength: 1, maxLength: 3 }).map((ids) => ({ or_ids: { ids } })),
    tie('principal').map((not_id) => ({ not_id })),
  ),
}));

const policy = fc.record({
  permissions: fc.array(permission, { minLength: 1, maxLength: 2 }),
  principals: fc.array(principal, { minLength: 1, maxLength: 2 }),
});

/** envoy.config.rbac.v3.RBAC. */
export const rules = fc.record({
  action: some('ALLOW', 'DENY', 'ALLOW', 'DENY', 'LOG'),
  policies: fc.dictionary(some('p', 'q', 'a-b'), policy, { maxKeys: 2 }),
});

/** To the host of a policy. */
export const rbacRequest = (authority: string): fc.Arbitrary<Request> =>
  fc
    .tuple(
      some('GET', 'POST', 'HEAD'),
      some('/', '/a', '/a/b', '/A', '/b/c', '/a/x/c', '/a?q=/b', '/spiffe', '/a;p'),
      fc.uniqueArray(
        fc.oneof(
          fc.tuple(some('x-a', 'X-B', 'x-c', 'user-agent'), some('a', 'b', 'ab', 'A', '1', '7', '-3', '', 'a,b')),
          fc.tuple(fc.constant('x-forwarded-for'), some('10.1.2.3', '127.0.0.1', '2001:db8::1', '1.1.1.1, 10.1.9.9')),
          fc.tuple(fc.constant('x-principal'), some('spiffe://td/ns/x/sa/y', 'spiffe://td/ns/x/sa/z', 'y')),
        ),
        { maxLength: 5, selector: ([name]) => name },
      ),
    )
    .map(([method, path, headers]) => ({ method, authority, path, headers }));
