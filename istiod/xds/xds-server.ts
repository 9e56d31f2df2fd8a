/** The xDS server: delta and state of the world, one `Client` a stream. */
import { type ServerDuplexStream, type ServerErrorResponse, type ServiceDefinition, status } from '@grpc/grpc-js';
import {
  addressTypeUrl,
  authorizationTypeUrl,
  deltaAdsService,
  type PbDeltaRequest,
  type PbDiscoveryRequest,
  type PbNode,
  stateAdsService,
  workloadTypeUrl,
} from '../../common/api/index.ts';
import { type Millis, millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Authenticator } from '../authenticator.ts';
import { type Caller, opaqueRefusal, Unauthenticated } from '../caller.ts';
import { type Asker, type DebugAnswer, isDebugType } from '../debug/xds-debug.ts';
import type { Guests } from '../machines/guests.ts';
import type { XdsMetrics } from '../metrics.ts';
import type { MeshChange } from '../model/ambient-index.ts';
import type { Catalog } from '../model/catalog.ts';
import type { PeerControl } from '../ports/grpc-port.ts';
import { isLoopback } from '../ports/loopback.ts';
import { Client, type ClientStatus, type Welcome } from './client.ts';
import { EnvoyGroups, type GroupsOptions } from './envoy/groups.ts';
import { Feed, type FeedType } from './feed.ts';
import type { Identity } from './identity.ts';
import { Journal } from './journal.ts';
import { WorkloadOrder } from './order.ts';
import { Rounds } from './rounds.ts';
import type { Ask } from './subscription.ts';
import { encodeDelta, encodeResource, encodeState } from './wire.ts';

export interface XdsServerOptions {
  readonly catalog: Catalog;
  /** What Envoys' configuration is made of; undefined: none are served. */
  readonly envoy: Pick<GroupsOptions, 'mesh' | 'network' | 'onMade'> | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: XdsMetrics;
  /** Who answers, as JSON. */
  readonly controlPlane: string;
  /** How long a client may take to answer a response, or to send its first request. */
  readonly ackTimeout: Millis;
  /** Answers types that istioctl asks for. */
  readonly debug: (typeUrl: string, names: readonly string[], asker: Asker) => DebugAnswer;
  /** Told of clients that have said who they are, and what their agents say of their health. */
  readonly guests?: Pick<Guests, 'came' | 'went' | 'health'> | undefined;
  /** Somebody came, went or answered. */
  readonly onProgress: () => void;
  /** Somebody refused a response. */
  readonly onNack: () => void;
  readonly signal: AbortSignal;
}

/** The port that calls come by. */
export interface Entrance extends Pick<PeerControl, 'admitted' | 'cut'> {
  /** undefined: everybody is served. */
  readonly authenticate: Authenticator | undefined;
}

/** What agents beside a proxy say of its health: no error, or why it is none. Nobody answers. */
const healthTypeUrl = 'type.googleapis.com/istio.v1.HealthInformation';

type Stream<Request> = ServerDuplexStream<Request, Buffer>;

const ready = (bytes: Buffer) => bytes;
/** Both forms of xDS; responses are bytes already. */
export const xdsService = {
  DeltaAggregatedResources: { ...deltaAdsService.DeltaAggregatedResources, responseSerialize: ready },
  StreamAggregatedResources: { ...stateAdsService.StreamAggregatedResources, responseSerialize: ready },
} satisfies ServiceDefinition;

/** Ms that responses are kept when nobody is left to push to: those who come together are not served in one round. */
const keptFor = millis(1_000);
/** Ms that a call that was failed has to go before its connection is closed. */
const lastWords = millis(1_000);

export class XdsServer {
  readonly #options: XdsServerOptions;
  readonly #clients = new Set<Client>();
  readonly #addresses = new Journal();
  readonly #authorizations = new Journal();
  readonly #feeds: ReadonlyMap<FeedType, Feed>;
  readonly #groups: EnvoyGroups | undefined;
  readonly #rounds: Rounds<Client>;
  #generation = 0;
  #nonces = 0;
  #connections = 0;
  #releasing: Timer | undefined;

  constructor(options: XdsServerOptions) {
    this.#options = options;
    const { catalog, controlPlane, clock, signal } = options;
    const feed = (type: FeedType, journal: Journal) =>
      [type, new Feed({ type, catalog, journal, controlPlane, nonce: () => String(++this.#nonces) })] as const;
    this.#feeds = new Map([
      feed(authorizationTypeUrl, this.#authorizations),
      feed(addressTypeUrl, this.#addresses),
      feed(workloadTypeUrl, this.#addresses),
    ]);
    const { log, envoy } = options;
    this.#groups = envoy && new EnvoyGroups({ ...envoy, log, controlPlane, nonce: () => String(++this.#nonces) });
    this.#rounds = new Rounds(clock, () => this.#releaseSoon());
    signal.addEventListener('abort', () => this.#rounds.close(), { once: true });
    this.#watchDeadlines();
  }

  /** For one port. */
  handlers(entrance: Entrance) {
    return {
      DeltaAggregatedResources: (stream: Stream<PbDeltaRequest>) => this.#accept(stream, entrance, askOfDelta),
      StreamAggregatedResources: (stream: Stream<PbDiscoveryRequest>) => this.#accept(stream, entrance, askOfState),
    };
  }

  /** Returns the generation that the change has got. */
  changed(change: MeshChange): number {
    this.#generation++;
    const { triggers } = this.#options.metrics;
    if (change.addresses.size > 0) triggers.inc({ type: 'endpoint' });
    if (change.authorizations.size > 0) triggers.inc({ type: 'config' });
    this.#addresses.note(this.#generation, change.addresses);
    this.#authorizations.note(this.#generation, change.authorizations);
    this.#authorizations.noteLate(this.#generation, change.narrowed);
    for (const client of this.#clients) client.changed(change);
    this.#groups?.changed(change.lookups, this.#generation);
    this.#forget(this.#addresses, [addressTypeUrl, workloadTypeUrl]);
    this.#forget(this.#authorizations, [authorizationTypeUrl]);
    return this.#generation;
  }

  /** Encodes what there is, in parts, before somebody waits for it. What only older clients ask for is left for them. */
  async prepare(): Promise<void> {
    for (const [type, feed] of this.#feeds) {
      if (type === workloadTypeUrl) continue;
      for (const _ of feed.prepare()) await new Promise(setImmediate);
    }
  }

  get clients(): ReadonlySet<Client> {
    return this.#clients;
  }

  /** Of those that have said who they are. */
  statuses(): readonly ClientStatus[] {
    return [...this.#clients].filter((c) => c.id !== '').map((c) => c.status());
  }

  /** Lets go of responses, which may be as large as the mesh. */
  #releaseSoon(): void {
    this.#releasing ??= this.#options.clock.after(keptFor, () => {
      this.#releasing = undefined;
      for (const f of this.#feeds.values()) f.release();
      this.#groups?.release();
    });
  }

  #forget(journal: Journal, types: readonly FeedType[]): void {
    journal.forget(() => {
      let told = journal.last;
      for (const client of this.#clients) for (const type of types) told = Math.min(told, client.told(type));
      return told;
    });
  }

  #accept<R extends { readonly node: PbNode | null }>(stream: Stream<R>, entrance: Entrance, ask: (r: R) => Ask): void {
    const { log } = this.#options;
    const peer = stream.getPeer();
    stream.on('error', (e) => log.debug('xDS stream failed', { peer, error: e.message }));
    const { authenticate } = entrance;
    if (authenticate === undefined) {
      this.#serve(stream, entrance, ask, undefined);
      return;
    }
    authenticate(stream.metadata, stream.getAuthContext()).then(
      (caller) => {
        entrance.admitted(peer);
        this.#serve(stream, entrance, ask, caller);
      },
      (e: unknown) => {
        const reason = e instanceof Unauthenticated ? e.message : describeError(e);
        log.warn('xDS client refused', { peer, reason });
        fail(stream, opaqueRefusal.code, opaqueRefusal.details);
      },
    );
  }

  #serve<R extends { readonly node: PbNode | null }>(
    stream: Stream<R>,
    entrance: Entrance,
    ask: (r: R) => Ask,
    caller: Caller | undefined,
  ): void {
    if (stream.cancelled) return;
    const { clock, log, metrics, onProgress, onNack } = this.#options;
    const peer = stream.getPeer();
    let open = true;
    const wire = {
      peer,
      write: (bytes: Buffer, done: () => void) => void stream.write(bytes, done),
      fail: (code: status, reason: string) => {
        fail(stream, code, reason);
        // A peer that does not read never gets the status, and would hold what waits before it.
        clock.after(lastWords, () => {
          if (open) entrance.cut(peer);
        });
      },
    };
    const client: Client = new Client(wire, caller, `${peer}-${++this.#connections}`, {
      welcome: (identity) => this.#welcome(client, identity),
      clock,
      log,
      metrics,
      nacked: onNack,
      writing: (bytes) => this.#rounds.writing(bytes),
      due: (c, delay) => {
        if (delay === 0) this.#rounds.add(c);
        else clock.after(millis(delay), () => !c.isClosed && this.#rounds.add(c));
      },
    });
    this.#clients.add(client);
    metrics.clients.set(this.#clients.size);
    const done = () => {
      if (!open) return;
      open = false;
      client.close();
      this.#rounds.delete(client);
      this.#clients.delete(client);
      this.#groups?.left(client);
      this.#options.guests?.went(client);
      metrics.clients.set(this.#clients.size);
      onProgress();
    };
    stream.on('close', done);
    stream.on('cancelled', done);
    stream.on('end', () => {
      done();
      stream.end();
    });
    const told = new Set<string | undefined>();
    stream.on('data', (request: R) => {
      const asked = ask(request);
      if (isDebugType(asked.typeUrl)) {
        // No proxy, and no deadlines for whoever reads it.
        done();
        // What is no answer to us is a question, whatever nonce it has: istioctl's have one.
        if (told.has(asked.nonce)) return;
        const nonce = this.#tell(stream, asked, { caller, isLocal: isLoopback(peer.slice(0, peer.lastIndexOf(':'))) });
        if (nonce !== undefined) entrance.admitted(peer);
        told.add(nonce);
        return;
      }
      if (asked.typeUrl === healthTypeUrl) {
        this.#options.guests?.health(client, asked.error);
        return;
      }
      const isNew = client.id === '';
      client.request(asked, request.node);
      if (isNew && client.id !== '' && !client.isClosed) this.#options.guests?.came(client);
      // On a plain port a peer is admitted by a request that makes sense.
      if (client.id !== '' && entrance.authenticate === undefined) entrance.admitted(peer);
      onProgress();
    });
  }

  #welcome(client: Client, identity: Exclude<Identity, { kind: 'refused' }>): Welcome {
    if (identity.kind === 'ztunnel') return { kind: 'ok', feeds: this.#feeds, order: new WorkloadOrder() };
    if (this.#groups !== undefined) return this.#groups.joined(client, identity, this.#generation);
    return { kind: 'refused', code: status.UNIMPLEMENTED, reason: 'only ztunnels are served here' };
  }

  /** The nonce of the answer; undefined: refused. */
  #tell(stream: Pick<Stream<never>, 'emit' | 'write'>, { typeUrl, names }: Ask, asker: Asker): string | undefined {
    const { debug, controlPlane } = this.#options;
    const answer = debug(typeUrl, names.kind === 'delta' ? names.subscribe : names.names, asker);
    if (answer.kind === 'refused') {
      fail(stream, answer.code, answer.reason);
      return undefined;
    }
    const { valueType, values } = answer;
    const own = String(++this.#nonces);
    stream.write(
      names.kind === 'state'
        ? encodeState({ typeUrl, nonce: own, versionInfo: own, values, controlPlane, valueType })
        : encodeDelta({
            typeUrl,
            nonce: own,
            removed: [],
            resources: values.map((value, i) =>
              encodeResource({ name: names.subscribe[i] ?? typeUrl, version: own, aliases: [], value }, valueType),
            ),
          }),
    );
    return own;
  }

  /** Ends clients that do not answer. */
  #watchDeadlines(): void {
    const { clock, ackTimeout, log, metrics, signal } = this.#options;
    if (signal.aborted) return;
    clock.after(millis(ackTimeout / 4), () => {
      for (const client of this.#clients) {
        const since = client.waitingSince;
        if (client.isClosed || since === undefined || clock.now() - since < ackTimeout) continue;
        log.warn('xDS client does not answer, closed', { node: client.id, peer: client.peer, timeout_ms: ackTimeout });
        metrics.writeTimeout.inc();
        client.fail(status.DEADLINE_EXCEEDED, `no answer within ${ackTimeout} ms`);
      }
      this.#watchDeadlines();
    });
  }
}

function askOfDelta(r: PbDeltaRequest): Ask {
  return {
    typeUrl: r.typeUrl,
    nonce: r.responseNonce,
    error: r.errorDetail?.message,
    names: {
      kind: 'delta',
      subscribe: r.resourceNamesSubscribe,
      unsubscribe: r.resourceNamesUnsubscribe,
      versions: new Map(Object.entries(r.initialResourceVersions)),
    },
  };
}

function askOfState(r: PbDiscoveryRequest): Ask {
  return {
    typeUrl: r.typeUrl,
    nonce: r.responseNonce,
    error: r.errorDetail?.message,
    names: { kind: 'state', names: r.resourceNames },
  };
}

/** grpc-js ends a stream with a status by an error event. */
function fail(stream: Pick<Stream<never>, 'emit'>, code: status, details: string): void {
  const error: ServerErrorResponse = Object.assign(new Error(details), { code, details });
  stream.emit('error', error);
}
