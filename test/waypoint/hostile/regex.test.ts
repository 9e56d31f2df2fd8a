/** Expressions that take others exponential time, in routes, header matchers, rewrites and policies: RE2's language, and its linear time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { typeUrl } from '../../../common/envoy/codec.ts';
import { Rig, router } from '../../../waypoint/testing/rig.ts';

/** Backtracking takes 2^50,000 steps, or 50,000^n, to see that none of these matches. */
const patterns = [
  '(a+)+b',
  '(a*)*b',
  '(a|a)*b',
  '(a|aa)+b',
  '(.*a){30}b',
  '([a-z]+)*b',
  '(((((a+)+)+)+)+)+b',
  '(x+x+)+y|(a+a+)+b',
  '.*.*.*.*.*.*=b',
  '(?:a?){100}a{100}b',
  '(\\w+\\s?)*b',
  '^(([a-z])+.)+[A-Z]([a-z])+b',
];

/** What RE2 has not, or what would take it too much: refused with the listener. */
const refused = [
  '(a)\\1',
  'a(?=b)',
  'a(?!b)',
  '(?<=a)b',
  '(?>a+)b',
  'a++b',
  '(a{1000}){1000}',
  'a{1001}',
  '('.repeat(2_000) + ')'.repeat(2_000),
  '[',
];

const long = 'a'.repeat(50_000);
const ok = { prefix: '/' };
const direct = { status: 204 };

function rbac(regex: string): object {
  return {
    name: 'envoy.filters.http.rbac',
    typed_config: {
      '@type': typeUrl('envoy.extensions.filters.http.rbac.v3.RBAC'),
      rules: {
        action: 'DENY',
        policies: {
          all: {
            principals: [{ any: true }],
            permissions: [{ url_path: { path: { safe_regex: { regex } } } }],
          },
        },
      },
    },
  };
}

/** Each place where a stranger's expression meets a stranger's text. */
const places: Readonly<
  Record<string, (regex: string) => { readonly routes: readonly object[]; readonly filters?: readonly object[] }>
> = {
  'the path of a route': (regex) => ({
    routes: [
      { match: { safe_regex: { regex: `/${regex}` } }, direct_response: { status: 500 } },
      { match: ok, direct_response: direct },
    ],
  }),
  'a header of a route': (regex) => ({
    routes: [
      {
        match: { ...ok, headers: [{ name: ':path', string_match: { safe_regex: { regex: `/${regex}` } } }] },
        direct_response: { status: 500 },
      },
      { match: ok, direct_response: direct },
    ],
  }),
  'the rewrite of a redirect': (regex) => ({
    routes: [
      {
        match: ok,
        redirect: { regex_rewrite: { pattern: { regex: `/${regex}` }, substitution: '/' }, response_code: 'FOUND' },
      },
    ],
  }),
  'a policy': (regex) => ({
    routes: [{ match: ok, direct_response: direct }],
    filters: [rbac(`/${regex}`), router],
  }),
};

describe('expressions of strangers', () => {
  for (const [place, site] of Object.entries(places)) {
    it(`decide about a path of 50,000 characters: ${place}`, async () => {
      await using rig = new Rig();
      for (const [i, regex] of patterns.entries()) {
        const { routes, filters } = site(regex);
        const port = await rig.http(`l${i}`, routes as never, filters ? { http_filters: filters } : {});
        const text = await rig.raw(port, `GET /${long} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
        assert.match(text, /^HTTP\/1\.1 (204|302) /, regex);
      }
    });

    it(`are refused where they are not RE2's, or too large: ${place}`, async () => {
      await using rig = new Rig();
      for (const regex of refused) {
        const { routes, filters } = site(regex);
        await assert.rejects(
          rig.http('bad', routes as never, filters ? { http_filters: filters } : {}),
          /no RE2 expression/,
          regex,
        );
      }
    });
  }
});
