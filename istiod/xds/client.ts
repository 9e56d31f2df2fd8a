/** One stream of xDS: who is at its end, what it subscribed to, and in which order it is told. */
import { status } from '@grpc/grpc-js';
import {
  addressTypeUrl,
  authorizationTypeUrl,
  type PbNode,
  type PbStruct,
  stringField,
  workloadTypeUrl,
} from '../../common/api/index.ts';
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Caller } from '../caller.ts';
import type { XdsMetrics } from '../metrics.ts';
import type { MeshChange } from '../model/ambient-index.ts';
import type { Feed, FeedType, Part } from './feed.ts';
import { typeLabel } from './labels.ts';
import { type Ask, Subscription, type SubscriptionStatus } from './subscription.ts';

/** The stream below a client. */
export interface Wire {
  readonly peer: string;
  /** `done` is called when the bytes have gone to the kernel. */
  write(bytes: Buffer, done: () => void): void;
  /** Ends the call with a status. Nothing is written afterwards. */
  fail(code: status, reason: string): void;
}

export interface ClientOptions {
  readonly feeds: ReadonlyMap<string, Feed>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: XdsMetrics;
  /** There is something to push, now or after so many ms. */
  readonly due: (client: Client, delay: number) => void;
  /** Such bytes are on their way to the kernel. */
  readonly writing: (bytes: number) => () => void;
}

export interface ClientStatus {
  readonly id: string;
  readonly connectionId: string;
  readonly node: string;
  readonly peer: string;
  /** Wall time, ms. */
  readonly connectedAt: number;
  readonly metadata: PbStruct | null;
  readonly types: ReadonlyMap<FeedType, SubscriptionStatus & { readonly sentAt: number; readonly isWaiting: boolean }>;
}

/** Ms that a client has for its second subscription, before the first is answered: addresses come with their policies then. */
const secondRequest = 10;

export class Client {
  readonly connectionId: string;
  readonly #wire: Wire;
  readonly #caller: Caller | undefined;
  readonly #options: ClientOptions;
  readonly #subscriptions = new Map<FeedType, Subscription>();
  readonly #sentAt = new Map<FeedType, number>();
  readonly #connectedAt: number;
  /** When the oldest response that is not answered yet was written; before the first request, when the stream came. */
  #waitingSince: number | undefined;
  #id = '';
  /** NODE_NAME of the client. */
  #node = '';
  #metadata: PbStruct | null = null;
  /** When the oldest change that is not pushed yet came. */
  #changedAt: number | undefined;
  #closed = false;

  constructor(wire: Wire, caller: Caller | undefined, connectionId: string, options: ClientOptions) {
    this.#wire = wire;
    this.#caller = caller;
    this.connectionId = connectionId;
    this.#options = options;
    this.#connectedAt = options.clock.wall();
    this.#waitingSince = options.clock.now();
  }

  get id(): string {
    return this.#id;
  }

  get peer(): string {
    return this.#wire.peer;
  }

  get caller(): Caller | undefined {
    return this.#caller;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Since when, on the monotonic clock, it owes us an answer; undefined: it owes none. */
  get waitingSince(): number | undefined {
    return this.#waitingSince;
  }

  close(): void {
    this.#closed = true;
  }

  /** Ends the stream with a status. */
  fail(code: status, reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#wire.fail(code, reason);
  }

  /** Whether a part of its id or its connection's is that. */
  names(part: string): boolean {
    return this.#id.includes(part) || this.connectionId.includes(part);
  }

  status(): ClientStatus {
    return {
      id: this.#id,
      connectionId: this.connectionId,
      node: this.#node,
      peer: this.#wire.peer,
      connectedAt: this.#connectedAt,
      metadata: this.#metadata,
      types: new Map(
        [...this.#subscriptions].map(([type, s]) => [
          type,
          { ...s.status, isWaiting: s.isWaiting, sentAt: this.#sentAt.get(type) ?? 0 },
        ]),
      ),
    };
  }

  /** Undefined where the client does not follow the type. */
  subscription(type: FeedType): Subscription | undefined {
    return this.#subscriptions.get(type);
  }

  /** Generation up to which the feeds of that journal have nothing to remember for this client. */
  told(type: FeedType): number {
    return this.#subscriptions.get(type)?.told ?? Number.POSITIVE_INFINITY;
  }

  changed(change: MeshChange): void {
    this.#subscriptions.get(addressTypeUrl)?.changed(change.addresses);
    this.#subscriptions.get(workloadTypeUrl)?.changed(change.addresses);
    this.#subscriptions.get(authorizationTypeUrl)?.changed(change.authorizations);
    if (!this.#isDue()) return;
    this.#changedAt ??= this.#options.clock.now();
    this.#options.due(this, 0);
  }

  /** `node` comes with the first request at least. */
  request(ask: Ask, node: PbNode | null): void {
    if (this.#closed) return;
    if (this.#id === '') {
      const refusal = this.#identify(node);
      if (refusal !== undefined) {
        this.#options.log.warn('xDS client refused', { peer: this.#wire.peer, reason: refusal.reason });
        this.fail(refusal.code, refusal.reason);
        return;
      }
      this.#waitingSince = undefined;
      this.#options.log.info('xDS client connected', { node: this.#id, peer: this.#wire.peer });
    }
    const feed = this.#options.feeds.get(ask.typeUrl);
    if (feed === undefined) {
      this.fail(status.INVALID_ARGUMENT, `type ${JSON.stringify(ask.typeUrl.slice(0, 200))} is not served`);
      return;
    }
    const known = this.#subscriptions.get(feed.type);
    const subscription = known ?? new Subscription(feed, this.#node);
    this.#subscriptions.set(feed.type, subscription);
    const answer = subscription.request(ask);
    if (answer.kind === 'excess') {
      this.fail(status.RESOURCE_EXHAUSTED, answer.reason);
      return;
    }
    if (answer.kind === 'nack') {
      this.#options.metrics.rejects.inc({ type: typeLabel(feed.type) });
      const reason = answer.reason.slice(0, 1_000);
      this.#options.log.warn('xDS client NACKed', { node: this.#id, type: typeLabel(feed.type), reason });
    } else if (answer.kind === 'none' && ask.nonce !== '') this.#options.metrics.expiredNonce.inc();
    if (![...this.#subscriptions.values()].some((s) => s.isWaiting)) this.#waitingSince = undefined;
    // An answer may also have been what another type waits for.
    if (!this.#isDue()) return;
    const alone =
      known === undefined && feed.type !== authorizationTypeUrl && !this.#subscriptions.has(authorizationTypeUrl);
    this.#options.due(this, alone ? secondRequest : 0);
  }

  /**
   * Policies that are new go before the addresses that may refer to them, policies that are gone after the addresses that
   * referred to them. Without this order a client would know a reference without its policy for a moment.
   */
  push(): void {
    if (this.#closed) return;
    const { clock, metrics } = this.#options;
    if (this.#changedAt !== undefined) metrics.queueTime.observe((clock.now() - this.#changedAt) / 1000);
    const policies = this.#subscriptions.get(authorizationTypeUrl);
    const others = [addressTypeUrl, workloadTypeUrl].flatMap((t) => this.#subscriptions.get(t as FeedType) ?? []);
    if (policies !== undefined) {
      const kept = others.some((s) => s.hasPending || s.isWaiting);
      this.#send(policies, kept ? 'without-removals' : 'all');
    }
    const policiesHeldBack = policies?.isWaiting && policies.hasPendingUpdates;
    if (!policiesHeldBack) for (const s of others) this.#send(s, 'all');
    if (this.#changedAt !== undefined) {
      metrics.convergence.observe((clock.now() - this.#changedAt) / 1000);
      this.#changedAt = undefined;
    }
  }

  #isDue(): boolean {
    return [...this.#subscriptions.values()].some((s) => s.hasPending && !s.isWaiting);
  }

  #send(subscription: Subscription, part: Part): void {
    if (!subscription.hasPending) return;
    const { clock, metrics, log, writing } = this.#options;
    const began = clock.now();
    const message = subscription.next(part);
    if (message === undefined) return;
    const { type } = subscription.feed;
    const label = { type: typeLabel(type) };
    this.#waitingSince ??= began;
    this.#sentAt.set(type, clock.wall());
    const written = writing(message.bytes.length);
    this.#wire.write(message.bytes, () => {
      metrics.sendTime.observe((clock.now() - began) / 1000);
      written();
    });
    metrics.pushes.inc(label);
    metrics.pushTime.observe(label, (clock.now() - began) / 1000);
    metrics.configSize.observe(label, message.bytes.length);
    if (!log.enabled('debug')) return;
    log.debug('xDS push', {
      node: this.#id,
      ...label,
      resources: message.resources.length,
      removed: message.removed.length,
    });
  }

  /** ambient-wire 3.8. */
  #identify(node: PbNode | null): { readonly code: status; readonly reason: string } | undefined {
    const id = node?.id ?? '';
    const parts = id.split('~');
    if (parts.length !== 4 || parts[0] !== 'ztunnel') {
      const shown = JSON.stringify(id.slice(0, 200));
      return { code: status.INVALID_ARGUMENT, reason: `node id ${shown} is not that of a ztunnel` };
    }
    const metadata = node?.metadata ?? null;
    const caller = this.#caller;
    if (caller !== undefined) {
      const account = stringField(metadata, 'SERVICE_ACCOUNT') ?? '';
      const sameNamespace = stringField(metadata, 'NAMESPACE') === caller.namespace;
      if (!sameNamespace || (account !== '' && account !== caller.serviceAccount)) {
        const who = `${caller.namespace}/${caller.serviceAccount}`;
        return { code: status.PERMISSION_DENIED, reason: `node ${id} does not belong to ${who}` };
      }
    }
    this.#id = id;
    this.#metadata = metadata;
    this.#node = stringField(metadata, 'NODE_NAME') ?? '';
    return undefined;
  }
}
