import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { literalPrefix, RouteIndex } from './index.ts';
import type { PathMatch, RouteMatch } from './match.ts';

const rest: Omit<RouteMatch, 'path'> = {
  perMillion: undefined,
  headers: [],
  query: [],
  grpcOnly: false,
  presented: undefined,
  validated: undefined,
  metadata: [],
  filterState: [],
};

const text = fc.array(fc.constantFrom('/', 'a', 'b', 'A'), { maxLength: 4 }).map((parts) => `/${parts.join('')}`);
const path: fc.Arbitrary<PathMatch> = fc.oneof(
  fc.record({ kind: fc.constant('prefix' as const), prefix: text, folds: fc.constant(false) }),
  fc.record({ kind: fc.constant('exact' as const), path: text, folds: fc.constant(false) }),
  fc.record({
    kind: fc.constant('prefix' as const),
    prefix: text.map((t) => t.toLowerCase()),
    folds: fc.constant(true),
  }),
);

function matches(match: PathMatch, asked: string): boolean {
  if (match.kind === 'exact') return asked === match.path;
  if (match.kind !== 'prefix') return false;
  return (match.folds ? asked.toLowerCase() : asked).startsWith(match.prefix);
}

describe('the index of routes', () => {
  it('finds what a walk through all routes finds', () => {
    fc.assert(
      fc.property(fc.array(path, { maxLength: 12 }), text, fc.nat(3), (paths, asked, refuses) => {
        const routes = paths.map((p, i) => ({ match: { ...rest, path: p }, i }));
        const accepts = ({ i }: { readonly i: number }) => i % 4 !== refuses;
        const expected = routes.findIndex((r) => matches(r.match.path, asked) && accepts(r));
        assert.equal(new RouteIndex(routes).find(asked, false, accepts), expected);
      }),
    );
  });

  for (const [regex, prefix] of [
    ['/api/v1/[0-9]+', '/api/v1/'],
    ['/a\\.b/.*', '/a.b/'],
    ['/ab?', '/a'],
    ['/ab*', '/a'],
    ['/ab{0,1}', '/a'],
    ['/ab+', '/ab'],
    ['/a|/b', ''],
    ['(?i)/a', ''],
    ['/a\\.?b', '/a'],
  ] as const) {
    it(`knows that all that ${regex} matches begins with "${prefix}"`, () =>
      assert.equal(literalPrefix(regex), prefix));
  }
});
