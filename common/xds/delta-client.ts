/**
 * ztunnel's side of delta xDS (ambient-wire 3.7): subscribes to all addresses, or to those on demand, and to all policies, applies them to the store, ACKs, and
 * NACKs what it cannot honour while the rest of the response applies. What was learned stays when istiod goes away.
 */
import { Client, type ClientDuplexStream, connectivityState, type StatusObject } from '@grpc/grpc-js';
import {
  addressTypeUrl,
  deltaAdsService,
  type Encodable,
  type PbDeltaRequest,
  type PbDeltaResponse,
  type PbNode,
} from '../api/index.ts';
import { type Millis, millis } from '../core/brand.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { describeError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { MeshStore } from '../mesh/store.ts';
import { classify, nextDelay, type Termination } from './backoff.ts';
import type { Connection } from './connect.ts';
import type { OnDemand } from './demand.ts';
import { addressSubscription, policySubscription, type Subscription } from './subscription.ts';

export interface XdsMetrics {
  readonly message: (typeUrl: string, bytes: number) => void;
  readonly terminated: (reason: Termination['reason']) => void;
}

export interface DeltaClientOptions {
  /** Asked for each connection, so that rotated tokens and roots are used. A rejection counts as a failed connection. */
  readonly connect: () => Promise<Connection>;
  readonly node: Encodable<PbNode>;
  readonly store: MeshStore;
  /** Addresses are asked for one by one. Absent: all are subscribed to. */
  readonly demand?: OnDemand | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: XdsMetrics;
  /** Ends the client for good. */
  readonly signal: AbortSignal;
}

export interface DeltaClient {
  /** Resolves when the first responses of both types have been applied, each but for what was NACKed of it. */
  readonly applied: Promise<void>;
  /** Resolves when the first responses of both types have been ACKed; never, when the signal aborts before. */
  readonly ready: Promise<void>;
  /** Type URLs whose first response has not been ACKed yet. */
  pending(): readonly string[];
}

/** Connecting to istiod may take this long. */
const connectTimeout = millis(5_000);

type Stream = ClientDuplexStream<Encodable<PbDeltaRequest>, PbDeltaResponse>;

/** Starts at once and connects again after every end: 10 ms doubling to 15 s. */
export function startDeltaClient(options: DeltaClientOptions): DeltaClient {
  const applied = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<void>();
  // In this order: endpoints and services before the policies about them (ambient-wire 3.1).
  const types = [addressSubscription(options.store), policySubscription(options.store)];
  const client = new Subscriber(types, options, { applied: applied.resolve, ready: ready.resolve });
  void run(client, options);
  return {
    applied: applied.promise,
    ready: ready.promise,
    pending: () => types.filter((t) => !t.acked).map((t) => t.typeUrl),
  };
}

async function run(client: Subscriber, { clock, log, metrics, signal }: DeltaClientOptions): Promise<void> {
  let delay: Millis | undefined;
  while (!signal.aborted) {
    const { end, delivered } = await client.connectOnce();
    if (signal.aborted) return;
    metrics.terminated(end.reason);
    delay = nextDelay(delay, end, delivered);
    log.warn('connection to the control plane ended', { reason: end.reason, detail: end.detail, retry_ms: delay });
    await sleep(clock, delay, signal);
  }
}

interface Outcome {
  readonly end: Termination;
  /** Some response arrived. */
  readonly delivered: boolean;
}

function failed(detail: string): Outcome {
  return { end: { reason: 'ConnectionError', detail }, delivered: false };
}

/** Called again and again; the first call of each counts. */
interface Milestones {
  readonly applied: () => void;
  readonly ready: () => void;
}

class Subscriber {
  readonly #types: readonly Subscription[];
  readonly #options: DeltaClientOptions;
  readonly #milestones: Milestones;

  constructor(types: readonly Subscription[], options: DeltaClientOptions, milestones: Milestones) {
    this.#types = types;
    this.#options = options;
    this.#milestones = milestones;
  }

  /** Runs one connection to its end. Never rejects. */
  async connectOnce(): Promise<Outcome> {
    let connection: Connection;
    try {
      connection = await this.#options.connect();
    } catch (e) {
      return failed(describeError(e));
    }
    if (this.#options.signal.aborted) return failed('the client was closed');
    const client = new Client(connection.target, connection.credentials, connection.options);
    try {
      return await this.#stream(client, connection);
    } finally {
      client.close();
    }
  }

  #stream(client: Client, connection: Connection): Promise<{ readonly end: Termination; readonly delivered: boolean }> {
    const { clock, signal, log, demand } = this.#options;
    const method = deltaAdsService.DeltaAggregatedResources;
    const stream = client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      connection.metadata,
    );
    return new Promise((resolve) => {
      let connected = false;
      let delivered = false;
      let timedOut = false;
      const timer = clock.after(connectTimeout, () => {
        timedOut = client.getChannel().getConnectivityState(false) !== connectivityState.READY;
        if (timedOut) stream.cancel();
      });
      const cancel = () => stream.cancel();
      signal.addEventListener('abort', cancel, { once: true });
      stream.on('metadata', () => {
        connected = true;
        log.info('connected to the control plane', { address: connection.target });
      });
      stream.on('data', (response: PbDeltaResponse) => {
        delivered = true;
        this.#handle(stream, response);
      });
      // The status event tells the same with its code, and always comes.
      stream.on('error', () => undefined);
      stream.on('status', (s: StatusObject) => {
        timer.cancel();
        demand?.closed();
        signal.removeEventListener('abort', cancel);
        if (timedOut) resolve(failed(`${connection.target} did not answer within ${connectTimeout} ms`));
        else resolve({ end: classify(s.code, s.details, connected), delivered });
      });
      for (const type of this.#types) stream.write(this.#initialRequest(type));
      demand?.opened((resourceNamesSubscribe, resourceNamesUnsubscribe) => {
        stream.write({ typeUrl: addressTypeUrl, resourceNamesSubscribe, resourceNamesUnsubscribe });
      });
    });
  }

  #initialRequest(type: Subscription): Encodable<PbDeltaRequest> {
    const { node, demand } = this.#options;
    const { typeUrl, versions } = type;
    if (!demand || typeUrl !== addressTypeUrl) {
      return { node, typeUrl, initialResourceVersions: Object.fromEntries(versions) };
    }
    // Both at once mean: nothing but what is named. A name without a version is asked for anew.
    const asked = demand.names().map((name) => [name, ''] as const);
    return {
      node,
      typeUrl,
      resourceNamesSubscribe: ['*'],
      resourceNamesUnsubscribe: ['*'],
      initialResourceVersions: Object.fromEntries([...asked, ...versions]),
    };
  }

  #handle(stream: Stream, response: PbDeltaResponse): void {
    const { log, metrics } = this.#options;
    const { typeUrl, nonce } = response;
    const type = this.#types.find((t) => t.typeUrl === typeUrl);
    if (!type) {
      log.warn('the control plane sent a type that was not asked for', { type_url: typeUrl });
      stream.write({ typeUrl, responseNonce: nonce, errorDetail: { message: `${typeUrl} was not subscribed to` } });
      return;
    }
    metrics.message(
      typeUrl,
      response.resources.reduce((sum, r) => sum + (r.resource?.value.length ?? 0), 0),
    );
    const rejected = type.apply(response);
    if (typeUrl === addressTypeUrl && this.#options.demand) {
      const unusable = rejected.map((r) => r.name).filter((name) => !type.versions.has(name));
      this.#options.demand.applied(response, new Set(unusable));
    }
    if (this.#types.every((t) => t.applied)) this.#milestones.applied();
    for (const { name, reason } of rejected) {
      log.warn('rejected a resource, the last good version stays', { type_url: typeUrl, name, reason });
    }
    if (rejected.length > 0) {
      const message = rejected.map((r) => `${r.name}: ${r.reason}`).join('; ');
      stream.write({ typeUrl, responseNonce: nonce, errorDetail: { message } });
      return;
    }
    stream.write({ typeUrl, responseNonce: nonce });
    type.acked = true;
    if (this.#types.every((t) => t.acked)) this.#milestones.ready();
  }
}
