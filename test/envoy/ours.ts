/** The same site in our tables and filters: what the waypoint decides, without its sockets. */

import type { JsonValue } from '../../common/api/index.ts';
import { decodeEnvoy, encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import { checkFields } from '../../common/envoy/fields.ts';
import { messageFromJson } from '../../common/envoy/json.ts';
import type { FilterContext, HttpFilter, LocalReply, Verdict } from '../../waypoint/filters/filter.ts';
import { filterKinds, perFilterTypes } from '../../waypoint/filters/kinds.ts';
import { replyMessage } from '../../waypoint/filters/local-reply.ts';
import type { FormatContext } from '../../waypoint/format/format.ts';
import { type CanonicalOptions, canonise, type RawRequest } from '../../waypoint/request/canonical.ts';
import { Headers } from '../../waypoint/request/headers.ts';
import type { ConnectionView, Metadata, RequestView, ResponseView } from '../../waypoint/request/view.ts';
import { applyToRequest, applyToResponse, rewriteTo } from '../../waypoint/route/apply.ts';
import { compileRoutes, type RouteTable } from '../../waypoint/route/table.ts';
import type { RouteDecision } from '../../waypoint/route/types.ts';
import { filterEnvironment } from '../../waypoint/testing/filter-environment.ts';
import { clusters, type Observed, type Request, upstreamHeaders } from './world.ts';

/** A filter of the chain: its name and its configuration in JSON. */
export interface OurFilter {
  readonly name: string;
  readonly config: { readonly '@type': string } & object;
}

export interface OurSite {
  readonly routes: object;
  readonly options?: Partial<CanonicalOptions>;
  readonly filters?: readonly OurFilter[];
  /** Dynamic metadata that is there before the first filter. */
  readonly metadata?: Metadata;
  readonly port: number;
}

type Chain = readonly { readonly filter: HttpFilter; readonly context: FilterContext }[];

const plainOptions: CanonicalOptions = {
  normalizePath: false,
  mergeSlashes: false,
  escapedSlashes: 'keep',
  stripPort: 'no',
  stripTrailingDot: false,
};

export class Ours {
  readonly #routes: object;
  readonly #table: RouteTable;
  readonly #options: CanonicalOptions;
  readonly #filters: readonly { readonly name: string; readonly filter: HttpFilter }[];
  readonly #metadata: Metadata;
  readonly #port: number;

  constructor({ routes, options, filters = [], metadata = new Map(), port }: OurSite) {
    this.#routes = routes;
    this.#table = compiled(routes);
    this.#options = { ...plainOptions, ...options };
    this.#filters = filters.map(({ name, config }) => ({ name, filter: compiledFilter(config) }));
    this.#metadata = metadata;
    this.#port = port;
  }

  /** What decided, for a report of a difference. */
  why(request: Request): string {
    const made = canonise(this.#raw(request), this.#options, new Map(this.#metadata));
    if (made.kind !== 'ok') return made.kind;
    const { kind, ...decision } = this.#table.decide(made.view, { random: () => 0.5 });
    if (kind === 'none') return `no route in ${decision.virtualHost}`;
    const { virtualHost, routeIndex } = decision as Extract<RouteDecision, { routeIndex: number }>;
    const host = (this.#routes as { virtual_hosts: { name: string; routes: object[] }[] }).virtual_hosts.find(
      (h) => h.name === virtualHost,
    );
    return `${kind} by route ${routeIndex} of ${virtualHost}: ${JSON.stringify(host?.routes[routeIndex])}`;
  }

  ask(request: Request): Observed {
    const made = canonise(this.#raw(request), this.#options, new Map(this.#metadata));
    if (made.kind === 'refused') {
      return local(made.status, made.body === '' ? {} : { 'content-type': 'text/plain' }, made.body);
    }
    if (made.kind === 'redirect') return local(made.status, { location: made.location }, '');
    const { view } = made;
    const decision = this.#table.decide(view, { random: () => 0.5 });
    return this.#run(view, decision);
  }

  #raw(request: Request): RawRequest {
    const { method, authority, path } = request;
    const headers = Headers.of([...request.headers, ['x-forwarded-proto', 'http']]);
    return {
      method,
      scheme: 'http',
      authority,
      path,
      headers,
      protocol: 'http1',
      connection: this.#connection(request),
    };
  }

  #connection({ headers }: Request): ConnectionView {
    const forwarded = headers.filter(([name]) => name.toLowerCase() === 'x-forwarded-for').map(([, value]) => value);
    const last = forwarded.join(',').split(',').at(-1)?.trim();
    const peer = { address: '127.0.0.1', port: 1 };
    return {
      remote: last ? { address: last, port: 0 } : peer,
      source: peer,
      directRemote: peer,
      local: { address: '127.0.0.1', port: this.#port },
      tls: false,
      filterState: new Map(),
    };
  }

  #run(view: RequestView, first: RouteDecision): Observed {
    let decision = first;
    const clear = () => {
      decision = this.#table.decide(view, { random: () => 0.5 });
    };
    const format: FormatContext = { request: view, facts: { startTime: Date.now() } };
    const chain = this.#filters
      .map(({ name, filter }) => ({ filter, context: contextOf(name, view, decision, format, clear) }))
      .filter(({ context }) => context.perRoute[0]?.kind !== 'disabled');
    for (const { filter, context } of chain) {
      const verdict = settled(filter.onRequest(view, context));
      if (verdict.kind === 'reply') return this.#reply(view, decision, verdict, chain, format, 'filter');
    }
    if (decision.kind === 'forward') return this.#forward(view, decision, chain, format);
    if (decision.kind === 'redirect') rewriteTo(decision.rewritten, view, true);
    return this.#reply(view, decision, ownReply(decision), chain, format, 'router');
  }

  /** Answers pass all filters on their way back, also those that the request did not reach. */
  #reply(
    view: RequestView,
    decision: RouteDecision,
    reply: LocalReply,
    chain: Chain,
    format: FormatContext,
    by: 'filter' | 'router',
  ): Observed {
    const message = replyMessage(view, reply);
    const response: ResponseView = { status: message.status, headers: message.headers };
    if (by === 'router' && decision.kind !== 'none') applyToResponse(decision, response, { ...format, response });
    for (const { filter, context } of chain.toReversed()) filter.onResponse?.(view, response, context);
    response.headers.remove('content-length');
    return local(message.status, asRecord(response.headers), message.body);
  }

  #forward(
    view: RequestView,
    decision: RouteDecision & { kind: 'forward' },
    chain: Chain,
    format: FormatContext,
  ): Observed {
    if (!clusters.some((c) => c === decision.cluster)) {
      const status = decision.route.clusterNotFoundStatus;
      return this.#reply(
        view,
        decision,
        { kind: 'reply', status, headers: [], body: '', details: '' },
        chain,
        format,
        'router',
      );
    }
    applyToRequest(decision, view, format, { tellsOriginal: true, upstreamName: '' });
    const response: ResponseView = { status: 200, headers: Headers.of(Object.entries(upstreamHeaders)) };
    applyToResponse(decision, response, { ...format, response });
    for (const { filter, context } of chain.toReversed()) filter.onResponse?.(view, response, context);
    const received = {
      method: view.method,
      authority: view.authority,
      path: view.path,
      headers: asRecord(view.headers),
    };
    return { status: 200, cluster: decision.cluster, received, headers: asRecord(response.headers), body: undefined };
  }
}

/** What our parser gets is what came over the wire. */
function compiled(routes: object): RouteTable {
  const type = typeUrl('envoy.config.route.v3.RouteConfiguration');
  const decoded = decodeEnvoy(type, encodeEnvoy({ '@type': type, ...routes }));
  if (decoded.kind !== 'ok') throw new Error(decoded.reason);
  const made = compileRoutes(decoded.value, perFilterTypes);
  if (made.kind !== 'ok') throw new Error(`we refuse a route table: ${made.reason}`);
  return made.value;
}

function compiledFilter(config: OurFilter['config']): HttpFilter {
  const message = messageFromJson(config['@type'], config as unknown as JsonValue);
  const decoded = decodeEnvoy(config['@type'], encodeEnvoy(message));
  if (decoded.kind !== 'ok') throw new Error(decoded.reason);
  const kind = filterKinds.get(config['@type']);
  if (!kind) throw new Error(`${config['@type']} is none of ours`);
  const made = checkFields(decoded.value, 'filter', (fields) => kind.read(fields, filterEnvironment()));
  if (made.kind !== 'ok') throw new Error(made.reason);
  return made.value;
}

function contextOf(
  name: string,
  view: RequestView,
  decision: RouteDecision,
  format: FormatContext,
  clearRoute: () => void,
): FilterContext {
  const kept: { value?: unknown } = {};
  return {
    cluster: decision.kind === 'forward' ? decision.cluster : undefined,
    perRoute: decision.kind === 'none' ? [] : decision.perFilter(name),
    limits: decision.kind === 'none' ? undefined : decision.limits,
    format,
    bodyless: true,
    dice: { random: () => 0.5 },
    setMetadata: (namespace, values) => {
      const all = view.metadata as Map<string, Readonly<Record<string, unknown>>>;
      all.set(namespace, { ...all.get(namespace), ...values });
    },
    setFilterState: ({ key, value }) => {
      (view.connection.filterState as Map<string, string>).set(key, value);
    },
    remember: (value) => {
      kept.value = value;
    },
    recall: () => kept.value,
    count: () => undefined,
    countOfCluster: () => undefined,
    chargeCluster: () => undefined,
    now: () => Date.now(),

    clearRoute,
    preferHost: () => undefined,
  };
}

function settled(verdict: Verdict): Exclude<Verdict, { kind: 'wait' | 'ask' | 'body' }> {
  if (verdict.kind === 'ask' || verdict.kind === 'body')
    throw new Error('a filter that asks others needs a whole proxy');
  return verdict.kind === 'wait' ? settled(verdict.then()) : verdict;
}

function ownReply(decision: Exclude<RouteDecision, { kind: 'forward' }>): LocalReply {
  const of = (status: number, body = '', headers: LocalReply['headers'] = []): LocalReply => {
    return { kind: 'reply', status, headers, body, details: '' };
  };
  switch (decision.kind) {
    case 'direct':
      return of(decision.status, decision.body);
    case 'redirect':
      return of(decision.status, '', [['location', decision.location]]);
    case 'none':
      return of(404);
    case 'non-forwarding':
      return of(503);
  }
}

function local(status: number, headers: Readonly<Record<string, string>>, body: string): Observed {
  return { status, cluster: undefined, received: undefined, headers, body };
}

function asRecord(headers: Headers): Readonly<Record<string, string>> {
  return Object.fromEntries([...headers].map(([name]) => [name, headers.get(name) ?? '']));
}
