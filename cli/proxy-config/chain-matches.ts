/** Which connections a filter chain takes, by its listener's matcher (xds.type.matcher.v3). Pure. */
import { get, type Json, objects } from './dump.ts';

/** One line a way to the chain; NONE where no way leads there. `plain` tells the chain's own match where the listener has no matcher. */
export function chainMatches(listener: Json, chain: Json, plain: (match: Json) => string): readonly string[] {
  const matcher = listener['filter_chain_matcher'];
  if (matcher === undefined) return [plain((chain['filter_chain_match'] ?? {}) as Json)];
  const name = String(chain['name'] ?? '');
  if (actionOf(get(matcher, 'on_no_match')) === name) return ['UNMATCHED'];
  const found = waysTo(name, get(matcher, 'on_no_match', 'matcher') ?? matcher);
  return found.length === 0 ? ['NONE'] : found;
}

function waysTo(name: string, matcher: unknown): readonly string[] {
  if (actionOf(get(matcher, 'on_no_match')) === name) return ['ANY'];
  const onward = get(matcher, 'on_no_match', 'matcher');
  const tree = get(matcher, 'matcher_tree');
  const input = String(get(tree, 'input', 'name') ?? '');
  const ways = branches(tree).flatMap(([step, then]) => {
    const here = `${input}${step}`;
    if (actionOf(then) === name) return [here];
    const inner = get(then, 'matcher');
    return inner === undefined ? [] : waysTo(name, inner).map((way) => `${here} -> ${way}`);
  });
  return onward === undefined ? ways : [...ways, ...waysTo(name, onward)];
}

/** What is compared, with what then. */
function branches(tree: unknown): readonly (readonly [string, unknown])[] {
  const exact = Object.entries((get(tree, 'exact_match_map', 'map') ?? {}) as Json);
  const prefix = Object.entries((get(tree, 'prefix_match_map', 'map') ?? {}) as Json);
  const ranges = objects(get(tree, 'custom_match', 'typed_config', 'range_matchers')).flatMap((m) =>
    objects(m['ranges']).map((r) => {
      const length = Number(r['prefix_len'] ?? 0);
      const host = length === 32 || length === 128;
      return [`=${r['address_prefix']}${host ? '' : `/${length}`}`, m['on_match']] as const;
    }),
  );
  return [...exact.map(([k, v]) => [`=${k}`, v] as const), ...prefix.map(([k, v]) => [`^${k}`, v] as const), ...ranges];
}

function actionOf(onMatch: unknown): string | undefined {
  const name = get(onMatch, 'action', 'name');
  return typeof name === 'string' ? name : undefined;
}
