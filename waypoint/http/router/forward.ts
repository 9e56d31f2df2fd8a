/** The router: takes a decided request to its cluster, tries again where the route says so, and hands the answer back. */
import { millis } from '../../../common/core/brand.ts';
import type { Timer } from '../../../common/core/clock.ts';
import { assertNever } from '../../../common/core/errors.ts';
import { PreviousPriorities } from '../../cluster/balance/retry-priorities.ts';
import { connectionCookie } from '../../cluster/hash/cookie.ts';
import { xxHash64 } from '../../cluster/hash/xxhash64.ts';
import type { ConnectFailure, Lease, PoolFailure, PoolKey, Ticket } from '../../cluster/pool-types.ts';
import type { Host, HostAddress, PreferredHost, Struct } from '../../cluster/types.ts';
import type { Upstream } from '../../cluster/upstream-types.ts';
import type { FormatContext, StreamFacts, TriedHost } from '../../format/format.ts';
import type { ConnectionFacts } from '../../listener/facts.ts';
import { isGrpcRequest } from '../../request/grpc.ts';
import { Headers } from '../../request/headers.ts';
import type { RequestView, ResponseView } from '../../request/view.ts';
import { applyToRequest } from '../../route/apply.ts';
import { hashRequest } from '../../route/hash.ts';
import { backOffBefore, isRetriable, limitedBackOff, retryOf, type TryOutcome } from '../../route/retry.ts';
import { type EffectiveTimeouts, effectiveTimeouts, timeoutHeaders } from '../../route/timeouts.ts';
import type { RetryPolicy, RouteDecision } from '../../route/types.ts';
import type { Environment } from '../../runtime/environment.ts';
import { type ClusterStats, clusterStats } from '../../telemetry/http-stats.ts';
import { headBytes } from '../../telemetry/istio/request-meter.ts';
import type { RequestSpan } from '../../tracing/request-span.ts';
import type { UpstreamAbout } from '../../upstream/about.ts';
import type { ConnectionKey, UpstreamConnection } from '../../upstream/connector.ts';
import { sharedState } from '../../upstream/internal.ts';
import type { RouterConfig } from '../manager/config.ts';
import { httpStatusOf, type LocalReply, localReply } from '../manager/local-reply.ts';
import type { Break, HeaderList, RequestHead, ResponseHead, Version } from '../message.ts';
import { Attempt, type AttemptEvents } from './attempt.ts';
import { ownHeaders } from './own-headers.ts';
import { Shadow, shadowAuthority } from './shadow.ts';
import { Tunnel } from './tunnel.ts';

export type ForwardDecision = Extract<RouteDecision, { readonly kind: 'forward' }>;

/** What the router tells about its request; filled in while it goes on. */
export interface ForwardFacts {
  cluster?: NonNullable<StreamFacts['cluster']>;
  upstreamHost?: HostAddress;
  /** The last one that was tried. */
  host?: Host;
  upstreamLocal?: HostAddress;
  upstreamFailureReason?: string;
  attempts: number;
  readonly tried: TriedHost[];
  readonly connections: number[];
  /** Of the last try. */
  about?: UpstreamAbout;
  protocol?: NonNullable<StreamFacts['upstreamProtocol']>;
  /** Monotonic ms. */
  readonly times: UpstreamTimes;
  /** Bytes of heads as HTTP/1.1 writes them; 0 where nobody counts. */
  sentHead: number;
  receivedHead: number;
  readonly flags: Set<string>;
}

/** Who asked: takes the answer. After `end`, `reply` or `broke` nothing follows. */
export interface Asker {
  informational(head: ResponseHead): void;
  response(response: ResponseView, end: boolean): void;
  /** False: wait, `resume` of the forward tells. */
  data(chunk: Buffer): boolean;
  end(trailers: HeaderList | undefined): void;
  /** An answer of our own. */
  reply(reply: LocalReply): void;
  /** After the head of the answer: it will not be complete. */
  broke(details: string, flags: readonly string[]): void;
  /** More of the request may come, or not. */
  pauseRequest(): void;
  resumeRequest(): void;
}

interface UpstreamTimes {
  asked?: number;
  ready?: number;
  requestEnd?: number;
  responseStart?: number;
  bodyStart?: number;
  responseEnd?: number;
}

export interface ForwardInput {
  readonly decision: ForwardDecision;
  readonly view: RequestView;
  readonly version: Version;
  readonly facts: ConnectionFacts;
  readonly format: FormatContext;
  readonly told: ForwardFacts;
  readonly router: RouterConfig;
  /** Its trace, which goes along. */
  readonly span: Pick<RequestSpan, 'inject'> | undefined;
  readonly connectionId: number;
  /** Heads are counted, for logs. */
  readonly counts: boolean;
  /** Adds one to a counter of the connection manager. */
  readonly count: (name: 'no_cluster') => void;
  /** The CONNECT ends here. */
  readonly terminates: boolean;
  /** For the first try. */
  readonly preferred: PreferredHost | undefined;
}

/** Bytes of a request that are kept for another try, or until a connection is there. */
const defaultBuffer = 1_048_576;
const pauseAt = 65_536;

export class Forward {
  readonly #env: Environment;
  readonly #input: ForwardInput;
  readonly #asker: Asker;
  readonly #retry: RetryPolicy | undefined;
  readonly #priorities: PreviousPriorities | undefined;
  readonly #timeouts: EffectiveTimeouts;
  readonly #timeoutStatus: 204 | 504;
  readonly #maxRetries: number;
  #upstream: Upstream<UpstreamConnection> | undefined;
  #stats: ClusterStats | undefined;
  #ticket: Ticket | undefined;
  #attempt: Attempt | Tunnel | undefined;
  #host: Host | undefined;
  readonly #tried = new Set<Host>();
  #hash: bigint | undefined;
  #cookies: readonly string[] = [];
  /** What came of the request's body, while it may be needed; undefined: it was too much to keep. */
  #kept: Buffer[] | undefined = [];
  #keptBytes = 0;
  #requestEnded = false;
  #trailers: HeaderList | undefined;
  #retries = 0;
  #holdsRetry = false;
  #committed = false;
  readonly #shadows: Shadow[] = [];
  #mirrored = false;
  #over = false;
  #isTunnel = false;
  /** A tunnel whose host has ended its direction, and the client has not. */
  #halfOpen = false;
  #paused = false;
  #responseTimer: Timer | undefined;
  /** When the request was complete. */
  #armedAt: number | undefined;
  #perTryTimer: Timer | undefined;
  /** per_try_idle_timeout. */
  #tryIdleTimer: Timer | undefined;
  #tryActive = 0;
  /** max_stream_duration of the cluster. */
  #tryLifeTimer: Timer | undefined;
  #backOff: Timer | undefined;
  #applied = false;
  /** When all of the request had come. */
  #requestComplete: number | undefined;
  #active = false;
  #requestStarted = 0;

  constructor(env: Environment, input: ForwardInput, asker: Asker) {
    this.#env = env;
    this.#input = input;
    this.#asker = asker;
    const { view, decision } = input;
    this.#retry = retryOf(decision.route.retry, view);
    const priorities = this.#retry?.previousPriorities;
    this.#priorities = priorities && new PreviousPriorities(priorities.updateFrequency);
    this.#maxRetries = this.#retry?.max ?? 0;
    this.#timeouts = effectiveTimeouts(view, decision.route.timeouts, decision.route.retry);
    this.#timeoutStatus = view.headers.has('x-envoy-upstream-rq-timeout-alt-response') ? 204 : 504;
    for (const name of timeoutHeaders) view.headers.remove(name);
  }

  /** `ended`: the request has no body. */
  start(ended: boolean): void {
    const { decision, told, view } = this.#input;
    this.#requestEnded = ended;
    const { cluster, route } = decision;
    const upstream = cluster === '' ? undefined : this.#env.clusters.get(cluster);
    if (!upstream) {
      this.#input.count('no_cluster');
      this.#reply(localReply(route.clusterNotFoundStatus, 'cluster_not_found', { flags: ['NC'] }));
      return;
    }
    this.#upstream = upstream;
    told.cluster = { name: cluster, statName: upstream.cluster.statName };
    this.#stats = clusterStats(this.#env.stats, upstream.cluster.statName);
    this.#requestStarted = this.#env.clock.now();
    if (route.hashPolicy.length > 0) {
      const hashed = hashRequest(
        route.hashPolicy,
        view,
        (text) => xxHash64(Buffer.from(text, 'latin1')),
        () => connectionCookie(view.connection.directRemote, view.connection.local),
      );
      this.#hash = hashed.hash;
      this.#cookies = hashed.cookies;
    }
    if (ended) this.#completed();
    this.#try();
  }

  data(chunk: Buffer): void {
    if (this.#over && !this.#halfOpen) return;
    const attempt = this.#attempt;
    this.#touch();
    for (const shadow of this.#shadows) shadow.data(chunk);
    if (this.#kept) {
      this.#kept.push(chunk);
      this.#keptBytes += chunk.length;
      this.#forget(attempt !== undefined);
    }
    if (attempt) {
      if (!attempt.write(chunk)) this.#asker.pauseRequest();
    } else if (this.#keptBytes > pauseAt) this.#asker.pauseRequest();
  }

  end(trailers: HeaderList | undefined): void {
    if (this.#halfOpen) {
      this.#halfOpen = false;
      this.#attempt?.finish(trailers);
      return;
    }
    if (this.#over) return;
    this.#requestEnded = true;
    this.#trailers = trailers;
    this.#completed();
    for (const shadow of this.#shadows) shadow.end(trailers);
    this.#attempt?.finish(trailers);
  }

  /** The client went away, or the request is given up. */
  cancel(): void {
    if (this.#halfOpen) {
      this.#halfOpen = false;
      this.#attempt?.reset();
      return;
    }
    if (this.#over) return;
    this.#settle();
    if (!this.#requestEnded) for (const shadow of this.#shadows) shadow.cancel();
    this.#resetAttempt();
  }

  /** Ours ends it. Connections of HTTP/1.1 are closed then, which counts as no reset. */
  #resetAttempt(): void {
    const attempt = this.#attempt;
    attempt?.reset();
    if (attempt?.protocol === 'http2') this.#stats!.ownResets.value++;
  }

  /** The asker takes more of the answer. */
  drained(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#attempt?.resume();
  }

  #try(): void {
    const { decision, told } = this.#input;
    const upstream = this.#upstream!;
    const picked = upstream.pick({
      dice: this.#env.dice,
      hash: this.#hash,
      metadataMatch: decision.metadataMatch as Struct | undefined,
      tried: this.#retry?.avoidsPreviousHosts ? this.#tried : undefined,
      retries: this.#retry?.hostAttempts,
      adjust: this.#priorities && ((load) => this.#priorities!.adjust(load)),
      preferred: told.attempts === 0 ? this.#input.preferred : undefined,
      original: this.#original(),
    });
    if (picked.kind === 'none') {
      this.#stats!.noHost.value++;
      this.#reply(localReply(503, 'no_healthy_upstream', { body: 'no healthy upstream', flags: ['UH'] }));
      return;
    }
    const { host } = picked;
    this.#host = host;
    this.#tried.add(host);
    this.#priorities?.tried(host.priority);
    told.attempts++;
    told.tried.push({ address: host.address, hostname: host.hostname });
    told.times.asked = this.#env.clock.now();
    told.upstreamHost = host.address;
    told.host = host;
    this.#apply(host);
    this.#armPerTry();
    const { version, terminates } = this.#input;
    const downstream = terminates ? 'tcp' : version === 'HTTP/2' ? 'http2' : 'http1';
    const key = this.#key(host);
    this.#ticket = upstream.acquire(
      host,
      { priority: decision.route.priority, downstream, ...(key && { key }) },
      {
        ready: (lease) => this.#ready(lease),
        failed: (failure) => this.#failed(failure),
      },
    );
  }

  #original() {
    const { facts, view } = this.#input;
    return {
      restored: facts.restored ? { ip: facts.local.address, port: facts.local.port } : undefined,
      filterState: (key: string) => facts.filterState.get(key),
      header: (name: string) => view.headers.first(name),
      metadata: (namespace: string) =>
        (view.metadata.get(namespace) ?? facts.metadata.get(namespace)) as Struct | undefined,
    };
  }

  #key(host: Host): PoolKey | undefined {
    const { facts, view } = this.#input;
    const { cluster } = this.#upstream!;
    const { autoSni } = cluster.protocol;
    const sni =
      autoSni && hostOnly(autoSni.header === ':authority' ? view.authority : view.headers.first(autoSni.header));
    const transport = this.#upstream!.transportOf(host);
    const shares = facts.shared.size > 0 && transport.kind === 'internal';
    const proxied = transport.kind === 'proxy-protocol';
    if (sni === undefined && !shares && !proxied && !cluster.poolPerDownstreamConnection) return undefined;
    const filterState = shares ? sharedState(facts) : new Map();
    const downstream = proxied ? { remote: facts.remote, local: facts.local } : undefined;
    const value: ConnectionKey = { filterState, sni, downstream };
    const parts = [sni, ...[...filterState].flatMap(([name, { text }]) => [name, text])];
    if (proxied || cluster.poolPerDownstreamConnection) parts.push(String(this.#input.connectionId));
    return { text: JSON.stringify(parts), value };
  }

  /** Once, when the first host is known. */
  #apply(host: Host): void {
    const { decision, view, format, router, told } = this.#input;
    const { attemptCount } = decision.route;
    const tellsOriginal = !router.suppressEnvoyHeaders;
    if (this.#applied) {
      if (attemptCount.request) view.headers.set('x-envoy-attempt-count', String(told.attempts));
      if (tellsOriginal) this.#tellExpected(this.#armedAt === undefined ? 0 : this.#env.clock.now() - this.#armedAt);
      return;
    }
    this.#applied = true;
    if (attemptCount.request) view.headers.set('x-envoy-attempt-count', String(told.attempts));
    applyToRequest(decision, view, format, { tellsOriginal, upstreamName: host.hostname });
    for (const name of routerHeaders) view.headers.remove(name);
    this.#tellExpected(0);
  }

  /** How long the host has; `elapsed`: ms since the request was complete. */
  #tellExpected(elapsed: number): void {
    const { response, perTry } = this.#timeouts;
    const left = response > 0 ? Math.max(1, response - elapsed) : 0;
    const expected = perTry > 0 && (left === 0 || perTry < left) ? perTry : left;
    if (expected <= 0) return;
    const { view, router, decision } = this.#input;
    const text = String(Math.round(expected));
    if (!router.suppressEnvoyHeaders) view.headers.set('x-envoy-expected-rq-timeout-ms', text);
    // A gRPC server heeds its own header.
    if (decision.route.timeouts.grpc !== undefined && isGrpcRequest(view.headers))
      view.headers.set('grpc-timeout', `${text}m`);
  }

  #ready(lease: Lease<UpstreamConnection>): void {
    this.#ticket = undefined;
    if (this.#over) {
      lease.release(true);
      return;
    }
    const { view, told, terminates } = this.#input;
    this.#stats!.total.value++;
    this.#stats!.active.value++;
    this.#active = true;
    const { maxStream } = this.#upstream!.cluster.protocol;
    if (maxStream !== undefined) this.#tryLifeTimer = this.#env.clock.after(maxStream, () => this.#onMaxDuration());
    if (lease.codec.local) told.upstreamLocal = lease.codec.local;
    const { about } = lease.codec;
    told.about = about;
    told.connections.push(about.id);
    told.protocol = lease.protocol === 'http2' ? 'HTTP/2' : 'HTTP/1.1';
    told.times.ready = this.#env.clock.now();
    const bodyless = this.#requestEnded && this.#keptBytes === 0 && this.#trailers === undefined;
    let attempt: Attempt | Tunnel;
    if (terminates) attempt = new Tunnel(lease, this.#events());
    else {
      this.#input.span?.inject(view.headers);
      const head: RequestHead = {
        method: view.method,
        path: view.path === '' ? undefined : view.path,
        authority: view.authority,
        scheme: view.scheme,
        headers: view.headers.toRaw(),
        upgrade: view.upgrade,
        version: this.#input.version,
      };
      // `GET / HTTP/1.1` and `host: x`.
      if (this.#input.counts)
        told.sentHead = headBytes(head.headers, head.method.length + view.path.length + view.authority.length + 18);
      this.#mirror(head, bodyless);
      attempt = new Attempt(lease, head, bodyless, this.#events());
    }
    this.#attempt = attempt;
    // Its own answer, which opening a tunnel is, takes what was kept for another try.
    const kept = this.#kept ?? [];
    if (attempt instanceof Tunnel) attempt.open();
    if (this.#over || this.#attempt !== attempt) return;
    let room = true;
    for (const chunk of kept) room = attempt.write(chunk) && room;
    this.#forget(true);
    if (this.#requestEnded) {
      // A tunnel has an end of its own, whatever its CONNECT ended with.
      if (!bodyless || attempt instanceof Tunnel) attempt.finish(this.#trailers);
    } else if (room) this.#asker.resumeRequest();
  }

  /** Once, with the first try. */
  #mirror(head: RequestHead, bodyless: boolean): void {
    const { mirrors, priority } = this.#input.decision.route;
    if (this.#mirrored || head.upgrade !== undefined || head.method === 'CONNECT') return;
    this.#mirrored = true;
    if (mirrors.length === 0) return;
    const headers = ownHeaders(head.headers, this.#env.ownAddress).toRaw();
    for (const { cluster, perMillion, appendsShadowSuffix } of mirrors) {
      if (this.#env.dice.random() * 1_000_000 >= perMillion) continue;
      const name = cluster.kind === 'name' ? cluster.name : (this.#input.view.headers.first(cluster.header) ?? '');
      const authority = appendsShadowSuffix ? shadowAuthority(head.authority) : head.authority;
      const shadow = new Shadow(this.#env, name, { ...head, authority, headers }, priority, bodyless);
      for (const chunk of this.#kept ?? []) shadow.data(chunk);
      if (this.#requestEnded) shadow.end(this.#trailers);
      this.#shadows.push(shadow);
    }
  }

  /** Keeps the body only while another try may need it. */
  #forget(sent: boolean): void {
    if (!this.#kept || !sent) return;
    const limit = this.#input.decision.route.bufferLimit ?? defaultBuffer;
    if (this.#committed || this.#retries >= this.#maxRetries || this.#keptBytes > limit) {
      this.#kept = this.#committed || this.#keptBytes > 0 ? undefined : this.#kept;
    }
  }

  #events(): AttemptEvents {
    return {
      informational: (head) => this.#asker.informational(head),
      response: (head, end) => this.#onResponse(head, end),
      data: (chunk) => {
        this.#touch();
        this.#input.told.times.bodyStart ??= this.#env.clock.now();
        if (this.#asker.data(chunk) || this.#paused) return;
        this.#paused = true;
        this.#attempt?.pause();
      },
      end: (trailers) => {
        this.#tellOutcome(trailers);
        this.#finished();
        this.#halfOpen = this.#isTunnel && !this.#requestEnded;
        this.#asker.end(trailers);
      },
      broke: (why) => this.#onBreak(why),
      drained: () => this.#asker.resumeRequest(),
    };
  }

  #status = 0;
  #grpcInHead: string | undefined;

  #onResponse(head: ResponseHead, end: boolean): void {
    this.#perTryTimer?.cancel();
    this.#touch();
    const headers = new Headers(head.headers as string[]);
    const response: ResponseView = { status: head.status, headers };
    this.#status = head.status;
    this.#grpcInHead = headers.first('grpc-status');
    const stats = this.#stats!;
    if (!this.#committed && this.#mayRetry({ kind: 'response', response })) {
      stats.retried(head.status);
      this.#tellOutcome(undefined);
      if (!end) this.#resetAttempt();
      this.#again(headers);
      return;
    }
    this.#giveRetry();
    this.#committed = true;
    this.#kept = undefined;
    this.#charge(head.status);
    const { told, router, decision } = this.#input;
    told.times.responseStart = this.#env.clock.now();
    // `HTTP/1.1 200 OK`.
    if (this.#input.counts) told.receivedHead = headBytes(head.headers, 15);
    if (!router.suppressEnvoyHeaders && this.#requestComplete !== undefined) {
      headers.set('x-envoy-upstream-service-time', String(Math.round(this.#env.clock.now() - this.#requestComplete)));
    }
    if (decision.route.attemptCount.response) headers.set('x-envoy-attempt-count', String(told.attempts));
    for (const cookie of this.#cookies) headers.append('set-cookie', cookie);
    this.#isTunnel = head.status === 101 || (this.#input.view.method === 'CONNECT' && head.status < 300);
    if (this.#isTunnel) this.#responseTimer?.cancel();
    if (end) {
      this.#tellOutcome(undefined);
      this.#finished();
    }
    this.#asker.response(response, end);
  }

  #onBreak(why: Break): void {
    const stats = this.#stats!;
    this.#inactive();
    if (this.#attempt?.protocol === 'http2') {
      if (why.kind === 'protocol') stats.ownResets.value++;
      else if (detailOf(why) === 'remote_reset') stats.resets.value++;
      else if (why.kind === 'reset') stats.count('upstream_rq_pending_failure_eject');
    }
    const host = this.#host!;
    if (this.#committed) {
      this.#upstream!.events.failed(host, 'reset');
      this.#settle();
      this.#asker.broke(`upstream_reset_after_response_started{${detailOf(why)}}`, ['UR']);
      return;
    }
    this.#upstream!.events.failed(host, 'reset');
    const outcome: TryOutcome =
      why.kind === 'refused' ? { kind: 'refused-stream' } : { kind: 'reset', beforeRequest: false };
    if (this.#mayRetry(outcome)) {
      this.#again(undefined);
      return;
    }
    const detail = detailOf(why);
    const flag = why.kind === 'protocol' ? 'UPE' : why.kind === 'refused' ? 'UR' : 'UC';
    this.#reply(
      localReply(why.kind === 'protocol' ? 502 : 503, `upstream_reset_before_response_started{${detail}}`, {
        body: `upstream connect error or disconnect/reset before headers. reset reason: ${wordsOf[detail] ?? detail}`,
        flags: [flag],
      }),
    );
  }

  #failed(failure: PoolFailure): void {
    this.#ticket = undefined;
    if (this.#over) return;
    switch (failure.kind) {
      case 'overflow':
        this.#reply(
          localReply(503, 'upstream_reset_before_response_started{overflow}', {
            body: 'upstream connect error or disconnect/reset before headers. reset reason: overflow',
            headers: this.#input.router.suppressEnvoyHeaders ? [] : [['x-envoy-overloaded', 'true']],
            flags: ['UO'],
          }),
        );
        return;
      case 'gone':
        this.#reply(
          localReply(503, 'upstream_reset_before_response_started{connection_termination}', {
            body: 'upstream connect error or disconnect/reset before headers. reset reason: connection termination',
            flags: ['UC'],
          }),
        );
        return;
      case 'connect': {
        if (this.#mayRetry({ kind: 'connect-failure' })) {
          this.#again(undefined);
          return;
        }
        const reason = reasonOf(failure.failure);
        this.#input.told.upstreamFailureReason = reason.transport;
        const more = reason.transport === '' ? '' : `, transport failure reason: ${reason.transport}`;
        this.#reply(
          localReply(503, `upstream_reset_before_response_started{${reason.detail}}`, {
            body: `upstream connect error or disconnect/reset before headers. reset reason: ${reason.words}${more}`,
            flags: ['UF'],
          }),
        );
        return;
      }
      default:
        assertNever(failure);
    }
  }

  #mayRetry(outcome: TryOutcome): boolean {
    const policy = this.#retry;
    if (!policy || this.#input.terminates) return false;
    // There was more of the body than is kept for another try.
    if (this.#kept === undefined && this.#retries < this.#maxRetries) return false;
    if (isRetriable(policy, outcome) === undefined) {
      if (this.#retries > 0) this.#stats!.retrySuccess.value++;
      return false;
    }
    if (this.#retries >= this.#maxRetries) {
      this.#stats!.retryLimit.value++;
      this.#input.told.flags.add('URX');
      return false;
    }
    this.#giveRetry();
    if (!this.#upstream!.admission.take('retries', this.#input.decision.route.priority)) {
      this.#stats!.retryOverflow.value++;
      this.#input.told.flags.add('UO');
      return false;
    }
    this.#holdsRetry = true;
    return true;
  }

  #giveRetry(): void {
    if (!this.#holdsRetry) return;
    this.#holdsRetry = false;
    this.#upstream!.admission.give('retries', this.#input.decision.route.priority);
  }

  #again(headers: Headers | undefined): void {
    this.#attempt = undefined;
    this.#inactive();
    this.#cancelTry();
    this.#retries++;
    this.#stats!.retries.value++;
    const { dice, clock } = this.#env;
    const policy = this.#retry!;
    const asked = headers && policy.limitedBackOff && limitedBackOff(policy, headers, clock.wall(), dice.random());
    this.#stats![asked === undefined ? 'retriesBackedOff' : 'retriesRateLimited'].value++;
    const delay = asked ?? backOffBefore(policy, this.#retries, dice.random());
    this.#backOff = this.#env.clock.after(millis(delay), () => this.#try());
  }

  #completed(): void {
    this.#requestComplete = this.#env.clock.now();
    this.#input.told.times.requestEnd = this.#requestComplete;
    this.#armResponse();
  }

  #armResponse(): void {
    this.#armedAt ??= this.#env.clock.now();
    const ms = this.#timeouts.stream > 0 ? this.#timeouts.stream : this.#timeouts.response;
    if (ms <= 0 || this.#responseTimer || this.#over) return;
    this.#responseTimer = this.#env.clock.after(millis(ms), () => this.#onTimeout());
  }

  #armPerTry(): void {
    const { perTry } = this.#timeouts;
    const idle = this.#input.decision.route.retry?.perTryIdleTimeout;
    this.#cancelTry();
    if (perTry > 0) {
      this.#perTryTimer = this.#env.clock.after(millis(perTry), () => {
        if (!this.#committed) this.#onPerTryTimeout('upstream_per_try_timeout');
      });
    }
    if (idle !== undefined) this.#watchTry(idle);
  }

  #watchTry(limit: number): void {
    const { clock } = this.#env;
    this.#tryActive = clock.now();
    const look = () => {
      const left = this.#tryActive + limit - clock.now();
      if (left > 0) this.#tryIdleTimer = clock.after(millis(left), look);
      else this.#onPerTryTimeout('upstream_per_try_idle_timeout');
    };
    this.#tryIdleTimer = clock.after(millis(limit), look);
  }

  #cancelTry(): void {
    this.#perTryTimer?.cancel();
    this.#tryIdleTimer?.cancel();
    this.#tryIdleTimer = undefined;
    this.#tryLifeTimer?.cancel();
  }

  /** Something came or went. */
  #touch(): void {
    if (this.#tryIdleTimer) this.#tryActive = this.#env.clock.now();
  }

  #onMaxDuration(): void {
    if (this.#over) return;
    this.#abandon();
    if (this.#committed) {
      this.#settle();
      this.#asker.broke('upstream_max_stream_duration_reached', ['UMSDR']);
    } else if (this.#mayRetry({ kind: 'reset', beforeRequest: false })) this.#again(undefined);
    else {
      const body = 'upstream max stream duration reached';
      this.#reply(localReply(504, 'upstream_max_stream_duration_reached', { body, flags: ['UMSDR'] }));
    }
  }

  #onTimeout(): void {
    if (this.#over) return;
    if (this.#stats) this.#stats.timeouts.value++;
    this.#abandon();
    if (this.#host) this.#upstream?.events.failed(this.#host, 'timeout');
    if (this.#committed) {
      this.#settle();
      this.#asker.broke('response_timeout', ['UT']);
      return;
    }
    this.#timedOut('response_timeout');
  }

  #onPerTryTimeout(details: string): void {
    if (this.#over) return;
    this.#stats!.perTryTimeouts.value++;
    this.#abandon();
    if (this.#committed) {
      this.#settle();
      this.#asker.broke(details, ['UT']);
      return;
    }
    if (this.#host) this.#upstream!.events.failed(this.#host, 'timeout');
    if (this.#mayRetry({ kind: 'per-try-timeout' })) {
      this.#again(undefined);
      return;
    }
    this.#timedOut(details);
  }

  #timedOut(details: string): void {
    const body = this.#timeoutStatus === 504 ? 'upstream request timeout' : '';
    this.#reply(localReply(this.#timeoutStatus, details, { body, flags: ['UT'] }));
  }

  #abandon(): void {
    this.#ticket?.cancel();
    this.#ticket = undefined;
    this.#resetAttempt();
    this.#attempt = undefined;
    this.#inactive();
  }

  #charge(status: number): void {
    this.#stats?.responded(status, this.#input.view.headers.first('x-envoy-internal') === 'true');
  }

  #reply(reply: LocalReply): void {
    this.#charge(reply.status);
    this.#settle();
    for (const flag of reply.flags) this.#input.told.flags.add(flag);
    this.#asker.reply(reply);
  }

  #tellOutcome(trailers: HeaderList | undefined): void {
    let grpc = this.#grpcInHead;
    if (trailers)
      for (let i = 0; i < trailers.length; i += 2) if (trailers[i] === 'grpc-status') grpc = trailers[i + 1];
    const status = grpc !== undefined && this.#status === 200 ? httpStatusOf(Number(grpc)) : this.#status;
    this.#upstream!.events.responded(this.#host!, status);
  }

  #inactive(): void {
    if (!this.#active) return;
    this.#active = false;
    this.#stats!.active.value--;
  }

  #finished(): void {
    const now = this.#env.clock.now();
    this.#stats!.time.record(now - this.#requestStarted);
    this.#input.told.times.responseEnd = now;
    this.#settle();
  }

  /** Nothing more is told or timed. */
  #settle(): void {
    this.#over = true;
    this.#inactive();
    this.#giveRetry();
    this.#ticket?.cancel();
    this.#responseTimer?.cancel();
    this.#cancelTry();
    this.#backOff?.cancel();
  }
}

/** Headers that are the router's own and go no further. */
const routerHeaders = [
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-max-retries',
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-hedge-on-per-try-timeout',
];

function hostOnly(authority: string | undefined): string | undefined {
  return authority?.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
}

const wordsOf: Readonly<Record<string, string>> = {
  connection_termination: 'connection termination',
  remote_reset: 'remote reset',
  remote_refused_stream_reset: 'remote refused stream reset',
  protocol_error: 'protocol error',
};

function detailOf(why: Break): string {
  switch (why.kind) {
    case 'refused':
      return 'remote_refused_stream_reset';
    case 'protocol':
      return 'protocol_error';
    case 'reset':
      return why.detail.startsWith('the server reset the stream') ? 'remote_reset' : 'connection_termination';
  }
}

function reasonOf(failure: ConnectFailure): {
  readonly detail: string;
  readonly words: string;
  readonly transport: string;
} {
  if (failure.kind === 'timeout') return { detail: 'connection_timeout', words: 'connection timeout', transport: '' };
  if (failure.tls) {
    const transport = `TLS_error: ${failure.detail}`;
    return { detail: `connection_failure|${transport}`, words: 'connection failure', transport };
  }
  const refused = /ECONNREFUSED/.test(failure.detail);
  const transport = refused ? 'delayed connect error: Connection refused' : failure.detail;
  return {
    detail: `remote_connection_failure|${transport.replaceAll(' ', '_')}`,
    words: 'remote connection failure',
    transport,
  };
}
