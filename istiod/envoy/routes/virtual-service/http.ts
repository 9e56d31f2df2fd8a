/** HTTP routes of a VirtualService. */
import { assertNever } from '../../../../common/core/errors.ts';
import type { VirtualService } from '../../../../common/kube/kinds/istio/virtual-service.ts';
import { namespaceOf } from '../../../../common/kube/names.ts';
import type { RouteContext } from '../../inputs.ts';
import { type Destination, findDestination, forwardTo, perFilter, type WeightedTarget } from '../destinations.ts';
import type { Action, Extension, HeaderChanges, MirrorPolicy, RedirectAction, Route, RouteMatch } from '../envoy.ts';
import { corsFilter, faultFilter, faultOf, istioCors } from '../filters.ts';
import { istioHeaders, joinChanges } from '../headers.ts';
import { claimMatcher, claimPath, headerMatcher, queryMatcher, stringMatcher, withoutHeader } from '../matchers.ts';
import { operationOf } from '../operation.ts';
import { portShown, redirectCode } from '../redirects.ts';
import type { RouteObject, RouteProblem } from '../results.ts';
import { type Retries, retryPolicy } from '../retries.ts';
import { backendSession, sessionFilter } from '../sessions.ts';
import { durationOf, madeBy, routeObject, runtimeFraction, takesAll } from '../values.ts';
import { expandDelegates, type HttpMatch, type HttpRoute, type OwnedRoute } from './delegate.ts';
import { reachOf } from './select.ts';

export interface MadeRoutes {
  readonly routes: readonly Route[];
  readonly problems: readonly RouteProblem[];
  readonly objects: readonly RouteObject[];
}

/** In the order in which they are written, to the first that takes every request. */
export function virtualServiceRoutes(context: RouteContext, vs: VirtualService): MadeRoutes {
  const { routes: owned, delegates, problems: found } = expandDelegates(context, vs);
  const problems = [...found];
  const routes: Route[] = [];
  for (const one of owned) {
    const made = makeRoutes(context, vs, one);
    problems.push(...made.problems);
    routes.push(...made.routes);
    if (made.routes.some((r) => takesAll(r.match))) break;
  }
  return { routes, problems, objects: [vs, ...delegates].map(routeObject) };
}

type Made = Pick<MadeRoutes, 'routes' | 'problems'>;

function makeRoutes(context: RouteContext, vs: VirtualService, owned: OwnedRoute): Made {
  const { route, owner, field } = owned;
  const problems: RouteProblem[] = [];
  const matches = matchesOf(context, route, (name, message) =>
    problems.push({ kind: 'ineffective', object: routeObject(owner), field: `${field}.${name}`, message }),
  );
  if (matches.length === 0) return { routes: [], problems };
  const made = actionOf(context, owned, problems);
  const filters = perFilter({ ...filtersOf(route), [sessionFilter]: made.session });
  const base = route.name || `${namespaceOf(vs)}.${vs.metadata.name}.${owned.index}`;
  const routes = matches.map(({ match, source, index }): Route => {
    const rule = index === undefined ? owned.rule : `${owned.rule}.match[${index}]`;
    return {
      name: source?.name ? `${base}.${source.name}` : base,
      match,
      ...made.action,
      ...made.changes,
      ...(source?.statPrefix ? { stat_prefix: source.statPrefix } : {}),
      ...filters,
      decorator: { operation: operationOf(context, made.action, match, vs.metadata.name) },
      metadata: madeBy(vs, rule),
    };
  });
  return { routes, problems };
}

interface Matched {
  readonly match: RouteMatch;
  readonly source: HttpMatch | undefined;
  readonly index: number | undefined;
}

function matchesOf(
  context: RouteContext,
  { match = [] }: HttpRoute,
  ineffective: (field: string, message: string) => void,
): readonly Matched[] {
  if (match.length === 0) return [{ match: { prefix: '/' }, source: undefined, index: undefined }];
  return match.flatMap((source, index): readonly Matched[] => {
    const reach = reachOf(context, source);
    switch (reach.kind) {
      case 'elsewhere':
        return [];
      case 'unknown':
        ineffective(
          `match[${index}].sourceLabels`,
          'a waypoint knows callers by what they prove, which labels are not: nothing matches; use sourceNamespace',
        );
        return [];
      case 'here': {
        const callers = reach.callers.length === 0 ? {} : { filter_state: reach.callers };
        return [{ match: { ...routeMatch(source), ...callers }, source, index }];
      }
      default:
        return assertNever(reach);
    }
  });
}

function routeMatch(match: HttpMatch): RouteMatch {
  const { uri, method, authority, scheme, ignoreUriCase } = match;
  const claims = [];
  const headers = [];
  for (const [name, value] of sorted(match.headers)) {
    const path = claimPath(name);
    if (path === undefined) headers.push(headerMatcher(name.toLowerCase(), value));
    else claims.push(claimMatcher(path, value, false));
  }
  for (const [name, value] of sorted(match.withoutHeaders)) {
    const path = claimPath(name);
    if (path === undefined) headers.push(withoutHeader(name.toLowerCase(), value));
    else claims.push(claimMatcher(path, value, true));
  }
  if (method !== undefined) headers.push(headerMatcher(':method', method));
  if (authority !== undefined) headers.push(headerMatcher(':authority', authority));
  if (scheme !== undefined) headers.push(headerMatcher(':scheme', scheme));
  const query = sorted(match.queryParams).map(([name, value]) => queryMatcher(name, value));
  return {
    ...pathMatch(uri),
    ...(ignoreUriCase === true ? { case_sensitive: { value: false } } : {}),
    ...(headers.length === 0 ? {} : { headers }),
    ...(query.length === 0 ? {} : { query_parameters: query }),
    ...(claims.length === 0 ? {} : { dynamic_metadata: claims }),
  };
}

function pathMatch(uri: HttpMatch['uri']): RouteMatch {
  if (uri?.exact !== undefined) return { path: uri.exact };
  if (uri?.prefix !== undefined) return { prefix: uri.prefix };
  const matcher = uri === undefined ? undefined : stringMatcher(uri);
  return matcher !== undefined && 'safe_regex' in matcher ? { safe_regex: matcher.safe_regex } : { prefix: '/' };
}

/** The order in a map says nothing, and routes that did not change shall be the same. */
function sorted<T>(map: Readonly<Record<string, T>> = {}): readonly [string, T][] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
}

interface MadeAction {
  readonly action: Action;
  readonly changes: HeaderChanges;
  readonly session?: Extension | undefined;
}

function actionOf(context: RouteContext, owned: OwnedRoute, problems: RouteProblem[]): MadeAction {
  const { route } = owned;
  const { changes, host } = istioHeaders(route.headers);
  if (route.redirect !== undefined)
    return { action: { redirect: redirectOf(route.redirect, context.port.number) }, changes };
  if (route.directResponse !== undefined) {
    const { status, body } = route.directResponse;
    const bytes = body?.bytes === undefined ? undefined : Buffer.from(body.bytes, 'base64');
    const held =
      bytes !== undefined
        ? { inline_bytes: bytes }
        : body?.string === undefined
          ? undefined
          : { inline_string: body.string };
    return { action: { direct_response: { status, ...(held === undefined ? {} : { body: held }) } }, changes };
  }
  const targets = targetsOf(context, owned, problems);
  const rewrite = rewriteOf(route.rewrite);
  const made = forwardTo(context.dialect, {
    targets,
    timeout: durationOf(route.timeout),
    retries: (hashed) =>
      retryPolicy(route.retries ?? (context.view.facts.defaultRetries as Retries | undefined), hashed),
    rewrite,
    host: route.rewrite?.authority || host,
    mirrors: mirrorsOf(context, owned, problems),
    missing: 503,
  });
  return { action: { route: made.route }, changes: joinChanges(changes, made.changes), session: made.session };
}

/** One alone gets everything, whatever its weight; of several those without a weight get nothing. */
function targetsOf(context: RouteContext, owned: OwnedRoute, problems: RouteProblem[]): readonly WeightedTarget[] {
  const { route = [] } = owned.route;
  return route.flatMap(({ destination, weight = 0, headers }, i): readonly WeightedTarget[] => {
    if (route.length > 1 && weight === 0) return [];
    const found = findIn(context, owned, destination, `route[${i}].destination`, problems);
    const { changes, host } = istioHeaders(headers);
    const kept =
      found.kind === 'found'
        ? { hash: context.hash(found.target), session: backendSession(context, found.target) }
        : { hash: undefined, session: undefined };
    return [{ cluster: found.cluster, weight, changes, host, ...kept }];
  });
}

function mirrorsOf(context: RouteContext, owned: OwnedRoute, problems: RouteProblem[]): readonly MirrorPolicy[] {
  const { mirror, mirrors = [], mirrorPercentage, mirrorPercent, mirror_percent } = owned.route;
  const share =
    mirrorPercentage === undefined ? (mirrorPercent ?? mirror_percent ?? 100) : (mirrorPercentage.value ?? 0);
  const all = [
    ...(mirror === undefined ? [] : [{ destination: mirror, share, field: 'mirror' }]),
    ...mirrors.map(({ destination, percentage }, i) => ({
      destination,
      share: percentage === undefined ? 100 : (percentage.value ?? 0),
      field: `mirrors[${i}].destination`,
    })),
  ];
  return all
    .filter((m) => m.share > 0)
    .map(({ destination, share: part, field }) => ({
      cluster: findIn(context, owned, destination, field, problems).cluster,
      runtime_fraction: runtimeFraction(part),
      trace_sampled: { value: false },
    }));
}

function findIn(
  context: RouteContext,
  { owner, field: place }: OwnedRoute,
  destination: Destination,
  field: string,
  problems: RouteProblem[],
) {
  const found = findDestination(context, destination, namespaceOf(owner));
  if (found.kind === 'missing') {
    const { message } = found;
    const at = `${place}.${field}.${found.field}`;
    problems.push({ kind: 'unresolved', reason: 'BackendNotFound', object: routeObject(owner), field: at, message });
  }
  return found;
}

function rewriteOf(rewrite: HttpRoute['rewrite']) {
  const { uri, uriRegexRewrite } = rewrite ?? {};
  if (uriRegexRewrite !== undefined) {
    const { match = '', rewrite: substitution = '' } = uriRegexRewrite;
    return { regex_rewrite: { pattern: { regex: match }, substitution } };
  }
  return uri ? { prefix_rewrite: uri } : undefined;
}

function redirectOf(redirect: NonNullable<HttpRoute['redirect']>, requestPort: number): RedirectAction {
  const { uri, authority, scheme, port, derivePort, prefixRewrite, redirectCode: code } = redirect;
  const wanted = port ?? (derivePort === 'FROM_REQUEST_PORT' ? requestPort : undefined);
  const shown = portShown(wanted, scheme || 'http');
  return {
    ...(authority ? { host_redirect: authority } : {}),
    ...(prefixRewrite ? { prefix_rewrite: prefixRewrite } : uri ? { path_redirect: uri } : {}),
    ...(scheme ? { scheme_redirect: scheme } : {}),
    ...(shown === undefined ? {} : { port_redirect: shown }),
    response_code: redirectCode(code || 301),
  };
}

function filtersOf({ fault, corsPolicy }: HttpRoute): Readonly<Record<string, Extension | undefined>> {
  return { [faultFilter]: fault && faultOf(fault), [corsFilter]: corsPolicy && istioCors(corsPolicy) };
}
