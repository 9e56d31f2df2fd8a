/**
 * What a waypoint does with a request: istiod's code makes its configuration of the objects, and the waypoint's own code canonises the
 * request, matches its routes and runs its filters. Pure.
 */

import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { decodeEnvoy, encodeEnvoy, type TypedObject } from '../../common/envoy/codec.ts';
import { checkFields } from '../../common/envoy/fields.ts';
import type { AtWaypoint, WaypointVerdict } from '../../common/why/decide.ts';
import { silentStream } from '../../waypoint/filters/caller.ts';
import type { FilterEnvironment } from '../../waypoint/filters/filter.ts';
import { filterKinds, perFilterTypes } from '../../waypoint/filters/kinds.ts';
import { judge, listed, readRules } from '../../waypoint/filters/rbac/rules.ts';
import { noScripts } from '../../waypoint/filters/script/host.ts';
import { type CanonicalOptions, canonise } from '../../waypoint/request/canonical.ts';
import { Headers } from '../../waypoint/request/headers.ts';
import type { RequestView } from '../../waypoint/request/view.ts';
import { descriptorsOf } from '../../waypoint/route/rate-limits.ts';
import { compileRoutes } from '../../waypoint/route/table.ts';
import type { RouteDecision } from '../../waypoint/route/types.ts';
import { rulesFor } from '../envoy/clusters/rules.ts';
import type { MeshView } from '../envoy/inputs.ts';
import { inboundCluster } from '../envoy/names.ts';
import type { WaypointProxy } from '../envoy/proxy.ts';
import { peerPrincipal } from '../envoy/routes/matchers.ts';
import { waypointFront, waypointRoutes } from '../envoy/waypoint/service.ts';
import type { EnvoyMesh } from '../model/envoy/mesh-view.ts';
import type { ObjectRef } from '../model/resource.ts';

export interface RequestQuestion {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly host: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface Judgement {
  /** undefined: the port is not read as HTTP, so nothing of the request counts. */
  readonly verdict: WaypointVerdict | undefined;
  /** All that the waypoint's configuration was made of: the verdict names no other. */
  readonly objects: readonly ObjectRef[];
}

const rbac = 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC';
const counted = 'type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit';
const router = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';
/** Of several clusters with weights the first, and no fault that happens by chance. */
const firstOfAll = { random: () => 0 };
const noChance = { random: () => 0.999_999_9 };
/** Nothing is asked for a prediction. */
const nobody: FilterEnvironment = {
  caller: { http: () => () => undefined, grpc: () => () => undefined, stream: () => silentStream },
  clock: systemClock,
  log: silentLogger,
  counter: () => ({ value: 0 }),
  scripts: noScripts,
};

export function askWaypoint(mesh: EnvoyMesh, at: AtWaypoint, question: RequestQuestion): Judgement {
  const { made, objects } = configurationOf(mesh, at);
  return { verdict: made && judgeRequest(made, at, question), objects };
}

function judgeRequest(
  { manager, routes, served }: Configuration,
  at: AtWaypoint,
  question: RequestQuestion,
): WaypointVerdict {
  const canonical = canonise(
    {
      method: question.method,
      scheme: 'http',
      authority: question.host,
      path: question.path,
      headers: Headers.of(question.headers.map(([name, value]) => [name.toLowerCase(), value] as const)),
      protocol: 'http1',
      connection: {
        remote: { address: at.source, port: 0 },
        source: { address: at.source, port: 0 },
        directRemote: { address: at.source, port: 0 },
        local: { address: at.destination, port: at.port },
        principal: at.principal,
        tls: false,
        filterState: new Map([[peerPrincipal, at.principal]]),
      },
    },
    optionsOf(manager),
  );
  const answered = (by: string, lines: readonly string[], allowed = false): WaypointVerdict => ({
    allowed,
    by: `the waypoint: ${by}`,
    lines,
    to: undefined,
  });
  if (canonical.kind === 'refused')
    return answered(`the request is not one (${canonical.reason})`, [`answered with ${canonical.status}`]);
  if (canonical.kind === 'redirect') return answered('its path has encoded slashes', [`sent to ${canonical.location}`]);
  const { view } = canonical;
  const now = Date.now();
  const table = compileRoutes(routes, perFilterTypes);
  if (table.kind === 'rejected') return answered(`its routes cannot be read: ${table.reason}`, []);
  let decision = table.value.decide(view, firstOfAll);
  const asked = `${view.method} ${view.path} of host ${view.authority}, from ${at.principal}`;
  const lines = [asked, describeRoute(decision)];
  for (const filter of filtersOf(manager)) {
    const clearRoute = () => {
      decision = table.value.decide(view, firstOfAll);
    };
    const before = decision;
    const verdict = runFilter(filter, view, decision, now, clearRoute);
    lines.push(...verdict.lines);
    if (describeRoute(decision) !== describeRoute(before)) lines.push(`by its token: ${describeRoute(decision)}`);
    if (verdict.refusal !== undefined) return answered(verdict.refusal, lines);
  }
  return conclude(decision, served, answered, lines);
}

function conclude(
  decision: RouteDecision,
  served: ReadonlySet<string>,
  answered: (by: string, lines: readonly string[], allowed?: boolean) => WaypointVerdict,
  lines: readonly string[],
): WaypointVerdict {
  switch (decision.kind) {
    case 'none':
      return answered('no route matches', [...lines, 'answered with 404']);
    case 'non-forwarding':
      return answered(`route ${decision.routeName} leads nowhere`, [...lines, 'answered with 404']);
    case 'redirect':
      return answered(
        `route ${decision.routeName}`,
        [...lines, `redirected to ${decision.location} with ${decision.status}`],
        true,
      );
    case 'direct': {
      const { status, routeName } = decision;
      return answered(`route ${routeName}`, [...lines, `answered with ${status}`], status < 400);
    }
    case 'forward': {
      const [, port, , hostname] = decision.cluster.split('|');
      if (hostname === undefined || !served.has(decision.cluster)) {
        const status = decision.route.clusterNotFoundStatus;
        const lost = [...lines, `the backend is not there: answered with ${status}`];
        return answered(`route ${decision.routeName}`, lost);
      }
      return {
        allowed: true,
        by: `the waypoint: route ${decision.routeName}`,
        lines: [...lines, `sent to ${decision.cluster}`],
        to: { hostname, port: Number(port) },
      };
    }
  }
}

interface Configuration {
  readonly manager: TypedObject;
  readonly routes: TypedObject;
  /** Names of clusters that are there. */
  readonly served: ReadonlySet<string>;
}

/** What of the waypoint's configuration is for that port of the service. */
function configurationOf(
  mesh: EnvoyMesh,
  { service: key, port }: AtWaypoint,
): { readonly made: Configuration | undefined; readonly objects: readonly ObjectRef[] } {
  const { outcome, objects } = mesh.trace((view) => {
    const service = view.service(key);
    if (service?.waypoint === undefined) return undefined;
    const proxy = proxyOf(service.waypoint);
    const { chains } = waypointFront(view, proxy, service);
    const { routes } = waypointRoutes(view, proxy, service);
    return { service, chains, routes, served: clustersIn(routes).filter((name) => isServed(view, proxy, name)) };
  });
  if (outcome.kind === 'failed') throw outcome.error;
  if (outcome.value === undefined) return { made: undefined, objects };
  const { service, ...made } = outcome.value;
  const name = inboundCluster(service.hostname, port, 'http');
  const chain = made.chains.find((c) => c.name === name);
  const routes = made.routes.find((r) => r.name === name);
  if (chain === undefined || routes === undefined) return { made: undefined, objects };
  const [filter] = (chain['filters'] as readonly Frozen[]).slice(-1);
  const { type_url: type, value } = filter!.typed_config;
  const served = new Set(made.served);
  return {
    made: { manager: decoded(type, value), routes: decoded(routes['@type'], encodeEnvoy(routes)), served },
    objects,
  };
}

/** Names of clusters that routes lead to. */
function clustersIn(routes: unknown): readonly string[] {
  const names = JSON.stringify(routes).matchAll(/"((?:inbound-vip|outbound)\|[^"\\]*)"/g);
  return [...new Set([...names].map(([, name]) => name!))];
}

/** istiod makes such a cluster: its service, port and subset are there. */
function isServed(view: MeshView, proxy: WaypointProxy, name: string): boolean {
  const [, port, kind = '', hostname = ''] = name.split('|');
  const subset = name.startsWith('outbound|') ? kind : (kind.split('/')[1] ?? '');
  return view.named(hostname).some((service) => {
    const { subsets } = rulesFor(view, service, proxy.namespace, undefined);
    const hasPort = service.ports.some((p) => p.number === Number(port));
    return hasPort && (subset === '' || subsets.some((s) => s.name === subset));
  });
}

/** Where it runs changes nothing about what it decides. */
function proxyOf(gateway: string): WaypointProxy {
  return {
    kind: 'waypoint',
    account: undefined,
    gateway,
    namespace: gateway.slice(0, gateway.indexOf('/')),
    locality: { region: '', zone: '', subzone: '' },
    node: '',
    network: '',
    families: 'both',
    engine: 'aquifer',
  };
}

interface Frozen {
  readonly typed_config: { readonly type_url: string; readonly value: Uint8Array };
}

function decoded(type: string, bytes: Uint8Array): TypedObject {
  const result = decodeEnvoy(type, bytes);
  if (result.kind === 'rejected') throw new Error(result.reason);
  return result.value;
}

function optionsOf(manager: TypedObject): CanonicalOptions {
  const flag = (name: string) => (manager[name] as { readonly value?: boolean } | undefined)?.value === true;
  return {
    normalizePath: flag('normalize_path'),
    mergeSlashes: manager['merge_slashes'] === true,
    escapedSlashes: manager['path_with_escaped_slashes_action'] === 'UNESCAPE_AND_FORWARD' ? 'forward' : 'keep',
    stripPort: 'no',
    stripTrailingDot: manager['strip_trailing_host_dot'] === true,
  };
}

interface HttpFilterConfig {
  readonly name: string;
  readonly typed_config: TypedObject;
}

function filtersOf(manager: TypedObject): readonly HttpFilterConfig[] {
  return (manager['http_filters'] as readonly HttpFilterConfig[]).filter((f) => f.typed_config['@type'] !== router);
}

interface FilterOutcome {
  readonly lines: readonly string[];
  /** Whoever refuses it; undefined: it goes on. */
  readonly refusal?: string;
}

function runFilter(
  { name, typed_config: config }: HttpFilterConfig,
  view: RequestView,
  decision: RouteDecision,
  now: number,
  clearRoute: () => void,
): FilterOutcome {
  const kind = filterKinds.get(config['@type']);
  if (kind === undefined) return { lines: [`${name} is not known here: left out`] };
  const filter = checkFields(config, name, (f) => kind.read(f, nobody));
  if (filter.kind === 'rejected') return { lines: [], refusal: `${name} cannot be read: ${filter.reason}` };
  const verdict = filter.value.onRequest(view, {
    cluster: decision.kind === 'forward' ? decision.cluster : undefined,
    perRoute: decision.kind === 'none' ? [] : decision.perFilter(name),
    limits: decision.kind === 'none' ? undefined : decision.limits,
    format: { request: view, facts: { startTime: 0 } },
    bodyless: true,
    dice: noChance,
    setMetadata: (namespace, values) => {
      view.metadata = new Map([...view.metadata, [namespace, { ...view.metadata.get(namespace), ...values }]]);
    },
    now: () => now,
    clearRoute,
    setFilterState: () => undefined,
    preferHost: () => undefined,
    remember: () => undefined,
    recall: () => undefined,
    count: () => undefined,
    countOfCluster: () => undefined,
    chargeCluster: () => undefined,
  });
  const told = config['@type'] === rbac ? policiesOf(config, view) : [];
  if (config['@type'] === counted) return { lines: countersAsked(config, view, decision) };
  if (verdict.kind === 'ask' || verdict.kind === 'body') {
    const whom = askedBy(view) ?? `${name} asks a service about it`;
    return { lines: [...told, `${whom}, whose answer is not foreseen`] };
  }
  if (verdict.kind !== 'reply') return { lines: told };
  const by = told.at(-1) ?? `${name} (${verdict.details})`;
  return { lines: [...told, `answered with ${verdict.status}`], refusal: by };
}

/** The policy of action CUSTOM that has a service asked, by what its rules noted. */
function askedBy(view: RequestView): string | undefined {
  const noted = view.metadata.get('envoy.filters.http.rbac')?.['istio_ext_authz_shadow_effective_policy_id'];
  const [, provider, policy] = /^istio-ext-authz-(.+?)-(ns\[.+)$/.exec(String(noted)) ?? [];
  return policy && `CUSTOM policy ${policy} matches: asks provider ${provider}`;
}

/** The limits that a service counts the request by. */
function countersAsked(config: TypedObject, view: RequestView, decision: RouteDecision): readonly string[] {
  if (decision.kind === 'none' || !decision.limits) return [];
  const { ofRoute, ofHost, includesHost } = decision.limits;
  const request = {
    view,
    cluster: decision.kind === 'forward' ? decision.cluster : undefined,
    routeMetadata: decision.metadata,
  };
  const limits = includesHost || ofRoute.length === 0 ? [...ofRoute, ...ofHost] : ofRoute;
  return descriptorsOf(limits, Number(config['stage'] ?? 0), request).map((entries) => {
    const of = (key: string) => entries.find((e) => e.key === key)?.value ?? '';
    const keys = entries.filter(({ key }) => !['limit', 'quota', 'match', 'route'].includes(key));
    const by = keys.length === 0 ? '' : ` for ${keys.map(({ key, value }) => `${key}=${value}`).join(', ')}`;
    return `limit ${of('limit')} counts it (${of('quota')}${by}): asks a service, whose answer is not foreseen`;
  });
}

/** What its rules say, in their words; and those in dry run. */
function policiesOf(config: TypedObject, view: RequestView): readonly string[] {
  return [...trialOf(config, view), ...verdictOf(config, view)];
}

function trialOf(config: TypedObject, view: RequestView): readonly string[] {
  const [, action] = /^istio_dry_run_(allow|deny)_$/.exec(String(config['shadow_rules_stat_prefix'])) ?? [];
  if (action === undefined) return [];
  const rules = checkFields({ rules: config['shadow_rules'] }, 'RBAC', (f) => f.read('rules', readRules));
  if (rules.kind === 'rejected' || rules.value === undefined) return [];
  const { allowed, policy } = judge(rules.value, view);
  const word = action.toUpperCase();
  const which = policy === undefined ? `no ${word} policy matches` : `${word} policy ${policy} matches`;
  return [`dry run: ${which}, so it would be ${allowed ? 'let through' : 'refused'}`];
}

function verdictOf(config: TypedObject, view: RequestView): readonly string[] {
  const rules = checkFields({ rules: config['rules'] }, 'RBAC', (f) => f.read('rules', readRules));
  if (rules.kind === 'rejected' || rules.value === undefined) return [];
  const { action } = rules.value;
  const { allowed, policy } = judge(rules.value, view);
  const word = action === 'deny' ? 'DENY' : action === 'allow' ? 'ALLOW' : 'AUDIT';
  if (policy !== undefined) return [`${word} policy ${policy} matches`];
  return [
    allowed
      ? `no ${word} policy matches`
      : `no ${word} policy matches, and one has to (${listed(rules.value.policies) || 'there is none'})`,
  ];
}

function describeRoute(decision: RouteDecision): string {
  if (decision.kind === 'none') return 'no route matches';
  const { istio, aquifer } = (decision.metadata ?? {}) as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  const path = istio?.['config'];
  if (path === undefined) return 'no object says where requests go: to the service';
  const generation = aquifer?.['generation'];
  const version = generation === undefined ? '' : `, generation ${String(generation)}`;
  return `route ${decision.routeName} of ${String(path)}, ${String(aquifer?.['rule'])}${version}`;
}
