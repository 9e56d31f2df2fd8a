/** Routes that a VirtualService leaves to others: merged as Istio merges them, or left out where the two disagree. */
import type { StringMatch, VirtualService } from '../../../../common/kube/kinds/istio/virtual-service.ts';
import { namespaceOf } from '../../../../common/kube/names.ts';
import type { RouteContext } from '../../inputs.ts';
import { fullName } from '../destinations.ts';
import type { RouteProblem } from '../results.ts';
import { routeObject } from '../values.ts';
import { isSeen } from './select.ts';

export type HttpRoute = NonNullable<VirtualService['spec']['http']>[number];
export type HttpMatch = NonNullable<HttpRoute['match']>[number];
type Mirror = NonNullable<HttpRoute['mirror']>;

/** A route with where it was written: short names are completed with that namespace. */
export interface OwnedRoute {
  readonly route: HttpRoute;
  /** Place in the object that has the hosts: its number among the routes, and in words. */
  readonly index: number;
  readonly rule: string;
  /** The object that says where requests go, and the place there. */
  readonly owner: VirtualService;
  readonly field: string;
}

export interface Expanded {
  readonly routes: readonly OwnedRoute[];
  readonly delegates: readonly VirtualService[];
  readonly problems: readonly RouteProblem[];
}

/** The routes of `root`, each `delegate` replaced by the routes of that VirtualService. */
export function expandDelegates(context: RouteContext, root: VirtualService): Expanded {
  const routes: OwnedRoute[] = [];
  const delegates: VirtualService[] = [];
  const problems: RouteProblem[] = [];
  const full = ({ host, ...rest }: Mirror) => ({
    ...rest,
    host: fullName(host, namespaceOf(root), context.view.facts.domain),
  });
  (root.spec.http ?? []).forEach((route, i) => {
    const field = `spec.http[${i}]`;
    if (route.delegate === undefined) {
      routes.push({ route, index: i, rule: field, owner: root, field });
      return;
    }
    const namespace = route.delegate.namespace || namespaceOf(root);
    const key = `${namespace}/${route.delegate.name ?? ''}`;
    const found = context.view.virtualService(key);
    const problem = (message: string) =>
      problems.push({ kind: 'ineffective', object: routeObject(root), field: `${field}.delegate`, message });
    if (found === undefined) problem(`there is no VirtualService ${key}: the route is left out`);
    else if ((found.spec.hosts ?? []).length > 0)
      problem(`VirtualService ${key} has hosts, so it is no delegate: the route is left out`);
    else if (!isSeen(context, found, namespaceOf(root)))
      problem(`VirtualService ${key} is not exported to namespace ${namespaceOf(root)}: the route is left out`);
    else {
      delegates.push(found);
      (found.spec.http ?? []).forEach((own, j) => {
        const merged = mergeRoutes(withMirrors(route, full), own);
        const place = `spec.http[${j}]`;
        if (merged === undefined) {
          const message = `its matches are not within those of ${routeName(root)} ${field}: the route is left out`;
          problems.push({ kind: 'ineffective', object: routeObject(found), field: place, message });
          return;
        }
        routes.push({ route: merged, index: i, rule: `${field} > ${key} ${place}`, owner: found, field: place });
      });
    }
  });
  return { routes, delegates, problems };
}

function withMirrors({ mirror, mirrors, ...route }: HttpRoute, full: (mirror: Mirror) => Mirror): HttpRoute {
  return {
    ...route,
    ...(mirror === undefined ? {} : { mirror: full(mirror) }),
    ...(mirrors === undefined ? {} : { mirrors: mirrors.map((m) => ({ ...m, destination: full(m.destination) })) }),
  };
}

function routeName(vs: VirtualService): string {
  return `${namespaceOf(vs)}/${vs.metadata.name}`;
}

/** What the delegate does not say, the root does. undefined: its matches are not within those of the root. */
function mergeRoutes(root: HttpRoute, delegate: HttpRoute): HttpRoute | undefined {
  const match = mergeMatches(root.match ?? [], delegate.match ?? []);
  if (match === undefined) return undefined;
  const { delegate: _to, route: _targets, redirect: _redirect, ...inherited } = root;
  const name = [root.name, delegate.name].filter((part) => part !== undefined && part !== '').join('-');
  return { ...inherited, ...delegate, match, ...(name === '' ? {} : { name }) };
}

function mergeMatches(root: readonly HttpMatch[], delegate: readonly HttpMatch[]): readonly HttpMatch[] | undefined {
  if (root.length === 0) return delegate;
  if (delegate.length === 0) return root;
  const merged: HttpMatch[] = [];
  for (const own of delegate) {
    const within = root.filter((outer) => isWithin(outer, own));
    if (within.length === 0) return undefined;
    for (const outer of within) merged.push(mergeMatch(outer, own));
  }
  return merged;
}

function mergeMatch(root: HttpMatch, own: HttpMatch): HttpMatch {
  const name = [root.name, own.name].filter((part) => part !== undefined && part !== '').join('-');
  const both = (field: 'headers' | 'withoutHeaders' | 'queryParams') =>
    root[field] === undefined && own[field] === undefined ? {} : { [field]: { ...root[field], ...own[field] } };
  const sourceLabels = { ...root.sourceLabels, ...own.sourceLabels };
  return {
    ...root,
    ...own,
    ...(name === '' ? {} : { name }),
    ...both('headers'),
    ...both('withoutHeaders'),
    ...both('queryParams'),
    ...(Object.keys(sourceLabels).length === 0 ? {} : { sourceLabels }),
  };
}

function isWithin(root: HttpMatch, own: HttpMatch): boolean {
  for (const field of ['uri', 'scheme', 'method', 'authority'] as const) {
    if (disagree(root[field], own[field])) return false;
  }
  for (const field of ['headers', 'withoutHeaders', 'queryParams'] as const) {
    for (const [key, match] of Object.entries(own[field] ?? {})) if (disagree(root[field]?.[key], match)) return false;
  }
  if ((root.ignoreUriCase ?? false) !== (own.ignoreUriCase ?? false)) return false;
  if (root.port && own.port && root.port !== own.port) return false;
  if (root.sourceNamespace && own.sourceNamespace !== root.sourceNamespace) return false;
  for (const [key, value] of Object.entries(own.sourceLabels ?? {})) {
    const outer = root.sourceLabels?.[key];
    if (outer !== undefined && outer !== value) return false;
  }
  const gateways = root.gateways ?? [];
  return gateways.length === 0 || (own.gateways ?? []).every((name) => gateways.includes(name));
}

/** Whether what `own` matches may be outside of `root`. Of regular expressions nobody can tell. */
function disagree(root: StringMatch | undefined, own: StringMatch | undefined): boolean {
  if (root === undefined || own === undefined) return false;
  const says = ({ exact, prefix, regex }: StringMatch) => exact || prefix || regex;
  if ((root.regex && says(own)) || (own.regex && says(root))) return true;
  if (root.exact) return own.exact !== root.exact;
  if (root.prefix && (own.prefix || own.exact)) return !(own.prefix || own.exact)!.startsWith(root.prefix);
  return true;
}
