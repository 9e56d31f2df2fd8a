import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { view } from '../testing/view.ts';
import { compileRoutes, type RouteTable } from './table.ts';

const dice = { random: () => 0.5 };

function table(config: object): RouteTable {
  const made = compileRoutes(config, new Map());
  if (made.kind !== 'ok') throw new Error(made.reason);
  return made.value;
}

function refusal(config: object): string {
  const made = compileRoutes(config, new Map());
  assert.equal(made.kind, 'rejected');
  return made.kind === 'rejected' ? made.reason : '';
}

const host = (domains: readonly string[], ...routes: readonly object[]) => ({ name: domains.join(), domains, routes });
const to = (cluster: string, match: object, more: object = {}) => ({
  name: cluster,
  match,
  route: { cluster },
  ...more,
});
const all = (...routes: readonly object[]) => table({ virtual_hosts: [host(['*'], ...routes)] });

function chosen(routes: RouteTable, parts: Parameters<typeof view>[0]): string {
  const decision = routes.decide(view(parts), dice);
  return decision.kind === 'forward' ? decision.cluster : decision.kind;
}

describe('virtual hosts', () => {
  const routes = table({
    virtual_hosts: ['a.example', '*.example', '*.b.example', 'a.*', 'a.b.*', '*'].map((d) =>
      host([d], to(d, { prefix: '/' })),
    ),
  });

  for (const [authority, expected] of [
    ['a.example', 'a.example'],
    ['A.EXAMPLE', 'a.example'],
    ['a.example:80', 'a.*'],
    ['x.example', '*.example'],
    ['.example', '*'],
    ['x.b.example', '*.b.example'],
    ['a.b.c', 'a.b.*'],
    ['a.x', 'a.*'],
    ['other', '*'],
  ] as const) {
    it(`${authority} belongs to ${expected}`, () => assert.equal(chosen(routes, { authority }), expected));
  }

  it('takes no notice of ports where it is told so', () => {
    const config = {
      ignore_port_in_host_matching: true,
      virtual_hosts: [host(['a.example'], to('a', { prefix: '/' }))],
    };
    assert.equal(chosen(table(config), { authority: 'a.example:8080' }), 'a');
    assert.equal(chosen(table(config), { authority: 'b.example' }), 'none');
  });

  it('refuses the same domain twice', () => {
    const twice = { virtual_hosts: [host(['a', 'A'], to('x', { prefix: '/' }))] };
    assert.match(refusal(twice), /virtual_hosts\[0\]\.domains: A is there twice/);
  });
});

describe('routes of a virtual host', () => {
  it('tells callers apart by filter state', () => {
    const key = 'io.istio.peer_principal';
    const filter_state = [{ key, string_match: { safe_regex: { regex: 'spiffe://[^/]+/ns/pay/sa/[^/]+' } } }];
    const routes = all(to('pay', { prefix: '/', filter_state }), to('rest', { prefix: '/' }));
    const from = (principal: string) => ({ connection: { filterState: new Map([[key, principal]]) } });
    assert.equal(chosen(routes, from('spiffe://td/ns/pay/sa/a')), 'pay');
    assert.equal(chosen(routes, from('spiffe://td/ns/shop/sa/pay')), 'rest');
    assert.equal(chosen(routes, {}), 'rest');
    const keyless = [{ string_match: { exact: 'x' } }];
    const config = { virtual_hosts: [host(['*'], to('x', { prefix: '/', filter_state: keyless }))] };
    assert.match(refusal(config), /filter_state\[0\]\.key: is empty/);
  });

  it('takes the first that matches, whatever kind of path it has', () => {
    const routes = all(
      to('exact', { path: '/a/b' }),
      to('segments', { path_separated_prefix: '/a' }),
      to('regex', { safe_regex: { regex: '/r/[0-9]+' } }),
      to('folded', { prefix: '/FOLD', case_sensitive: { value: false } }),
      to('header', { prefix: '/', headers: [{ name: 'X-A', string_match: { exact: 'b' } }] }),
      to('query', { prefix: '/', query_parameters: [{ name: 'q', string_match: { prefix: '1' } }] }),
      to('rest', { prefix: '/' }),
      to('never', { path: '/never' }),
    );
    const cases: readonly (readonly [Parameters<typeof view>[0], string])[] = [
      [{ path: '/a/b' }, 'exact'],
      [{ path: '/a/b?x' }, 'exact'],
      [{ path: '/a/c' }, 'segments'],
      [{ path: '/a' }, 'segments'],
      [{ path: '/ab' }, 'rest'],
      [{ path: '/r/12' }, 'regex'],
      [{ path: '/r/12x' }, 'rest'],
      [{ path: '/fold/x' }, 'folded'],
      [{ path: '/x', headers: { 'x-a': 'b' } }, 'header'],
      [{ path: '/x?q=12' }, 'query'],
      [{ path: '/x?q=2&q=1' }, 'rest'],
      [{ path: '/never' }, 'rest'],
    ];
    for (const [parts, expected] of cases) assert.equal(chosen(routes, parts), expected, JSON.stringify(parts));
  });

  it('takes a CONNECT without path by connect_matcher only', () => {
    const routes = all(to('all', { prefix: '/' }), to('connect', { connect_matcher: {} }));
    assert.equal(chosen(routes, { method: 'CONNECT', path: '' }), 'connect');
    assert.equal(chosen(all(to('all', { prefix: '/' })), { method: 'CONNECT', path: '' }), 'none');
  });

  it('splits by weight', () => {
    const weights = [1, 0, 3].map((value, i) => ({ name: `c${i}`, weight: { value } }));
    const routes = all({ match: { prefix: '/' }, route: { weighted_clusters: { clusters: weights } } });
    const at = (random: number) => {
      const decision = routes.decide(view(), { random: () => random });
      return decision.kind === 'forward' ? decision.cluster : '';
    };
    assert.deepEqual([0, 0.24, 0.25, 0.99].map(at), ['c0', 'c0', 'c2', 'c2']);
  });
});

describe('refusals', () => {
  const routed = (route: object) => ({
    virtual_hosts: [host(['*'], { match: { prefix: '/' }, route: { cluster: 'x', ...route } })],
  });

  for (const [what, config, reason] of [
    [
      'what is not honoured',
      routed({ internal_redirect_policy: {} }),
      /routes\[0\]\.route\.internal_redirect_policy: is not supported/,
    ],
    ['hedging', routed({ hedge_policy: { hedge_on_per_try_timeout: true } }), /hedge_policy: is not supported/],
    ['two rewrites', routed({ prefix_rewrite: '/a', regex_rewrite: { pattern: { regex: 'a' } } }), /one of them only/],
    [
      'a regex that is none',
      { virtual_hosts: [host(['*'], to('x', { safe_regex: { regex: '(a' } }))] },
      /no RE2 expression/,
    ],
    [
      'backreferences',
      { virtual_hosts: [host(['*'], to('x', { safe_regex: { regex: '(a)\\1' } }))] },
      /no RE2 expression/,
    ],
    ['a filter that nobody knows', { typed_per_filter_config: { a: { '@type': 'b' } } }, /\[b\]: is not supported/],
    [
      'an operator that nobody knows',
      { request_headers_to_add: [{ header: { key: 'a', value: '%NO%' } }] },
      /%NO% is not supported/,
    ],
    ['a host header', { request_headers_to_add: [{ header: { key: 'Host', value: 'x' } }] }, /may not be set/],
  ] as const) {
    it(`names ${what}`, () => assert.match(refusal(config), reason));
  }

  it('passes a scalar that is at its default', () => {
    all({ match: { prefix: '/' }, route: { cluster: 'x', internal_redirect_action: 0 } });
  });
});
