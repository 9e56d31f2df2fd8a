/**
 * Route tables: an envoy.config.route.v3.RouteConfiguration, checked and indexed. What is not honoured here is refused by its name
 * and never without effect.
 */
import { type Checked, checkFields, type Fields } from '../../common/envoy/fields.ts';
import { type HeaderOps, readHeaderOps } from '../format/header-ops.ts';
import { withoutQuery } from '../request/path.ts';
import type { RequestView } from '../request/view.ts';
import type { Decorator } from '../tracing/request-span.ts';
import { Domains } from './domains.ts';
import {
  type ClusterChoice,
  type ForwardAction,
  type Inherited,
  readFilterMetadata,
  readForward,
  readMirror,
} from './forward.ts';
import { RouteIndex } from './index.ts';
import { happens, matchesRest, type PathMatch, type RouteMatch, readMatch } from './match.ts';
import { type PerFilterReader, type PerFilterTypes, perFilterReader } from './per-filter.ts';
import { type RateLimit, type RouteLimits, readRateLimit } from './rate-limits.ts';
import { type Redirect, readRedirect } from './redirect.ts';
import { readRetry } from './retry.ts';
import type { Decided, PerFilter, RouteDecision } from './types.ts';

/** Chance, injected. */
export interface Dice {
  /** From 0 to below 1. */
  random(): number;
}

/** `config`: as decodeEnvoy makes it. `filters`: readers of the filters' configuration for routes. */
export function compileRoutes(config: object, filters: PerFilterTypes): Checked<RouteTable> {
  return checkFields(config, 'RouteConfiguration', (f) => new RouteTable(f, perFilterReader(filters)));
}

interface Level {
  readonly requestOps: HeaderOps | undefined;
  readonly responseOps: HeaderOps | undefined;
  readonly perFilter: ReadonlyMap<string, PerFilter>;
}

interface VirtualHost extends Level {
  readonly name: string;
  readonly limits: readonly RateLimit[];
  readonly routes: readonly Route[];
  readonly index: RouteIndex<Route>;
}

interface Route extends Level {
  readonly name: string;
  readonly match: RouteMatch;
  readonly action: Action;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
  readonly decorator: Decorator | undefined;
}

type Action =
  | { readonly kind: 'forward'; readonly forward: ForwardAction }
  | { readonly kind: 'redirect'; readonly redirect: Redirect }
  | { readonly kind: 'direct'; readonly status: number; readonly body: string }
  | { readonly kind: 'non-forwarding' };

export class RouteTable {
  readonly name: string;
  readonly #domains = new Domains<VirtualHost>();
  readonly #level: Level;
  /** By route, or entry of its clusters: to make it anew for each request took as long as the match among 10,000 exact paths. */
  readonly #decided = new WeakMap<object, Decided>();
  readonly #mostSpecificWins: boolean;
  readonly #ignoresPort: boolean;
  readonly #ignoresPathParameters: boolean;

  constructor(fields: Fields, perFilter: PerFilterReader) {
    this.name = fields.text('name');
    this.#level = readLevel(fields, perFilter);
    this.#mostSpecificWins = fields.flag('most_specific_header_mutations_wins');
    this.#ignoresPort = fields.flag('ignore_port_in_host_matching');
    this.#ignoresPathParameters = fields.flag('ignore_path_parameters_in_path_matching');
    // Clusters come and go apart from routes: a request to one that is away is answered, as with Envoy's RDS.
    fields.harmless('validate_clusters');
    // Said of the resource, and read by nothing.
    fields.harmless('metadata');
    const bodyLimit = fields.wrapped('max_direct_response_body_size_bytes') ?? 4_096;
    const mirrors = fields.readAll('request_mirror_policies', readMirror);
    const names = new Set<string>();
    fields.readAll('virtual_hosts', (f) => {
      const host = readVirtualHost(f, perFilter, mirrors, bodyLimit);
      if (names.has(host.name)) throw f.refusal('name', `${host.name} is there twice`);
      names.add(host.name);
      const domains = f.texts('domains');
      if (domains.length === 0) throw f.refusal('domains', 'is empty');
      for (const domain of domains) this.#domains.add(domain, host, (why) => f.refusal('domains', why));
    });
  }

  decide(view: RequestView, dice: Dice): RouteDecision {
    const host = this.#domains.find(view.authority, this.#ignoresPort);
    if (!host) return { kind: 'none', virtualHost: undefined };
    const path = this.#pathToMatch(view.path);
    const at = host.index.find(path, view.method === 'CONNECT', ({ match }) => accepts(match, path, view, dice));
    const route = host.routes[at];
    if (!route) return { kind: 'none', virtualHost: host.name };
    return this.#act(host, route, at, view, dice);
  }

  #pathToMatch(path: string): string {
    if (path === '') return '';
    const plain = withoutQuery(path);
    const parameters = this.#ignoresPathParameters ? plain.indexOf(';') : -1;
    return parameters < 0 ? plain : plain.slice(0, parameters);
  }

  #act(host: VirtualHost, route: Route, routeIndex: number, view: RequestView, dice: Dice): RouteDecision {
    const { action } = route;
    const decided = (choice?: ClusterChoice): Decided => {
      const key = choice?.entry ?? route;
      let known = this.#decided.get(key);
      if (!known) {
        known = this.#decidedBy(host, route, routeIndex, choice);
        this.#decided.set(key, known);
      }
      return known;
    };
    switch (action.kind) {
      case 'forward': {
        const choice = action.forward.choose(view, () => dice.random());
        const { cluster, hostRewrite, entryHost, requestOps: entryOps, metadataMatch } = choice;
        return {
          kind: 'forward',
          ...decided(choice),
          cluster,
          hostRewrite,
          entryHost,
          entryOps,
          metadataMatch,
          route: action.forward.route,
        };
      }
      case 'redirect': {
        const { status } = action.redirect;
        const [location, rewritten] = [action.redirect.location(view), action.redirect.rewritten(view)];
        return { kind: 'redirect', ...decided(), status, location, rewritten };
      }
      case 'direct':
        return { kind: 'direct', ...decided(), status: action.status, body: action.body };
      case 'non-forwarding':
        return { kind: 'non-forwarding', ...decided() };
    }
  }

  #decidedBy(host: VirtualHost, route: Route, routeIndex: number, choice: Level | undefined): Decided {
    const outer = [route, host, this.#level];
    const levels = choice ? [choice, ...outer] : outer;
    const ofFilters = new Map<string, readonly PerFilter[]>();
    return {
      virtualHost: host.name,
      routeName: route.name,
      routeIndex,
      requestOps: this.#inOrder(
        undefined,
        outer.map((level) => level.requestOps),
      ),
      responseOps: this.#inOrder(
        choice?.responseOps,
        outer.map((level) => level.responseOps),
      ),
      perFilter: (name) => {
        let found = ofFilters.get(name);
        if (!found) {
          found = levels.flatMap((level) => level.perFilter.get(name) ?? []);
          ofFilters.set(name, found);
        }
        return found;
      },
      metadata: route.metadata,
      limits: limitsOf(route, host),
      decorator: route.decorator,
    };
  }

  /** Whoever is applied last wins; what an entry of weighted_clusters says is applied first in any case, as in Envoy. */
  #inOrder(entry: HeaderOps | undefined, outer: readonly (HeaderOps | undefined)[]): readonly HeaderOps[] {
    const inOrder = this.#mostSpecificWins ? outer.toReversed() : outer;
    return [entry, ...inOrder].filter((ops) => ops !== undefined);
  }
}

function limitsOf({ action }: Route, { limits: ofHost }: VirtualHost): RouteLimits | undefined {
  // Envoy limits only what is forwarded.
  if (action.kind !== 'forward') return undefined;
  const { limits: ofRoute, includesHostLimits: includesHost } = action.forward;
  return ofRoute.length === 0 && ofHost.length === 0 ? undefined : { ofRoute, ofHost, includesHost };
}

/** What `RouteIndex` leaves open; `path` without query. */
export function accepts(match: RouteMatch, path: string, view: RequestView, dice: Dice): boolean {
  if (!acceptsPath(match.path, path, view) || !matchesRest(match, view)) return false;
  return match.perMillion === undefined || happens(match.perMillion, dice.random());
}

/** What the index leaves open. */
function acceptsPath(match: PathMatch, path: string, view: RequestView): boolean {
  switch (match.kind) {
    case 'exact':
    case 'prefix':
    case 'connect':
      return true;
    case 'segments':
      return path.length === match.prefix.length || path[match.prefix.length] === '/';
    case 'regex':
      return match.regex.matches(path);
    case 'template':
      // Templates are always about the whole path, parameters too.
      return match.template.matches(withoutQuery(view.path));
  }
}

function readLevel(fields: Fields, perFilter: PerFilterReader): Level {
  return {
    requestOps: readHeaderOps(fields, 'request_headers_to_add', 'request_headers_to_remove'),
    responseOps: readHeaderOps(fields, 'response_headers_to_add', 'response_headers_to_remove'),
    perFilter: perFilter(fields),
  };
}

function readVirtualHost(
  fields: Fields,
  perFilter: PerFilterReader,
  outerMirrors: Inherited['mirrors'],
  bodyLimit: number,
): VirtualHost {
  fields.choice('require_tls', 'NONE', { NONE: true });
  fields.harmless('metadata');
  const mirrors = fields.readAll('request_mirror_policies', readMirror);
  const inherited: Inherited = {
    retry: fields.read('retry_policy', readRetry),
    mirrors: mirrors.length > 0 ? mirrors : outerMirrors,
    attemptCount: {
      request: fields.flag('include_request_attempt_count'),
      response: fields.flag('include_attempt_count_in_response'),
    },
    bufferLimit: fields.wrapped('per_request_buffer_limit_bytes'),
  };
  const name = fields.text('name');
  if (name === '') throw fields.refusal('name', 'is empty');
  const routes = fields.readAll('routes', (f) => readRoute(f, inherited, perFilter, bodyLimit));
  const limits = fields.readAll('rate_limits', readRateLimit);
  return { name, limits, routes, index: new RouteIndex(routes), ...readLevel(fields, perFilter) };
}

function readRoute(fields: Fields, inherited: Inherited, perFilter: PerFilterReader, bodyLimit: number): Route {
  fields.harmless('stat_prefix');
  const match = fields.required('match', readMatch);
  const extras = { bufferLimit: fields.wrapped('per_request_buffer_limit_bytes') };
  return {
    name: fields.text('name'),
    match,
    action: readAction(fields, match.path, (f) => readForward(f, match.path, inherited, extras, perFilter), bodyLimit),
    metadata: fields.read('metadata', readFilterMetadata),
    decorator: fields.read('decorator', (f) => ({
      operation: f.text('operation'),
      propagates: f.wrappedFlag('propagate') ?? true,
    })),
    ...readLevel(fields, perFilter),
  };
}

function readAction(
  fields: Fields,
  match: PathMatch,
  forward: (fields: Fields) => ForwardAction,
  bodyLimit: number,
): Action {
  const which = fields.which('route', 'redirect', 'direct_response', 'non_forwarding_action', 'filter_action');
  switch (which) {
    case 'route':
      return { kind: 'forward', forward: fields.required(which, forward) };
    case 'redirect':
      return { kind: 'redirect', redirect: fields.required(which, (f) => readRedirect(f, match)) };
    case 'direct_response':
      return fields.required(which, (f) => readDirect(f, bodyLimit));
    case 'non_forwarding_action':
      fields.read(which, () => undefined);
      return { kind: 'non-forwarding' };
    case 'filter_action':
      throw fields.unsupported(which);
    case undefined:
      throw fields.refusal('action', 'is missing');
  }
}

function readDirect(fields: Fields, bodyLimit: number): Action {
  const status = fields.number('status');
  if (status < 200 || status > 599) throw fields.refusal('status', `${status} is not from 200 to 599`);
  const body = fields.read('body', (f) =>
    f.has('inline_bytes') ? f.bytes('inline_bytes').toString('latin1') : f.text('inline_string'),
  );
  if (body !== undefined && Buffer.byteLength(body) > bodyLimit) {
    throw fields.refusal('body', `is longer than ${bodyLimit} bytes (max_direct_response_body_size_bytes)`);
  }
  return { kind: 'direct', status, body: body ?? '' };
}
