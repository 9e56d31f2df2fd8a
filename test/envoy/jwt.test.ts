/** Tokens in Envoy and in ours: the same requirements, the same requests. */
import { describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { algs, forgeries, jwks, signed, token } from '../../waypoint/testing/tokens.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { type Case, compare } from './compare.ts';
import type { OurFilter } from './ours.ts';
import type { Request } from './world.ts';

const now = Math.floor(Date.now() / 1_000);
const claims = {
  iss: 'https://a.test',
  sub: 'alice',
  aud: ['web', 'x'],
  azp: 'app',
  exp: now + 3_600,
  scope: 'read write',
  group: 'a',
  groups: ['a', 'b'],
  nested: { key: ['v', 1], deep: { er: 'w' }, n: 1.5, t: true },
  n: 42,
  big: 1e21,
  t: false,
  text: '',
};
const other = { ...claims, iss: 'https://b.test', sub: 'bob' };

const ask = (
  path: string,
  headers: Readonly<Record<string, string>> | [string, string][] = {},
  method = 'GET',
): Request => {
  return { method, authority: 'a.test', path, headers: Array.isArray(headers) ? headers : Object.entries(headers) };
};
const bearer = (text: string) => ask('/', { authorization: `Bearer ${text}` });

const provider = (more: object = {}, issuer = claims.iss) => ({
  issuer,
  local_jwks: { inline_string: jwks() },
  payload_in_metadata: 'payload',
  normalize_payload_in_metadata: { space_delimited_claims: ['scope', 'permission'] },
  clear_route_cache: true,
  ...more,
});
const named = (name: string) => ({ provider_name: name });
const any = (...requirements: object[]) => ({ requires_any: { requirements } });
const all = (...requirements: object[]) => ({ requires_all: { requirements } });
const missing = { allow_missing: {} };
const failed = { allow_missing_or_failed: {} };

function jwt(
  name: string,
  requires: object | undefined,
  providers: object,
  requests: readonly Request[],
  more = {},
): Case {
  const config = {
    '@type': typeUrl('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication'),
    providers,
    rules: [{ match: { prefix: '/' }, ...(requires && { requires }) }],
    bypass_cors_preflight: true,
    ...more,
  };
  const filter: OurFilter = { name: 'jwt', config };
  const claim = (path: readonly string[], value: string) => ({
    filter: 'envoy.filters.http.jwt_authn',
    path: ['payload', ...path].map((key) => ({ key })),
    value: {
      or_match: {
        value_matchers: [
          { string_match: { exact: value } },
          { list_match: { one_of: { string_match: { exact: value } } } },
        ],
      },
    },
  });
  const route = (cluster: string, ...dynamic_metadata: object[]) => ({
    match: { prefix: '/', dynamic_metadata },
    route: { cluster },
  });
  return {
    name,
    routes: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            route('c1', claim(['sub'], 'bob')),
            route('c2', claim(['scope'], 'write'), claim(['nested', 'deep', 'er'], 'w')),
            route('c3', claim(['groups'], 'b')),
            route('c0'),
          ],
        },
      ],
    },
    envoy: { filters: [{ name: 'jwt', typed_config: config }] },
    ours: { filters: [filter] },
    requests,
  };
}

const good = token(claims);
const bad = `${good.slice(0, -8)}AAAAAAAA`;
const expired = token({ ...claims, exp: now - 3_600 });
const stranger = token({ ...claims, iss: 'https://c.test' });
const bobs = token(other);

const common: readonly Request[] = [
  ask('/'),
  bearer(good),
  bearer(good),
  bearer(bad),
  bearer(expired),
  bearer(stranger),
  bearer(bobs),
  bearer('x'),
  ask('/', { authorization: good }),
  ask('/', { authorization: `bearer ${good}` }),
  ask('/', { authorization: `Basic x, Bearer ${good}` }),
  ask('/', [
    ['authorization', `Bearer ${good}`],
    ['authorization', `Bearer ${bobs}`],
  ]),
  ask('/', [
    ['authorization', `Bearer ${bad}`],
    ['authorization', `Bearer ${good}`],
  ]),
  ask(`/p?access_token=${good}&a=b`),
  ask(`/p?a=b&access_token=${good}`),
  ask(`/p?access_token=${good}`),
  ask(`/p?access_token=${bad}&access_token=${good}`),
  ask(`/p?access_token=${good}&access_token=${bad}`),
  ask(`/p?access_token=${good}`, { authorization: `Bearer ${bad}` }),
  ask(`/p?access_token=${bad}`, { authorization: `Bearer ${good}` }),
  ask(`/p?access_token=${good}`, { authorization: `Bearer ${good}` }),
  ask(`/p?access_token=${bobs}`, { authorization: `Bearer ${good}` }),
  ask('/', { origin: 'http://x', 'access-control-request-method': 'PUT' }, 'OPTIONS'),
  ask('/', { origin: 'http://x' }, 'OPTIONS'),
  ask('/', { authorization: `Bearer ${bad}`, 'content-type': 'application/grpc' }),
  ask('/', { authorization: `Bearer ${bad}` }, 'HEAD'),
  ask(`/${'x'.repeat(300)}?q=1`),
  ask('/', { 'x-payload': 'forged', 'x-sub': 'admin' }),
  ask('/', { authorization: `Bearer ${good}`, 'x-payload': 'forged', 'x-sub': 'admin' }),
];

const two = { a: provider(), b: provider({}, other.iss) };
const outputs = {
  forward: true,
  forward_payload_header: 'x-payload',
  claim_to_headers: [
    'sub',
    'aud',
    'n',
    'big',
    't',
    'text',
    'nested.deep.er',
    'nested.key',
    'nested.n',
    'nested.t',
    'nested.deep',
    'none',
    'groups',
    'exp',
  ].map((claim_name) => ({ header_name: `x-${claim_name.replaceAll('.', '-')}`, claim_name })),
};
const places = {
  from_headers: [
    { name: 'X-Token' },
    { name: 'x-other', value_prefix: 'jwt=' },
    { name: 'x-token', value_prefix: 'T ' },
  ],
  from_params: ['t', 'u'],
  from_cookies: ['session', 'id'],
};
const placed = [
  ...common.slice(0, 3),
  ask('/', { 'x-token': good }),
  ask('/', { 'x-token': `T ${good}` }),
  ask('/', { 'x-other': `jwt=${good};x` }),
  ask('/', { 'x-other': good }),
  ask(`/?t=${good}`),
  ask(`/?u=${good}&v=1&t=`),
  ask(`/?%74=${good}`),
  ask(`/?t=${good.replaceAll('.', '%2E')}`),
  ask(`/?T=${good}`),
  ask('/', { cookie: `session=${good}` }),
  ask('/', { cookie: `a=b; session=${good}; id=${bad}` }),
  ask('/', { cookie: `a=b;session="${good}"` }),
  ask('/', [
    ['cookie', 'a=b'],
    ['cookie', `session=${good}`],
  ]),
  ask('/', { cookie: `session=${bad}; session=${good}` }),
  ask('/', { cookie: `session=${good}`, 'x-token': bad }),
];

const cases: readonly Case[] = [
  jwt('one provider', named('a'), { a: provider() }, common),
  jwt("Istio's rule for one", any(named('a'), missing), { a: provider() }, common),
  jwt(
    "Istio's rule for two",
    any(named('a'), named('b'), all(any(named('a'), missing), any(named('b'), missing))),
    two,
    common,
  ),
  jwt('missing or failed', any(named('a'), failed), { a: provider() }, common),
  jwt('missing alone', missing, two, common),
  jwt('failed alone', failed, two, common),
  jwt('either', any(named('a'), named('b')), two, common),
  jwt('both', all(named('a'), named('b')), two, common),
  jwt('either or none', any(named('a'), named('b'), missing), two, common),
  jwt('all in any, none', any(all(named('a'), named('b')), missing), two, common),
  jwt('nothing required', undefined, two, common),
  jwt('without an issuer', any(named('a'), missing), { a: provider({}, '') }, common),
  jwt('outputs', any(named('a'), missing), { a: provider(outputs) }, common),
  jwt(
    'outputs of two',
    any(named('a'), named('b'), all(any(named('a'), missing), any(named('b'), missing))),
    { a: provider(outputs), b: provider(outputs, other.iss) },
    common,
  ),
  jwt('padded', named('a'), { a: provider({ ...outputs, pad_forward_payload_header: true }) }, common),
  jwt('forwarded', named('a'), { a: provider({ forward: true }) }, common),
  jwt('places', any(named('a'), missing), { a: provider(places) }, placed),
  jwt('places of two', any(named('a'), named('b'), missing), { a: provider(places), b: provider({}, other.iss) }, [
    ...placed,
    ...common,
  ]),
  jwt('silent', named('a'), { a: provider() }, common, { strip_failure_response: true }),
  jwt('audiences', any(named('a'), missing), { a: provider({ audiences: ['https://web/', 'y'] }) }, [
    ...common,
    ...['web', 'https://web', 'http://web/', 'y', 'Web', 'web/x', ['q', 'y'], [], 'https://y//'].map((aud) =>
      bearer(token({ ...claims, aud })),
    ),
    bearer(token({ iss: claims.iss, sub: 's' })),
  ]),
  jwt(
    'audiences of the requirement',
    { provider_and_audiences: { provider_name: 'a', audiences: ['x'] } },
    { a: provider({ audiences: ['q'] }) },
    common,
  ),
  jwt('subjects', named('a'), { a: provider({ subjects: { prefix: 'al' } }, '') }, common),
  jwt('expiration required', named('a'), { a: provider({ require_expiration: true }) }, [
    ...common,
    bearer(token({ iss: claims.iss, sub: 's' })),
  ]),
  jwt('a lifetime', named('a'), { a: provider({ max_lifetime: '60s' }) }, [
    ...common,
    bearer(token({ ...claims, exp: now + 30 })),
    bearer(token({ iss: claims.iss })),
  ]),
  jwt('every algorithm', named('a'), { a: provider() }, [
    ...algs.map((alg) => bearer(token(claims, alg))),
    ...algs.map((alg) => bearer(signed(alg, { alg }, claims))),
    ...algs.map((alg) => bearer(signed(alg, { alg, kid: 'unknown' }, claims))),
  ]),
  ...algs.slice(5).map((alg) =>
    jwt(
      `only ${alg}`,
      named('a'),
      { a: provider({ local_jwks: { inline_string: jwks([alg]) } }) },
      algs.map((a) => bearer(token(claims, a))),
    ),
  ),
  jwt('claims of every form', any(named('a'), missing), { a: provider() }, [
    ...[
      { exp: now - 30 },
      { exp: now - 59 },
      { exp: now - 100 },
      { exp: now - 59.5 },
      { nbf: now + 30 },
      { nbf: now + 100 },
      { exp: 'x' },
      { exp: -1 },
      { exp: 1e30 },
      { exp: null },
      { nbf: '1' },
      { nbf: -5 },
      { iat: 'x' },
      { iat: -1 },
      { iat: now + 1_000 },
      { iss: 1 },
      { iss: null },
      { sub: 1 },
      { sub: {} },
      { jti: 1 },
      { jti: 'x' },
      { aud: 1 },
      { aud: ['a', 1] },
      { aud: {} },
      { aud: null },
      { exp: true },
      { exp: [] },
    ].map((more) => bearer(token({ ...claims, ...more }))),
    bearer(signed('RS256', { alg: 'RS256', kid: 1 }, claims)),
    bearer(signed('RS256', { alg: 'RS256', kid: null }, claims)),
    bearer(signed('RS256', { alg: 'RS256', kid: 'rsa' }, '[]')),
    bearer(signed('RS256', { alg: 'RS256', kid: 'rsa' }, '"x"')),
    bearer(signed('RS256', { alg: 'RS256', kid: 'rsa' }, '{')),
    bearer(signed('RS256', { alg: 'RS256', kid: 'rsa' }, ' {"iss":"https://a.test"} ')),
    bearer(signed('RS256', { alg: 'RS256', kid: 'rsa' }, '{"iss":"https://a.test","x":"é\\u0041\\n"}')),
  ]),
  jwt(
    'forged',
    any(named('a'), missing),
    { a: provider() },
    forgeries(claims).map(({ token: t }) => bearer(t)),
  ),
  jwt(
    'forged, as a parameter',
    named('a'),
    { a: provider() },
    forgeries(claims).map(({ token: t }) => ask(`/?access_token=${encodeURIComponent(t)}`)),
  ),
];

describe('tokens as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  it('are taken, refused and told of the same', (t) => compare(t, cases));
});
