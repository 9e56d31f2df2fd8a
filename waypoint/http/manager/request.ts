/** One request from its head to its account: made canonical, filtered, decided, forwarded or answered, told once. */
import { millis } from '../../../common/core/brand.ts';
import type { Clock, Timer } from '../../../common/core/clock.ts';
import { assertNever } from '../../../common/core/errors.ts';
import type { PreferredHost } from '../../cluster/types.ts';
import type { Ask, FilterContext, FilterState, Verdict } from '../../filters/filter.ts';
import { replyMessage } from '../../filters/local-reply.ts';
import type { Participant, RequestStage, ResponseStage, Streamed } from '../../filters/stream.ts';
import type { StreamTimes } from '../../format/durations.ts';
import type { FormatContext, StreamFacts } from '../../format/format.ts';
import { type ConnectionFacts, viewOf } from '../../listener/facts.ts';
import { canonise } from '../../request/canonical.ts';
import { isGrpcRequest } from '../../request/grpc.ts';
import { Headers } from '../../request/headers.ts';
import type { ConnectionView, RequestView, ResponseView } from '../../request/view.ts';
import { applyToResponse, rewriteTo } from '../../route/apply.ts';
import type { RouteDecision, Upgrade } from '../../route/types.ts';
import type { Environment } from '../../runtime/environment.ts';
import { tellLogs } from '../../telemetry/access-log.ts';
import { tellLater } from '../../telemetry/accounts.ts';
import { clusterStats, type HttpStats } from '../../telemetry/http-stats.ts';
import { headBytes, RequestMeter } from '../../telemetry/istio/request-meter.ts';
import { RequestSpan } from '../../tracing/request-span.ts';
import type { BodyReader, Break, HeaderList, ServerExchange } from '../message.ts';
import { type Asker, Forward, type ForwardFacts } from '../router/forward.ts';
import type { NamedFilter } from './config.ts';
import type { HttpConnection } from './connection.ts';
import { EarlyBody } from './early-body.ts';
import { Line, type Link } from './line.ts';
import { fromFilter, type LocalReply, localReply, sendReply } from './local-reply.ts';
import { mapReply } from './reply-mappers.ts';
import { mutateRequestHeaders } from './request-headers.ts';
import { RequestTimes } from './request-times.ts';

export class Request implements BodyReader {
  readonly #connection: HttpConnection;
  readonly #exchange: ServerExchange;
  readonly #started: number;
  readonly #startTime: number;
  #view: RequestView;
  #decision: RouteDecision | undefined;
  #forward: Forward | undefined;
  readonly #told: ForwardFacts = {
    ...{ attempts: 0, sentHead: 0, receivedHead: 0 },
    ...{ flags: new Set(), tried: [], connections: [], times: {} },
  };
  /** Monotonic ms; undefined: not yet. */
  #requestEndedAt: number | undefined;
  #respondedAt: number | undefined;
  readonly #counts: boolean;
  #response: ResponseView | undefined;
  #responseTrailers: Headers | undefined;
  #details = '';
  #received = 0;
  #sent = 0;
  #requestEnded: boolean;
  /** As it came: filters may make gRPC of something else. */
  readonly #isGrpc: boolean;
  /** As filters see it that follow those which take part in the body: the head that they get is all. */
  #bodyless: boolean;
  /** As `requestEnded`, for the filter that is asked, and then for the router. */
  #ended: boolean;
  /** More of the request is not wanted, by filters that hold it or by the router. */
  #paused = false;
  /** Filters that take part in bodies; undefined: none does. */
  #streams: Streams | undefined;
  /** An answer from here is on its way through them: nothing else counts any more. */
  #replied = false;
  /** The client has the head of the answer. */
  #responded = false;
  readonly #meter: RequestMeter | undefined;
  /** Of heads, for metrics. */
  readonly #receivedHead: number;
  #sentHead = 0;
  /** While a filter holds the request back, and until it goes on. */
  #early: EarlyBody | undefined;
  /** Which filter holds it back. */
  #heldAt = 0;
  /** Whom a filter asks is told when nobody waits any more. */
  #stopAsking: (() => void) | undefined;
  #over = false;
  #span: RequestSpan | undefined;
  #idleTimer: Timer | undefined;
  #requestTimer: Timer | undefined;
  #lifeTimer: Timer | undefined;
  #delay: Timer | undefined;
  #active = 0;
  /** Filters that have seen the request, who see the response in turn. */
  readonly #seen: NamedFilter[] = [];
  /** What filters keep for the response. */
  readonly #remembered = new Map<NamedFilter, unknown>();
  /** What a filter asked for. */
  preferred: PreferredHost | undefined;
  /** The connection's, or this request's own once a filter adds to it. */
  #facts: ConnectionFacts;

  constructor(connection: HttpConnection, exchange: ServerExchange) {
    this.#connection = connection;
    this.#exchange = exchange;
    const { clock } = connection.env;
    this.#started = clock.now();
    this.#active = this.#started;
    this.#startTime = clock.wall();
    this.#requestEnded = exchange.complete;
    this.#bodyless = exchange.complete;
    this.#ended = exchange.complete;
    const { downstream } = connection;
    this.#facts = downstream.facts;
    this.#view = this.#rawView(downstream.view, 'http');
    this.#isGrpc = isGrpcRequest(this.#view.headers);
    const { stats, meters } = connection;
    if (meters.length > 0) {
      this.#meter = new RequestMeter(meters, this.#isGrpc, clock, () => this.#snapshot());
    }
    const { method, path, authority, headers } = exchange.request;
    // `GET / HTTP/1.1` and `host: x`.
    const firstLine = method.length + (path?.length ?? 0) + authority.length + 18;
    this.#counts = this.#meter !== undefined || connection.config.accessLogs.length > 0;
    this.#receivedHead = this.#counts ? headBytes(headers, firstLine) : 0;
    if (exchange.complete) this.#requestEndedAt = this.#started;
    stats.total.value++;
    stats.active.value++;
    (exchange.request.version === 'HTTP/2' ? stats.http2 : stats.http1).value++;
  }

  #rawView(connection: ConnectionView, scheme: 'http' | 'https'): RequestView {
    const { method, path, authority, headers, upgrade, version } = this.#exchange.request;
    return {
      method,
      scheme,
      authority,
      path: path ?? '',
      headers: new Headers(headers as string[]),
      protocol: version === 'HTTP/2' ? 'http2' : 'http1',
      ...(upgrade !== undefined && { upgrade }),
      connection,
      metadata: noMetadata,
    };
  }

  start(): void {
    const { config, downstream } = this.#connection;
    const { request } = this.#exchange;
    const { headers } = this.#view;
    const caller = { direct: downstream.facts.remote, local: downstream.facts.local, tls: downstream.tls };
    const origin = mutateRequestHeaders(headers, request.scheme, caller, config.requestHeaders);
    const { view } = downstream;
    const connection = origin.remote === downstream.facts.remote ? view : { ...view, remote: origin.remote };
    this.#armTimers();
    const canonical = canonise(
      {
        method: request.method,
        scheme: origin.scheme,
        authority: request.authority,
        path: request.path,
        headers,
        protocol: this.#view.protocol,
        ...(request.upgrade !== undefined && { upgrade: request.upgrade }),
        connection,
      },
      config.canonical,
      this.#facts.metadata,
    );
    switch (canonical.kind) {
      case 'refused':
        this.#reply(localReply(canonical.status, canonical.reason, { body: canonical.body }));
        return;
      case 'redirect':
        this.#reply(
          localReply(canonical.status, 'path_normalization_failed', { headers: [['location', canonical.location]] }),
        );
        return;
      case 'ok':
        this.#view = canonical.view;
    }
    const expect = headers.get('expect');
    if (expect?.toLowerCase() === '100-continue' && !config.proxy100Continue) {
      headers.remove('expect');
      this.#exchange.informational({ status: 100, headers: [] });
      this.#connection.stats.responded(100);
    }
    const decision = this.decide();
    this.#trace(decision);
    const idle = decision.kind === 'forward' ? decision.route.timeouts.idle : undefined;
    if (idle !== undefined) {
      // Takes the place of stream_idle_timeout.
      this.#idleTimer?.cancel();
      if (idle > 0) this.#watchIdle(idle);
    }
    this.#filter(0);
  }

  #trace(decision: RouteDecision): void {
    const { config, env, stats } = this.#connection;
    if (!config.tracing) return;
    const decorator = decision.kind === 'none' ? undefined : decision.decorator;
    this.#span = new RequestSpan(config.tracing, this.#view, decorator, env.dice);
    stats.count(reasonCounters[this.#span.reason]);
  }

  /** By the request as it is now. */
  decide(): RouteDecision {
    const { config, env } = this.#connection;
    const table = config.routes.kind === 'inline' ? config.routes.table : env.routes.get(config.routes.name);
    this.#decision = table?.decide(this.#view, env.dice) ?? { kind: 'none', virtualHost: undefined };
    return this.#decision;
  }

  #filter(from: number): void {
    const { filters } = this.#connection.config;
    for (let i = from; i < filters.length; i++) {
      const filter = filters[i]!;
      const context = this.#filterContext(filter);
      if (!context) continue;
      this.#seen.push(filter);
      if (!this.#passes(filter.filter.onRequest(this.#view, context), i)) return;
    }
    this.#route();
  }

  /** False: the request is answered, or goes on later. */
  #passes(verdict: Verdict, at: number): boolean {
    switch (verdict.kind) {
      case 'continue':
        return true;
      case 'reply':
        this.#reply(fromFilter(verdict));
        return false;
      case 'wait': {
        this.#told.flags.add(verdict.flag);
        this.#hold(at);
        this.#delay = this.#connection.env.clock.after(millis(verdict.millis), () => this.#goOn(verdict.then()));
        return false;
      }
      case 'ask':
        this.#hold(at);
        this.#ask(verdict);
        return false;
      case 'body':
        this.#hold(at).want(verdict);
        this.#resume();
        this.#offerBody();
        return false;
      case 'stream':
        return this.#join(verdict, at);
      default:
        return assertNever(verdict);
    }
  }

  /** More of the body comes when whoever holds the request back lets it. */
  #hold(at: number): EarlyBody {
    this.#heldAt = at;
    this.#pause();
    this.#early ??= new EarlyBody();
    return this.#early;
  }

  #pause(): void {
    this.#paused = true;
    this.#exchange.pause();
  }

  #resume(): void {
    this.#paused = false;
    const line = this.#streams?.request;
    if (!line?.isHeld) this.#exchange.resume();
    line?.drained();
  }

  #goOn(verdict: Verdict): void {
    if (!this.#over && !this.#replied && this.#passes(verdict, this.#heldAt)) this.#filter(this.#heldAt + 1);
  }

  #ask({ ask }: Ask): void {
    let told = false;
    const stop = ask((verdict) => {
      if (told) return;
      told = true;
      this.#stopAsking = undefined;
      this.#goOn(verdict);
    });
    if (!told) this.#stopAsking = stop;
  }

  /** To the filter that asked for it, if any. */
  #offerBody(): void {
    const verdict = this.#early?.decide(this.#ended);
    if (!verdict) return;
    this.#pause();
    this.#goOn(verdict);
  }

  /** The filter takes part from here on: what has come of the body goes through it. False: it passes the head on itself. */
  #join(verdict: Streamed, at: number): boolean {
    this.#streams ??= this.#newStreams();
    const { request, response, byFilter, participants } = this.#streams;
    const onward = request.link((ended) => this.#headPassed(at, ended));
    const back = response.link((ended) => this.#answer(this.#response!, ended, this.#placeOf(filter) - 1));
    const filter = this.#connection.config.filters[at]!;
    const participant = verdict.open(onward, back);
    participants.push(participant);
    back.stage = participant.response;
    if (back.stage) {
      response.join(back, 'first');
      byFilter.set(filter, back);
    }
    onward.stage = participant.request;
    if (!onward.stage) return true;
    request.join(onward, 'last');
    this.#feed(onward, at);
    return false;
  }

  #feed(onward: Link<RequestStage>, at: number): void {
    const early = this.#early;
    const ended = this.#ended;
    const bodyless = ended && (!early || early.isEmpty);
    this.#early = new EarlyBody();
    this.#heldAt = at;
    this.#ended = false;
    // What a resumed client sends comes behind what is here.
    const stage = onward.stage!;
    if (stage.head) stage.head(bodyless);
    else onward.head(bodyless);
    if (bodyless) return;
    const { request } = this.#streams!;
    const place = request.placeOf(onward);
    for (const chunk of early?.chunks ?? []) request.give(chunk, place);
    if (ended) request.giveEnd(early?.trailers && new Headers([...early.trailers]), place);
    else if (this.#paused && this.#early && this.#heldAt === at) this.#resume();
  }

  #newStreams(): Streams {
    const request = new Line<RequestStage>({
      data: (chunk) => this.#onward(chunk),
      end: (trailers) => this.#onwardEnd(trailers),
      reply: (reply) => this.#replyInstead(fromFilter(reply)),
      isFull: () => this.#paused,
      held: () => {
        if (request.isHeld) this.#exchange.pause();
        else if (!this.#paused) this.#exchange.resume();
      },
    });
    let full = false;
    const response = new Line<ResponseStage>({
      data: (chunk) => {
        full = !this.#send(chunk);
      },
      end: (trailers) => this.#sendEnd(trailers),
      reply: (reply) => this.#replyDirectly(fromFilter(reply)),
      isFull: () => full,
      held: () => {
        if (!response.isHeld && !full) this.#forward?.drained();
      },
    });
    const drained = () => {
      full = false;
      response.drained();
      if (!response.isHeld && !full) this.#forward?.drained();
    };
    return {
      request,
      response,
      drained,
      takesMore: () => !full && !response.isHeld,
      byFilter: new Map(),
      participants: [],
    };
  }

  /** The filter at that place lets the request go on. */
  #headPassed(at: number, ended: boolean): void {
    if (this.#over || this.#replied) return;
    this.#bodyless = ended;
    this.#ended = ended;
    this.#filter(at + 1);
  }

  /** undefined: the filter is disabled for this route. */
  #filterContext(filter: NamedFilter): FilterContext | undefined {
    const decision = this.#decision!;
    const perRoute = decision.kind === 'none' ? nothing : decision.perFilter(filter.name);
    if (perRoute.length === 0 ? filter.disabled : perRoute[0]!.kind === 'disabled') return undefined;
    return new RequestFilterContext(filter, {
      cluster: decision.kind === 'forward' ? decision.cluster : undefined,
      dice: this.#connection.env.dice,
      format: this.#context,
      bodyless: this.#bodyless,
      perRoute,
      limits: decision.kind === 'none' ? undefined : decision.limits,
      request: this,
      clock: this.#connection.env.clock,
      stats: this.#connection.stats,
      env: this.#connection.env,
      remembered: this.#remembered,
    });
  }

  /** Facts that may be added to: the connection's are those of all its requests. */
  ownFacts(): ConnectionFacts {
    const { facts, tls } = this.#connection.downstream;
    if (this.#facts !== facts) return this.#facts;
    this.#facts = {
      ...facts,
      filterState: new Map(facts.filterState),
      shared: new Map(facts.shared),
      metadata: new Map(facts.metadata),
    };
    const { remote } = this.#view.connection;
    this.#view.connection = { ...viewOf(this.#facts, tls), remote };
    this.#view.metadata = this.#facts.metadata;
    return this.#facts;
  }

  #route(): void {
    const decision = this.#decision!;
    const { stats } = this.#connection;
    const wanted = this.#view.method === 'CONNECT' ? 'connect' : this.#view.upgrade;
    const ofRoute = decision.kind === 'forward' ? decision.route.upgrades : [];
    const allowed = wanted === undefined ? undefined : this.#upgrade(wanted, ofRoute);
    if (allowed) stats.upgrades.value++;
    // Envoy refuses what is no upgrade of its before the router sees it.
    if (wanted === undefined || allowed) stats.routed.value++;
    switch (decision.kind) {
      case 'non-forwarding':
        // As of a cluster that is not there.
        this.#reply(localReply(503, 'cluster_not_found', { flags: ['NC'] }), 'router');
        return;
      case 'none':
        stats.noRoute.value++;
        this.#reply(localReply(404, 'route_not_found', { flags: ['NR'] }), 'router');
        return;
      case 'redirect':
        stats.direct.value++;
        rewriteTo(decision.rewritten, this.#view, !this.#connection.config.router.suppressEnvoyHeaders);
        this.#reply(
          localReply(decision.status, 'direct_response', { headers: [['location', decision.location]] }),
          'router',
        );
        return;
      case 'direct':
        stats.direct.value++;
        this.#reply(localReply(decision.status, 'direct_response', { body: decision.body }), 'router');
        return;
      case 'forward':
        break;
      default:
        assertNever(decision);
    }
    if (wanted !== undefined && !allowed) {
      this.#reply(localReply(403, 'upgrade_failed', { flags: ['NR'] }), 'router');
      return;
    }
    const { env, config, downstream } = this.#connection;
    this.#forward = new Forward(
      env,
      {
        decision,
        view: this.#view,
        version: this.#exchange.request.version,
        facts: this.#facts,
        format: this.#context,
        told: this.#told,
        counts: this.#counts,
        span: this.#span,
        router: config.router,
        connectionId: downstream.id,
        count: (name) => stats.count(name),
        terminates: allowed?.terminatesConnect ?? false,
        preferred: this.preferred,
      },
      this.#asker,
    );
    const early = this.#early;
    const bodyless = this.#ended && (!early || early.isEmpty);
    this.#forward.start(bodyless);
    if (!early) return;
    // What comes within this call still comes behind what is there; a host that is slow holds the client back again.
    this.#resume();
    for (const chunk of early.chunks) this.#forward.data(chunk);
    this.#early = undefined;
    if (this.#ended && !bodyless) this.#forward.end(early.trailers);
  }

  #upgrade(type: string, ofRoute: readonly Upgrade[]): Upgrade | undefined {
    const own = ofRoute.find((upgrade) => upgrade.type === type);
    if (own) return own.enabled ? own : undefined;
    const enabled = this.#connection.config.upgrades.get(type) ?? false;
    return enabled ? { type, enabled, terminatesConnect: false } : undefined;
  }

  // What the client sends.

  data(chunk: Buffer): void {
    this.#received += chunk.length;
    this.#meter?.received(chunk);
    this.#active = this.#connection.env.clock.now();
    if (this.#streams && !this.#streams.request.isEmpty) this.#streams.request.data(chunk);
    else this.#onward(chunk);
  }

  /** Past the filters that take part: to who holds the request back, or to the host. */
  #onward(chunk: Buffer): void {
    if (this.#replied) return;
    if (!this.#early) this.#forward?.data(chunk);
    else if (!this.#over) {
      this.#early.push(chunk);
      this.#offerBody();
    }
  }

  end(trailers: HeaderList | undefined): void {
    this.#requestEnded = true;
    this.#requestEndedAt = this.#connection.env.clock.now();
    this.#requestTimer?.cancel();
    if (this.#streams && !this.#streams.request.isEmpty) {
      this.#streams.request.end(trailers);
      this.#closeStreams();
    } else this.#onwardEnd(trailers);
  }

  #onwardEnd(trailers: HeaderList | undefined): void {
    this.#ended = true;
    if (this.#replied) return;
    if (!this.#early) this.#forward?.end(trailers);
    else if (!this.#over) {
      this.#early.trailers = trailers;
      this.#offerBody();
    }
  }

  broke(why: Break): void {
    if (this.#over) {
      this.#forward?.cancel();
      this.#closeStreams();
      return;
    }
    this.#details = why.kind === 'protocol' ? 'http1.codec_error' : 'downstream_remote_disconnect';
    this.#told.flags.add(why.kind === 'protocol' ? 'DPE' : 'DC');
    if (why.kind === 'reset') this.#connection.stats.resets.value++;
    else if (!this.#response && this.#exchange.request.version !== 'HTTP/2') {
      // What the codec answers.
      this.#response = { status: 400, headers: new Headers() };
      this.#sent = 'Bad Request'.length;
    }
    this.#finish();
    this.#forward?.cancel();
  }

  drained(): void {
    if (this.#streams) this.#streams.drained();
    else this.#forward?.drained();
  }

  // What the router answers.

  readonly #asker: Asker = {
    informational: (head) => {
      if (!this.#over) this.#exchange.informational(head);
    },
    response: (response, end) => this.#respond(response, end),
    data: (chunk) => {
      const streams = this.#streams;
      if (!streams || streams.response.isEmpty) return this.#send(chunk);
      streams.response.data(chunk);
      return streams.takesMore();
    },
    end: (trailers) => {
      if (this.#streams && !this.#streams.response.isEmpty) this.#streams.response.end(trailers);
      else this.#sendEnd(trailers);
    },
    reply: (reply) => this.#reply(reply, 'router'),
    broke: (details, flags) => {
      if (this.#over) return;
      this.#details = details;
      for (const flag of flags) this.#told.flags.add(flag);
      this.#finish();
      this.#exchange.reset('internal');
    },
    pauseRequest: () => this.#pause(),
    resumeRequest: () => this.#resume(),
  };

  #respond(response: ResponseView, end: boolean): void {
    if (this.#over || this.#replied) return;
    this.#details = 'via_upstream';
    this.#begin(response, 'router');
    this.#answer(response, end, this.#seen.length - 1);
  }

  /** What the route does to an answer, where it is one of the router. */
  #begin(response: ResponseView, by: 'router' | 'others'): void {
    this.#response = response;
    const decision = this.#decision;
    if (by === 'router' && decision && decision.kind !== 'none') applyToResponse(decision, response, this.#context);
  }

  /** The head of an answer goes through the filters that saw the request, from that one on, and to the client. */
  #answer(response: ResponseView, ended: boolean, from: number): void {
    for (let i = from; i >= 0; i--) {
      const filter = this.#seen[i]!;
      const context = filter.filter.onResponse && this.#filterContext(filter);
      if (context) filter.filter.onResponse!(this.#view, response, context);
      const stage = this.#streams?.byFilter.get(filter)?.stage;
      if (!stage?.head) continue;
      stage.head(response, ended);
      return;
    }
    this.#complete(response);
    this.#sendHead(response, ended);
  }

  #placeOf(filter: NamedFilter): number {
    return this.#seen.indexOf(filter);
  }

  #sendHead(response: ResponseView, ended: boolean): void {
    if (this.#over) return;
    this.#responded = true;
    const headers = response.headers.toRaw();
    // `HTTP/1.1 200 OK`.
    if (this.#counts) this.#sentHead = headBytes(headers, 15);
    this.#respondedAt = this.#connection.env.clock.now();
    if (ended) this.#finish();
    this.#exchange.respond({ status: response.status, headers }, ended);
  }

  #send(chunk: Buffer): boolean {
    this.#sent += chunk.length;
    this.#meter?.sent(chunk);
    this.#active = this.#connection.env.clock.now();
    return this.#over || this.#exchange.write(chunk);
  }

  #sendEnd(trailers: HeaderList | undefined): void {
    if (this.#over) return;
    if (trailers) {
      this.#responseTrailers = new Headers([...trailers]);
      if (this.#counts) this.#sentHead += headBytes(trailers, 0);
    }
    this.#finish();
    this.#exchange.end(trailers);
  }

  /** Headers that every answer has. */
  #complete({ headers }: ResponseView): void {
    const { config, env } = this.#connection;
    if (!headers.has('date')) headers.append('date', dateText(env.clock.wall()));
    if (config.serverHeader === 'OVERWRITE' || (config.serverHeader === 'APPEND_IF_ABSENT' && !headers.has('server'))) {
      headers.set('server', config.serverName);
    }
    if (config.alwaysRequestIdInResponse) {
      const id = this.#view.headers.get('x-request-id');
      if (id !== undefined) headers.set('x-request-id', id);
    }
    if (config.requestHeaders.via !== '') {
      const before = headers.get('via');
      headers.set('via', before === undefined ? config.requestHeaders.via : `${before}, ${config.requestHeaders.via}`);
    }
    this.#span?.answer(headers);
  }

  #reply(reply: LocalReply, by: 'router' | 'others' = 'others'): void {
    if (this.#over || this.#replied) return;
    const { response, body } = this.#replyOf(reply);
    this.#begin(response, by);
    const line = this.#streams?.response;
    if (!line || line.isEmpty) {
      this.#answerAtOnce(response, body, this.#seen.length - 1);
      return;
    }
    this.#replied = true;
    this.#stopFilters();
    this.#answer(response, body.length === 0, this.#seen.length - 1);
    if (body.length > 0) {
      line.data(body);
      line.end(undefined);
    }
    this.#exchange.resume();
  }

  #replyOf(reply: LocalReply): { readonly response: ResponseView; readonly body: Buffer } {
    this.#details = reply.details;
    for (const flag of reply.flags) this.#told.flags.add(flag);
    const { status, headers, body } = replyMessage(this.#view, reply, this.#isGrpc);
    mapReply(this.#connection.config.replyMappers, headers, () => ({
      request: this.#view,
      response: { status: reply.status, headers },
      facts: this.facts,
    }));
    return { response: { status, headers }, body: Buffer.from(body) };
  }

  /** Where no filter takes part in the answer's body. */
  #answerAtOnce(response: ResponseView, body: Buffer, from: number): void {
    for (let i = from; i >= 0; i--) {
      const filter = this.#seen[i]!;
      const context = filter.filter.onResponse && this.#filterContext(filter);
      if (context) filter.filter.onResponse!(this.#view, response, context);
    }
    this.#complete(response);
    this.#sent += body.length;
    const headers = response.headers.toRaw();
    if (this.#counts) this.#sentHead = headBytes(headers, 15);
    this.#respondedAt = this.#connection.env.clock.now();
    this.#finish();
    sendReply(this.#exchange, response.status, headers, body);
    this.#exchange.resume();
  }

  /** The host may have been asked already, and have begun to answer. */
  #replyInstead(reply: LocalReply): void {
    if (this.#over) return;
    this.#forward?.cancel();
    if (this.#response) this.#replyDirectly(reply);
    else this.#reply(reply);
  }

  /** In place of an answer that has gone through filters, and so past all of them. */
  #replyDirectly(reply: LocalReply): void {
    if (this.#over) return;
    this.#forward?.cancel();
    if (this.#responded) {
      this.#asker.broke(reply.details, reply.flags);
      return;
    }
    const { response, body } = this.#replyOf(reply);
    this.#response = response;
    this.#answerAtOnce(response, body, -1);
  }

  #armTimers(): void {
    const { clock } = this.#connection.env;
    const { streamIdle, request, maxStream } = this.#connection.config.timeouts;
    if (request !== undefined && !this.#requestEnded) {
      this.#requestTimer = clock.after(request, () => {
        if (!this.#response) this.#timeOut(408, 'request_overall_timeout', 'request timeout', 'UT');
      });
    }
    if (maxStream !== undefined) {
      this.#lifeTimer = clock.after(maxStream, () =>
        this.#timeOut(408, 'max_duration_timeout', 'downstream duration timeout', 'UMSDR'),
      );
    }
    if (streamIdle !== undefined) this.#watchIdle(streamIdle);
  }

  /** Looks at the clock now and then instead of a new timer for each chunk. */
  #watchIdle(limit: number): void {
    const { clock } = this.#connection.env;
    const look = () => {
      const left = this.#active + limit - clock.now();
      if (left > 0) this.#idleTimer = clock.after(millis(left), look);
      else this.#timeOut(this.#requestEnded ? 504 : 408, 'stream_idle_timeout', 'stream timeout', 'SI');
    };
    this.#idleTimer = clock.after(millis(limit), look);
  }

  #timeOut(status: number, details: string, body: string, flag: string): void {
    this.#replyInstead(localReply(status, details, { body, flags: [flag] }));
  }

  // The account.

  readonly #context = new LiveContext(this) as FormatContext;

  /** What formats see; made anew each time that one asks. */
  get facts(): StreamFacts {
    const decision = this.#decision;
    const { clock, clusters, variable } = this.#connection.env;
    const told = this.#told;
    const now = clock.now();
    const route = decision && decision.kind !== 'none' ? decision : undefined;
    const counts = this.#counts;
    const { sentHead, receivedHead } = told;
    const clusterName = told.cluster?.name ?? (decision?.kind === 'forward' ? decision.cluster : undefined);
    const cluster = clusterName === undefined ? undefined : clusters.get(clusterName);
    // All in one piece: adding one after the other what is known takes longer than the rest.
    const facts: { readonly [K in keyof StreamFacts]?: StreamFacts[K] | undefined } = {
      startTime: this.#startTime,
      requestId: this.#view.headers.get('x-request-id'),
      virtualHost: decision?.virtualHost,
      routeName: route?.routeName || undefined,
      routeMetadata: route?.metadata,
      cluster: told.cluster,
      clusterMetadata: cluster?.cluster.metadata,
      connectionId: this.#connection.downstream.id,
      attempts: told.attempts,
      duration: Math.round(now - this.#started),
      bytesReceived: this.#received,
      bytesSent: this.#sent,
      wireReceived: counts ? this.#receivedHead + this.#received : undefined,
      wireSent: counts ? this.#sentHead + this.#sent : undefined,
      upstreamWireSent: counts && sentHead > 0 ? sentHead + this.#received : undefined,
      upstreamWireReceived: counts && receivedHead > 0 ? receivedHead + this.#sent : undefined,
      heads: counts
        ? {
            received: this.#receivedHead,
            sent: this.#sentHead,
            upstreamSent: sentHead,
            upstreamReceived: receivedHead,
          }
        : undefined,
      variable,
      logType: 'DownstreamEnd',
      chain: this.#connection.downstream.chain,
      hostMetadata: told.host?.metadata,
      upstreamHostname: told.host?.hostname || undefined,
      upstreamHost: told.upstreamHost,
      upstreamLocal: told.upstreamLocal,
      upstreamProtocol: told.protocol,
      upstreamTls: told.about?.tls?.details,
      upstreamFailureReason: told.upstreamFailureReason,
      upstreamConnections: told.connections.length > 0 ? told.connections : undefined,
      tried: told.tried.length > 0 ? told.tried : undefined,
      times: new RequestTimes(told, {
        started: this.#started,
        requestEnded: this.#requestEndedAt,
        responded: this.#respondedAt,
        over: this.#over ? now : undefined,
      }) as StreamTimes,
      responseFlags: told.flags.size > 0 ? [...told.flags].join(',') : undefined,
      responseCodeDetails: this.#details || undefined,
      trace: this.#span?.ids,
    };
    return facts as StreamFacts;
  }

  get view(): RequestView {
    return this.#view;
  }

  get response(): ResponseView | undefined {
    return this.#response;
  }

  get trailers(): Headers | undefined {
    return this.#responseTrailers;
  }

  /** Exactly once. */
  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#idleTimer?.cancel();
    this.#requestTimer?.cancel();
    this.#lifeTimer?.cancel();
    this.#stopFilters();
    if (this.#requestEnded || !this.#isTunnel()) this.#closeStreams();
    const { stats, env, config } = this.#connection;
    stats.active.value--;
    stats.responded(this.#response?.status ?? 0);
    const duration = env.clock.now() - this.#started;
    stats.time.record(duration);
    if (this.#meter || config.accessLogs.length > 0 || this.#span?.isTold) {
      const context = this.#snapshot();
      tellLater(() => this.#account(context, duration));
    }
    this.#connection.ended(this);
  }

  #account(context: FormatContext, duration: number): void {
    const { stats, config } = this.#connection;
    try {
      this.#meter?.ended(context, duration);
      if (this.#span?.isTold) this.#span.finish(context, duration);
    } catch {
      // Logs must tell of the request though what configurations add to metrics and spans cannot be made.
      stats.count('telemetry_failed');
    }
    tellLogs(config.accessLogs, context);
  }

  #stopFilters(): void {
    this.#delay?.cancel();
    this.#stopAsking?.();
    this.#stopAsking = undefined;
  }

  /** Bytes of the client may still come, behind the end of the answer. */
  #isTunnel(): boolean {
    const status = this.#response?.status ?? 0;
    return status === 101 || (this.#view.method === 'CONNECT' && status >= 200 && status < 300);
  }

  /** Once both directions are over. */
  #closeStreams(): void {
    const streams = this.#streams;
    if (!streams || !this.#over || streams.request.isClosed) return;
    streams.request.close();
    streams.response.close();
    for (const participant of streams.participants) participant.closed?.();
  }

  /** Whoever asks for many facts has them made once. */
  #snapshot(): FormatContext {
    const { facts } = this;
    return { request: this.#view, response: this.#response, trailers: this.#responseTrailers, facts } as FormatContext;
  }
}

interface Streams {
  readonly request: Line<RequestStage>;
  readonly response: Line<ResponseStage>;
  /** The client takes more. */
  drained(): void;
  /** The host may go on with its answer. */
  takesMore(): boolean;
  readonly byFilter: Map<NamedFilter, Link<ResponseStage>>;
  readonly participants: Participant[];
}

/** Of the connection manager, as Envoy names them. */
const reasonCounters = {
  sampled: 'tracing.random_sampling',
  forced: 'tracing.service_forced',
  client: 'tracing.client_enabled',
  none: 'tracing.not_traceable',
} as const;

const nothing: readonly never[] = [];

interface FilterInput extends Pick<FilterContext, 'cluster' | 'dice' | 'format' | 'perRoute' | 'limits' | 'bodyless'> {
  readonly request: Request;
  readonly clock: Clock;
  readonly stats: HttpStats;
  readonly env: Environment;
  readonly remembered: Map<NamedFilter, unknown>;
}

class RequestFilterContext implements FilterContext {
  readonly #filter: NamedFilter;
  readonly #input: FilterInput;

  constructor(filter: NamedFilter, input: FilterInput) {
    this.#filter = filter;
    this.#input = input;
  }

  get cluster(): string | undefined {
    return this.#input.cluster;
  }

  get dice(): FilterContext['dice'] {
    return this.#input.dice;
  }

  get format(): FormatContext {
    return this.#input.format;
  }

  get bodyless(): boolean {
    return this.#input.bodyless;
  }

  get perRoute(): FilterContext['perRoute'] {
    return this.#input.perRoute;
  }

  get limits(): FilterContext['limits'] {
    return this.#input.limits;
  }

  setMetadata(namespace: string, values: Readonly<Record<string, unknown>>): void {
    const { metadata } = this.#input.request.ownFacts();
    metadata.set(namespace, { ...metadata.get(namespace), ...values });
  }

  setFilterState({ key, value, shared: how }: FilterState): void {
    const { filterState, shared } = this.#input.request.ownFacts();
    filterState.set(key, value);
    if (how === 'none') shared.delete(key);
    else shared.set(key, how === 'once' ? 'once' : 'always');
  }

  preferHost(host: PreferredHost): void {
    this.#input.request.preferred = host;
  }

  now(): number {
    return this.#input.clock.wall();
  }

  clearRoute(): void {
    this.#input.request.decide();
  }

  count(name: string, by?: number): void {
    this.#input.stats.count(name, by);
  }

  countOfCluster(name: string): void {
    const { cluster, env } = this.#input;
    const statName = cluster === undefined ? undefined : env.clusters.get(cluster)?.cluster.statName;
    if (statName !== undefined) env.stats.counter(`cluster.${statName}.${name}`).value++;
  }

  chargeCluster(status: number): void {
    const { cluster, env } = this.#input;
    const statName = cluster === undefined ? undefined : env.clusters.get(cluster)?.cluster.statName;
    // Whoever the client is, the answer is none of the cluster's: Envoy counts it as internal.
    if (statName !== undefined) clusterStats(env.stats, statName).responded(status, true);
  }

  remember(value: unknown): void {
    this.#input.remembered.set(this.#filter, value);
  }

  recall(): unknown {
    return this.#input.remembered.get(this.#filter);
  }
}

const noMetadata: RequestView['metadata'] = new Map();

/** What formats see of a request that goes on. */
class LiveContext {
  readonly #request: Request;

  constructor(request: Request) {
    this.#request = request;
  }

  get request(): RequestView {
    return this.#request.view;
  }

  get response(): ResponseView | undefined {
    return this.#request.response;
  }

  get trailers(): Headers | undefined {
    return this.#request.trailers;
  }

  get facts(): StreamFacts {
    return this.#request.facts;
  }
}

let dateSecond = 0;
let date = '';

/** Made once a second. */
function dateText(wall: number): string {
  const second = Math.floor(wall / 1_000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = new Date(wall).toUTCString();
  }
  return date;
}
