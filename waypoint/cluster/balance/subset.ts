/**
 * Subsets ("Load Balancer Subsets" of Envoy): hosts grouped by what their metadata `envoy.lb` says under the keys of a selector; a
 * request asks for one group by its route's metadata_match.
 */
import type { Balancing, SubsetFallback, SubsetSelector, Subsets } from '../config.ts';
import type { LiveHost } from '../hosts/host.ts';
import { byHealth, compare, type HostView, localityKey, type PriorityHosts } from '../hosts/priorities.ts';
import type { Balancer, Host, Json, Pick, PickContext, Struct } from '../types.ts';
import { type BalancerOptions, makeBalancer } from './balancer.ts';

interface Group {
  readonly hosts: Set<LiveHost>;
  balancer: Balancer | undefined;
}

interface Known {
  readonly fallback: SubsetSelector['fallback'];
  readonly groups: Map<string, Group>;
}

const inherited = { kind: 'inherited' } as const;

type Chosen = { readonly kind: 'chosen'; readonly pick: Pick } | { readonly kind: 'unmatched' };

export function makeSubsets(
  view: HostView,
  balancing: Balancing,
  subsets: Subsets,
  options: BalancerOptions,
): Balancer {
  const hosts = view.priorities.flatMap(({ all }) => all);
  const selectors = new Map<string, Known>();
  for (const [index, selector] of subsets.selectors.entries()) {
    const keys = selector.keys.join('\0');
    // As in Envoy the first selector with these keys decides.
    if (selectors.has(keys)) continue;
    const fallback = isPrefix(selector.keys, subsets.selectors.slice(0, index)) ? inherited : selector.fallback;
    selectors.set(keys, { fallback, groups: groupBy(hosts, selector, subsets.listAsAny) });
  }
  const make = (members: (host: LiveHost) => boolean, name: string) =>
    makeBalancer(narrow(view, members, subsets.localityWeights), balancing, { ...options, subset: name });
  let any: Balancer | undefined;
  let byDefault: Balancer | undefined;
  const pickAny = (context: PickContext) => {
    any ??= make(() => true, 'all (fallback)');
    return any.pick(context);
  };
  const pickDefault = (context: PickContext) => {
    const wanted = subsets.defaultSubset;
    byDefault ??= make((host) => matches(host, wanted, subsets.listAsAny), `${describe(wanted)} (default)`);
    return byDefault.pick(context);
  };
  const fallback = (kind: SubsetFallback, wanted: Struct | undefined, context: PickContext): Pick => {
    switch (kind) {
      case 'none':
        return { kind: 'none', reason: `no host in subset ${describe(wanted ?? {})}, and no fallback` };
      case 'any':
        return pickAny(context);
      case 'default':
        return pickDefault(context);
    }
  };

  const pickGroup = (wanted: Struct | undefined, context: PickContext): Chosen => {
    const group = wanted && selectors.get(keysOf(wanted))?.groups.get(valuesOf(wanted));
    if (!wanted || !group) return { kind: 'unmatched' };
    group.balancer ??= make((host) => group.hosts.has(host), describe(wanted));
    return { kind: 'chosen', pick: group.balancer.pick(context) };
  };

  const pickFor = (asked: Struct | undefined, context: PickContext): Pick => {
    const wanted = subsets.redundantKeys ? covered(asked, subsets.selectors) : asked;
    const chosen = pickGroup(wanted, context);
    if (chosen.kind === 'chosen') return chosen.pick;
    const own = wanted && selectors.get(keysOf(wanted))?.fallback;
    if (own && own.kind !== 'inherited') {
      return own.kind === 'keys' ? pickFor(only(wanted, own.keys), context) : fallback(own.kind, wanted, context);
    }
    const picked = fallback(subsets.fallback, wanted, context);
    const panics = picked.kind === 'none' && subsets.panicAny && subsets.fallback !== 'none';
    return panics ? pickAny(context) : picked;
  };

  return {
    pick(context) {
      const asked = context.metadataMatch;
      if (!subsets.fallbackList || asked?.['fallback_list'] === undefined) return pickFor(asked, context);
      return pickFromList(asked, (wanted) => pickFor(wanted, context));
    },
  };
}

/** The keys begin those of an earlier selector: Envoy (1.40) does not see the own fallback of such a selector. */
function isPrefix(keys: readonly string[], earlier: readonly SubsetSelector[]): boolean {
  return earlier.some((other) => keys.every((key, i) => other.keys[i] === key));
}

/** `fallback_list`: further matches, each over the others' keys, until one gives a host. */
function pickFromList(asked: Struct, pick: (wanted: Struct) => Pick): Pick {
  const { fallback_list: list, ...base } = asked;
  const overrides = isList(list) ? list : [];
  if (overrides.length === 0) return pick(base);
  let last: Pick = { kind: 'none', reason: 'fallback_list is empty' };
  for (const override of overrides) {
    last = pick({ ...base, ...(isStruct(override) ? override : {}) });
    if (last.kind === 'host') break;
  }
  return last;
}

function groupBy(hosts: readonly LiveHost[], selector: SubsetSelector, listAsAny: boolean): Map<string, Group> {
  const groups = new Map<string, Group>();
  if (selector.keys.length === 0) return groups;
  for (const host of hosts) {
    for (const values of combinations(host, selector.keys, listAsAny)) {
      const key = valuesOf(values);
      const group = groups.get(key) ?? { hosts: new Set(), balancer: undefined };
      groups.set(key, group);
      if (!selector.singleHost || group.hosts.size === 0) group.hosts.add(host);
    }
  }
  return groups;
}

/** What the host says under all of the keys; several where a list means each of its values. */
function combinations(host: Host, keys: readonly string[], listAsAny: boolean): readonly Struct[] {
  const own = host.metadata['envoy.lb'];
  let out: Struct[] = [{}];
  for (const key of keys) {
    const value = own?.[key];
    if (value === undefined) return [];
    const values = listAsAny && isList(value) ? value : [value];
    out = out.flatMap((base) => values.map((one) => ({ ...base, [key]: one })));
  }
  return out;
}

function matches(host: Host, wanted: Struct, listAsAny: boolean): boolean {
  const own = host.metadata['envoy.lb'];
  return Object.entries(wanted).every(([key, value]) => {
    const has = own?.[key];
    if (has === undefined) return false;
    if (listAsAny && isList(has)) return has.some((one) => canonical(one) === canonical(value));
    return canonical(has) === canonical(value);
  });
}

/** The keys of the first selector that the match covers; the match itself where none is covered. */
function covered(asked: Struct | undefined, selectors: readonly SubsetSelector[]): Struct | undefined {
  const found = asked && selectors.find(({ keys }) => keys.every((key) => key in asked));
  return found ? only(asked, found.keys) : asked;
}

function only(wanted: Struct, keys: readonly string[]): Struct {
  return Object.fromEntries(keys.flatMap((key) => (key in wanted ? [[key, wanted[key]!]] : [])));
}

function keysOf(struct: Struct): string {
  return Object.keys(struct).toSorted(compare).join('\0');
}

function valuesOf(struct: Struct): string {
  return canonical(struct);
}

/** JSON with sorted keys: equal for equal values. */
function canonical(value: Json): string {
  if (isList(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isStruct(value)) return JSON.stringify(value);
  const keys = Object.keys(value).toSorted(compare);
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key]!)}`).join(',')}}`;
}

function describe(struct: Struct): string {
  const entries = Object.entries(struct).toSorted(([a], [b]) => compare(a, b));
  if (entries.length === 0) return '(none)';
  return entries.map(([key, value]) => `${key}=${typeof value === 'string' ? value : canonical(value)}`).join(', ');
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function isStruct(value: Json): value is Struct {
  return typeof value === 'object' && value !== null && !isList(value);
}

/** The view with those hosts only. */
function narrow(view: HostView, members: (host: LiveHost) => boolean, weights: Subsets['localityWeights']): HostView {
  return {
    ...view,
    priorities: view.priorities.map((hosts): PriorityHosts => {
      const kept = hosts.all.filter(members);
      const groups = Map.groupBy(kept, (host) => localityKey(host.locality));
      return {
        priority: hosts.priority,
        ...byHealth(kept),
        localities: hosts.localities.flatMap((at) => {
          const own = groups.get(localityKey(at.locality));
          if (!own) return [];
          const scale = weights === 'scaled' ? own.length / at.all.length : 1;
          const weight = weights === 'ignored' ? 0 : Math.round(at.weight * scale);
          return [{ locality: at.locality, weight, ...byHealth(own) }];
        }),
      };
    }),
  };
}
