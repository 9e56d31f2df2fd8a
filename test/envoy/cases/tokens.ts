/** RequestAuthentications, policies and routes by what tokens say. */
import { forgeries, jwks, token } from '../../../waypoint/testing/tokens.ts';
import { ofAllWaypoints, type RouteCase, virtualService } from './case.ts';

const issuer = 'https://a.test';
const claims = {
  iss: issuer,
  sub: 'alice',
  aud: ['web', 'x'],
  azp: 'app',
  group: 'staff',
  groups: ['a', 'b'],
  scope: 'read write',
  nested: { key: ['v'], deep: { er: 'w' } },
};
const good = token(claims);
const plain = token({
  ...claims,
  sub: 'bob',
  group: 'guest',
  groups: [],
  aud: 'y',
  azp: 'other',
  scope: 'read',
  nested: {},
});
const bearer = (text: string) => ({ authorization: `Bearer ${text}` });

const authentication = (rules: string, name = 'tokens') => `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: ${name} }
spec: { targetRefs: [{ kind: Service, group: '', name: web }], jwtRules: [${rules}] }
---`;
const rule = (more = '', iss = issuer) => `{ issuer: '${iss}', jwks: '${jwks()}' ${more} }`;
const policy = (spec: string, name = 'p') => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name} }
spec: { targetRefs: [{ kind: Service, group: '', name: web }], ${spec} }
---`;

const open = { path: '/', expect: { to: 'web' } } as const;
const shut = { path: '/', expect: { status: 403, body: 'RBAC: access denied' } } as const;
const refused = (body: string) => ({ path: '/', expect: { status: 401, body } }) as const;

/** Of a policy that allows what the good token says, and not what the plain one does. */
const allowing = (name: string, given: string): RouteCase => ({
  name: `allowed by ${name}`,
  objects: authentication(rule()) + policy(`rules: [${given}]`),
  requests: [{ ...open, headers: bearer(good) }, { ...shut, headers: bearer(plain) }, shut],
});
const when = (key: string, ...values: readonly string[]) =>
  `{ when: [{ key: '${key}', values: [${values.map((v) => `'${v}'`).join()}] }] }`;
const from = (source: string) => `{ from: [{ source: { ${source} } }] }`;

export const tokenCases: readonly RouteCase[] = [
  {
    name: 'tokens: none, good, forged, of nobody known',
    objects: authentication(rule()),
    requests: [
      open,
      { ...open, headers: bearer(good), expect: { to: 'web', received: { headers: { authorization: null } } } },
      { ...open, headers: bearer(good), by: 'http2' },
      { ...refused('Jwt issuer is not configured'), headers: bearer(token({ ...claims, iss: 'https://c.test' })) },
      { ...refused('Jwt is expired'), headers: bearer(token({ ...claims, exp: 1_000 })) },
      ...forgeries(claims)
        .filter((_, i) => i % 6 === 0)
        .map(({ token: text }) => ({ path: '/', headers: bearer(text), expect: { status: 401 } })),
    ],
  },
  ...[', spaceDelimitedClaims: [rights]', ''].map((words): RouteCase => {
    const many = { ...open, headers: bearer(token({ ...claims, rights: 'buy sell' })) };
    const one = { ...open, headers: bearer(token({ ...claims, rights: 'sell' })) };
    return {
      name: `allowed by a word of a claim ${words === '' ? 'that is one text' : 'of words'}`,
      objects: authentication(rule(words)) + policy(`rules: [${when('request.auth.claims[rights]', 'sell')}]`),
      requests: [words === '' ? { ...shut, headers: many.headers } : many, one, { ...shut, headers: bearer(good) }],
    };
  }),
  {
    name: 'a token for the service: headers, parameters, cookies, and what it is told',
    objects: authentication(
      rule(
        ', forwardOriginalToken: true, outputPayloadToHeader: x-payload, outputClaimToHeaders: [{ header: x-sub, claim: sub }, { header: x-deep, claim: nested.deep.er }], fromHeaders: [{ name: x-token, prefix: "T " }], fromParams: [t], fromCookies: [c], audiences: [web]',
      ),
    ),
    requests: [
      {
        ...open,
        headers: { 'x-token': `T ${good}` },
        expect: { to: 'web', received: { headers: { 'x-sub': 'alice', 'x-deep': 'w' } } },
      },
      { ...open, headers: { 'x-sub': 'admin' }, expect: { to: 'web', received: { headers: { 'x-sub': null } } } },
      { ...open, path: `/?t=${good}`, expect: { to: 'web', received: { headers: { 'x-sub': 'alice' } } } },
      { ...open, headers: { cookie: `c=${good}` } },
      {
        path: '/',
        headers: { 'x-token': `T ${plain}` },
        expect: { status: 403, body: 'Audiences in Jwt are not allowed' },
      },
      { ...open, headers: bearer('x') },
    ],
  },
  {
    name: 'two issuers at one place, in two objects',
    objects: authentication(rule()) + authentication(rule('', 'https://b.test'), 'more'),
    requests: [
      open,
      { ...open, headers: bearer(good) },
      { ...open, headers: bearer(token({ ...claims, iss: 'https://b.test' })) },
      { path: '/', headers: bearer(token({ ...claims, iss: 'https://c.test' })), expect: { status: 401 } },
    ],
  },
  {
    name: 'keys that nobody tells: no token is good',
    objects: authentication(`{ issuer: '${issuer}', jwksUri: 'https://127.0.0.1:1/keys' }`),
    requests: [open, { ...refused('Jwt verification fails'), headers: bearer(good) }],
  },
  {
    name: 'rules in no order, of any issuer, and an object without rules',
    objects:
      authentication(rule('', 'https://b.test')) +
      authentication(`${rule('', '')}, { jwks: '${jwks()}', fromHeaders: [{ name: x-token }] }`, 'any') +
      authentication(rule(), 'more') +
      `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: none }
spec: { targetRefs: [{ kind: Service, group: '', name: web }] }
---`,
    requests: [
      open,
      { ...open, headers: bearer(good) },
      { ...open, headers: bearer(token({ ...claims, iss: 'https://c.test' })) },
      { path: '/', headers: bearer(`${good}x`), expect: { status: 401 } },
    ],
  },
  {
    name: 'keys in time, in a time that is none, by the older name, and by the issuer',
    objects: authentication(
      [
        "jwksUri: 'https://127.0.0.1:1/keys', timeout: 2s",
        "jwks_uri: 'https://127.0.0.1:1/keys', timeout: 1.5s",
        'timeout: soon, fromHeaders: [{ name: x-token }]',
      ]
        .map((more, i) => `{ issuer: '${issuer}${i === 0 ? '' : i}', ${more} }`)
        .join(', '),
    ),
    requests: [open, { path: '/', headers: bearer(good), expect: { status: 401 } }],
  },
  {
    name: 'keys that are none: no token is good',
    objects: authentication(`{ issuer: '${issuer}', jwks: 'no keys' }, { jwks: '{"keys": []}' }`),
    requests: [open, { path: '/', headers: bearer(good), expect: { status: 401 } }],
  },
  {
    name: 'tokens for all waypoints',
    objects: ofAllWaypoints(
      `apiVersion: security.istio.io/v1
kind: RequestAuthentication`,
      `jwtRules: [${rule()}]`,
    ),
    requests: [
      open,
      { ...open, headers: bearer(good) },
      { path: '/', headers: bearer('x.y.z'), expect: { status: 401 } },
    ],
  },
  {
    name: 'a token is required by its rule',
    objects: authentication(rule(', presence: REQUIRED')),
    requests: [refused('Jwt is missing'), { ...open, headers: bearer(good) }],
  },
  {
    name: 'a token is required by a policy',
    objects: authentication(rule()) + policy(`action: DENY, rules: [${from("notRequestPrincipals: ['*']")}]`),
    requests: [shut, { ...open, headers: bearer(good) }],
  },
  allowing('requestPrincipals', from(`requestPrincipals: ['${issuer}/alice']`)),
  allowing('the beginning of a principal', from(`requestPrincipals: ['${issuer}/al*']`)),
  allowing('the end of a principal', from("requestPrincipals: ['*/alice']")),
  allowing('the end of a subject', from("requestPrincipals: ['*ice']")),
  {
    name: 'allowed by the beginning of an issuer',
    objects: authentication(rule()) + policy(`rules: [${from("requestPrincipals: ['https:*']")}]`),
    requests: [{ ...open, headers: bearer(good) }, { ...open, headers: bearer(plain) }, shut],
  },
  allowing(
    'an issuer alone, which no principal is, or a principal',
    from(`requestPrincipals: [alice, '${issuer}/alice']`),
  ),
  allowing('request.auth.principal', when('request.auth.principal', `${issuer}/alice`)),
  allowing('request.auth.audiences', when('request.auth.audiences', 'web')),
  allowing('request.auth.presenter', when('request.auth.presenter', 'app')),
  allowing('a claim', when('request.auth.claims[group]', 'staff', 'other')),
  allowing('a claim that is a list', when('request.auth.claims[groups]', 'b')),
  allowing('a claim of words', when('request.auth.claims[scope]', 'write')),
  allowing('a claim within claims', when('request.auth.claims[nested][deep][er]', 'w*')),
  allowing('a list within a claim', when('request.auth.claims[nested][key]', 'v')),
  {
    name: 'not the claim',
    objects:
      authentication(rule()) + policy("rules: [{ when: [{ key: 'request.auth.claims[group]', notValues: [guest] }] }]"),
    requests: [{ ...open, headers: bearer(good) }, { ...shut, headers: bearer(plain) }, open],
  },
  {
    name: 'routes by claims',
    objects:
      authentication(rule()) +
      virtualService(
        "{ match: [{ headers: { '@request.auth.claims.group': { exact: staff }, '@request.auth.claims[nested][deep][er]': { prefix: w } } }], headers: { request: { set: { x-route: staff } } }, route: [{ destination: { host: web } }] }, { match: [{ withoutHeaders: { '@request.auth.claims.groups': { exact: a } } }], headers: { request: { set: { x-route: none } } }, route: [{ destination: { host: web } }] }",
      ),
    requests: [
      { ...open, headers: bearer(good), expect: { to: 'web', received: { headers: { 'x-route': 'staff' } } } },
      { ...open, headers: bearer(plain), expect: { to: 'web', received: { headers: { 'x-route': 'none' } } } },
      { ...open, expect: { to: 'web', received: { headers: { 'x-route': 'none' } } } },
    ],
  },
];
