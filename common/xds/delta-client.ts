/**
 * ztunnel's side of delta xDS (ambient-wire 3.7): subscribes to all addresses, or to those on demand, and to all policies, applies them to the store, ACKs, and
 * NACKs what it cannot honour while the rest of the response applies. What was learned stays when istiod goes away.
 */
import {
  addressTypeUrl,
  type Encodable,
  type PbDeltaRequest,
  type PbDeltaResponse,
  type PbNode,
} from '../api/index.ts';
import type { MeshStore } from '../mesh/store.ts';
import type { Termination } from './backoff.ts';
import { type DeltaStream, type DeltaStreamOptions, keepDeltaStream } from './delta-stream.ts';
import type { OnDemand } from './demand.ts';
import { addressSubscription, policySubscription, type Subscription } from './subscription.ts';

export interface XdsMetrics {
  readonly message: (typeUrl: string, bytes: number) => void;
  readonly terminated: (reason: Termination['reason']) => void;
}

export interface DeltaClientOptions extends DeltaStreamOptions {
  readonly node: Encodable<PbNode>;
  readonly store: MeshStore;
  /** Addresses are asked for one by one. Absent: all are subscribed to. */
  readonly demand?: OnDemand | undefined;
  readonly metrics: XdsMetrics;
}

export interface DeltaClient {
  /** Resolves when the first responses of both types have been applied, each but for what was NACKed of it. */
  readonly applied: Promise<void>;
  /** Resolves when the first responses of both types have been ACKed; never, when the signal aborts before. */
  readonly ready: Promise<void>;
  /** Type URLs whose first response has not been ACKed yet. */
  pending(): readonly string[];
}

/** Starts at once and connects again after every end: 10 ms doubling to 15 s. */
export function startDeltaClient(options: DeltaClientOptions): DeltaClient {
  const applied = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<void>();
  // In this order: endpoints and services before the policies about them (ambient-wire 3.1).
  const types = [addressSubscription(options.store), policySubscription(options.store)];
  const client = new Subscriber(types, options, { applied: applied.resolve, ready: ready.resolve });
  void keepDeltaStream(options, {
    opened: (stream) => client.subscribe(stream),
    response: (stream, response) => client.handle(stream, response),
    closed: () => options.demand?.closed(),
    terminated: options.metrics.terminated,
  });
  return {
    applied: applied.promise,
    ready: ready.promise,
    pending: () => types.filter((t) => !t.acked).map((t) => t.typeUrl),
  };
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

  subscribe(stream: DeltaStream): void {
    for (const type of this.#types) stream.write(this.#initialRequest(type));
    this.#options.demand?.opened((resourceNamesSubscribe, resourceNamesUnsubscribe) => {
      stream.write({ typeUrl: addressTypeUrl, resourceNamesSubscribe, resourceNamesUnsubscribe });
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

  handle(stream: DeltaStream, response: PbDeltaResponse): void {
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
