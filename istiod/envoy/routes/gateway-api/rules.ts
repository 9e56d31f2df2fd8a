/** From rules of HTTPRoutes and GRPCRoutes to Envoy's routes. */
import { namespaceOf } from '../../../../common/kube/names.ts';
import type { RouteContext } from '../../inputs.ts';
import { limitMarks } from '../../limits/attached.ts';
import { forwardTo, perFilter, type WeightedTarget } from '../destinations.ts';
import type { Action, Duration, Extension, HeaderChanges, Route, RouteMatch } from '../envoy.ts';
import { corsFilter } from '../filters.ts';
import { joinChanges } from '../headers.ts';
import { callersOf } from '../matchers.ts';
import { operationOf } from '../operation.ts';
import type { RouteObject, RouteProblem } from '../results.ts';
import { type Retries, retryPolicy } from '../retries.ts';
import { backendSession, hasLostTime, type Session, sessionConfig, sessionFilter } from '../sessions.ts';
import { durationOf, isZero, madeBy, routeObject, takesAll } from '../values.ts';
import type { GatewayRoute, RouteGroup } from './attach.ts';

import { type Backend, type BackendRef, findBackend, unknownCluster } from './backends.ts';
import { type Filter, type Filters, readFilters } from './filters.ts';
import { byPrecedence, type Ranked } from './precedence.ts';

/** A rule as both kinds have it. */
export interface Rule {
  readonly name: string | undefined;
  /** At least one. */
  readonly matches: readonly RankedMatch[];
  readonly filters: readonly Filter[] | undefined;
  readonly backendRefs: readonly (BackendRef & { readonly filters?: readonly Filter[] })[];
  readonly timeouts: { readonly request?: string; readonly backendRequest?: string } | undefined;
  readonly retry: Retries | undefined;
  readonly session: Session | undefined;
}

export interface RankedMatch {
  readonly match: RouteMatch;
  readonly rank: readonly number[];
}

/** `refusal`: status for requests that can go nowhere. */
export interface RuleKind<T extends GatewayRoute> {
  readonly rulesOf: (route: T) => readonly Rule[];
  readonly refusal: 500 | 503;
}

export interface GroupRoutes {
  readonly routes: readonly Route[];
  readonly problems: readonly RouteProblem[];
  readonly objects: readonly RouteObject[];
  /** Of the oldest; empty where none says it. */
  readonly created: string;
}

interface Entry extends Ranked {
  readonly routes: readonly Route[];
}

/** In the order of the Gateway API's precedence. Consumers' requests that match none of their rules are answered with 404. */
export function groupRoutes<T extends GatewayRoute>(
  context: RouteContext,
  group: RouteGroup<T>,
  kind: RuleKind<T>,
): GroupRoutes {
  const problems: RouteProblem[] = [];
  const callers = group.kind === 'consumer' ? [callersOf(group.namespace)] : [];
  const only = callers.length === 0 ? {} : { filter_state: callers };
  const entries = group.routes.flatMap((route) => entriesOf(context, route, kind, only, problems));
  const routes = byPrecedence(entries).flatMap((e) => e.routes);
  const isOpen = !routes.some(({ match: { filter_state: _callers, ...rest } }) => takesAll(rest));
  const nowhere = callers.length > 0 && isOpen ? [notFound(group.routes[0]!, { prefix: '/', ...only })] : [];
  const created = group.routes.map((r) => r.metadata.creationTimestamp ?? '').sort()[0]!;
  return { routes: [...routes, ...nowhere], problems, objects: group.routes.map(routeObject), created };
}

function notFound(route: GatewayRoute, match: RouteMatch): Route {
  const name = `${namespaceOf(route)}.none`;
  return { name, match, direct_response: { status: 404 }, metadata: madeBy(route, 'spec.rules: none matches') };
}

function entriesOf<T extends GatewayRoute>(
  context: RouteContext,
  route: T,
  kind: RuleKind<T>,
  only: RouteMatch,
  problems: RouteProblem[],
): readonly Entry[] {
  const name = `${namespaceOf(route)}/${route.metadata.name}`;
  const created = route.metadata.creationTimestamp ?? '';
  return kind.rulesOf(route).flatMap((rule, i) => {
    const field = `spec.rules[${i}]`;
    const made = ruleActions(context, route, rule, field, kind.refusal, problems);
    const ruled = sessionOf(context, route, rule, field, problems);
    const marks = context.gateway === undefined ? {} : limitMarks(context.view, route, rule.name);
    return rule.matches.map(({ match, rank }, j): Entry => {
      const place = rule.matches.length === 1 ? field : `${field}.matches[${j}]`;
      const base = rule.name ?? `${namespaceOf(route)}.${route.metadata.name}.${i}`;
      const routes = made.map(({ share, build }): Route => {
        const full = { ...match, ...only, ...(share === undefined ? {} : { runtime_fraction: millionths(share) }) };
        const { action, changes, cors, session = ruled } = build(full);
        return {
          name: base,
          match: full,
          ...action,
          ...changes,
          ...perFilter({ [corsFilter]: cors, [sessionFilter]: 'route' in action ? session : undefined }),
          decorator: { operation: operationOf(context, action, full, route.metadata.name) },
          metadata: { filter_metadata: { ...madeBy(route, place).filter_metadata, ...marks } },
        };
      });
      return { rank, created, route: name, routes };
    });
  });
}

/** undefined: requests have none. */
function sessionOf(
  { dialect }: RouteContext,
  route: GatewayRoute,
  { session, backendRefs }: Rule,
  field: string,
  problems: RouteProblem[],
): Extension | undefined {
  if (session === undefined) return undefined;
  const at = `${field}.sessionPersistence`;
  const lacks = (where: string, message: string) =>
    problems.push({ kind: 'ineffective', object: routeObject(route), field: where, message });
  if (dialect !== 'envoy') {
    lacks(at, 'gRPC programs without a proxy keep no sessions');
    return undefined;
  }
  if (hasLostTime(session))
    lacks(
      `${at}.absoluteTimeout`,
      'only a session in a permanent cookie ends by time: others end where the client forgets',
    );
  if (backendRefs.filter(({ weight = 1 }) => weight > 0).length > 1)
    lacks(
      at,
      'which of several backends a request goes to is chosen anew each time: a session holds within one of them',
    );
  return sessionConfig(session, `${namespaceOf(route)}/${route.metadata.name} ${field}`);
}

/** Requests up to this part of a million, of those that come to the route. Envoy throws the dice once a request, not once a route. */
function millionths(share: number) {
  return { default_value: { numerator: Math.round(share * 1e6), denominator: 'MILLION' } } as const;
}

interface Built {
  readonly action: Action;
  readonly changes: HeaderChanges;
  readonly cors: Filters['cors'];
  /** Of the only backend. */
  readonly session?: Extension;
}

/** What a rule does; several where its backends have filters that Envoy knows of whole routes only. */
interface RuleAction {
  /** Requests from the part that those before took up to this one; undefined: the rest. */
  readonly share: number | undefined;
  readonly build: (match: RouteMatch) => Built;
}

interface Target {
  readonly weight: number;
  readonly backend: Backend;
  readonly filters: Filters | undefined;
}

function ruleActions(
  context: RouteContext,
  route: GatewayRoute,
  rule: Rule,
  field: string,
  refusal: 500 | 503,
  problems: RouteProblem[],
): readonly RuleAction[] {
  const namespace = namespaceOf(route);
  const object = routeObject(route);
  const read = (filters: readonly Filter[] | undefined, at: string): Filters | undefined => {
    const result = readFilters(context, filters, namespace);
    for (const p of result.problems) problems.push({ ...p, object, field: `${at}.${p.field}` });
    return result.problems.some((p) => p.kind === 'refused') ? undefined : result.filters;
  };
  const refuse: RuleAction = {
    share: undefined,
    build: () => ({ action: { direct_response: { status: refusal } }, changes: {}, cors: undefined }),
  };
  const filters = read(rule.filters, field);
  if (filters === undefined) return [refuse];
  const targets = rule.backendRefs.flatMap((ref, i): readonly Target[] => {
    const at = `${field}.backendRefs[${i}]`;
    const backend = findBackend(context, ref, namespace);
    if (backend.kind === 'unresolved') {
      const { reason, message } = backend;
      problems.push({ kind: 'unresolved', object, field: `${at}.${backend.field}`, reason, message });
    }
    const own = read(ref.filters, at);
    const weight = ref.weight ?? 1;
    return weight === 0 ? [] : [{ weight, backend, filters: own }];
  });
  const { redirect } = filters;
  if (redirect !== undefined) {
    const { changes, cors } = filters;
    return [{ share: undefined, build: (match) => ({ action: { redirect: redirect(match) }, changes, cors }) }];
  }
  if (!targets.some(isReachable)) return [{ ...refuse, build: () => ({ ...refuse.build({}), ...answered(filters) }) }];
  const forward = (chosen: readonly Target[]) => forwardRule(context, rule, filters, chosen, refusal);
  if (!targets.some((t) => t.filters !== undefined && isDeep(t.filters)))
    return [{ share: undefined, build: forward(targets) }];
  const total = targets.reduce((sum, t) => sum + t.weight, 0);
  let sum = 0;
  return targets.map((target, i): RuleAction => {
    sum += target.weight;
    return { share: i === targets.length - 1 ? undefined : sum / total, build: forward([target]) };
  });
}

/** Answers are changed, too. */
function answered({ changes, cors }: Filters): Pick<Built, 'changes' | 'cors'> {
  return { changes, cors };
}

function isReachable({ backend, filters }: Target): boolean {
  return filters?.redirect !== undefined || (backend.kind === 'found' && filters !== undefined);
}

/** Envoy has these for routes, not for one of several clusters. */
function isDeep({ rewrite, redirect, mirrors, cors }: Filters): boolean {
  return rewrite !== undefined || redirect !== undefined || mirrors.length > 0 || cors !== undefined;
}

function forwardRule(
  context: RouteContext,
  rule: Rule,
  filters: Filters,
  targets: readonly Target[],
  refusal: 500 | 503,
): (match: RouteMatch) => Built {
  const alone = targets.length === 1 ? targets[0]! : undefined;
  const deep = alone?.filters;
  const cors = deep?.cors ?? filters.cors;
  const request = given(rule.timeouts?.request);
  const perTry = given(rule.timeouts?.backendRequest);
  const retries = rule.retry ?? (context.view.facts.defaultRetries as Retries | undefined);
  const weighted = targets.map(({ weight, backend, filters: own }): WeightedTarget => {
    const found = backend.kind === 'found' && own !== undefined ? backend : undefined;
    return {
      cluster: found?.cluster ?? unknownCluster,
      weight,
      changes: own?.changes ?? {},
      host: own?.host,
      hash: found && context.hash(found.target),
      // What a rule says comes before what its backends say (GEP-1619).
      session: found && rule.session === undefined ? backendSession(context, found.target) : undefined,
    };
  });
  return (match) => {
    if (deep?.redirect !== undefined)
      return { action: { redirect: deep.redirect(match) }, changes: joinChanges(filters.changes, deep.changes), cors };
    const triable = retryPolicy(retries, false) !== undefined;
    const { route, changes, session } = forwardTo(context.dialect, {
      targets: weighted,
      // Where nothing is tried again, a try is the whole request.
      timeout: triable ? request : shorter(request, perTry),
      retries: (hashed) => {
        const policy = retryPolicy(retries, hashed);
        return policy === undefined || perTry === undefined ? policy : { ...policy, per_try_timeout: perTry };
      },
      rewrite: (deep?.rewrite ?? filters.rewrite)?.(match),
      host: alone?.filters?.host ?? filters.host,
      mirrors: [...filters.mirrors, ...(deep?.mirrors ?? [])],
      missing: refusal,
    });
    return { action: { route }, changes: joinChanges(filters.changes, changes), cors, ...(session && { session }) };
  };
}

/** 0s is none. */
function given(text: string | undefined): Duration | undefined {
  const duration = durationOf(text);
  return duration === undefined || isZero(duration) ? undefined : duration;
}

function shorter(a: Duration | undefined, b: Duration | undefined): Duration | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.seconds + (a.nanos ?? 0) / 1e9 <= b.seconds + (b.nanos ?? 0) / 1e9 ? a : b;
}
