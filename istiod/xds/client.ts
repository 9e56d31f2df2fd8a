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
import type { EnvoyGroup, GroupChange } from './envoy/group.ts';
import type { Feed, FeedType, Message, Part } from './feed.ts';
import { type Identity, identify } from './identity.ts';
import { typeLabel } from './labels.ts';
import type { Order } from './order.ts';
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
  /** What a client of that identity is served. */
  readonly welcome: (identity: Exclude<Identity, { kind: 'refused' }>) => Welcome;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: XdsMetrics;
  /** There is something to push, now or after so many ms. */
  readonly due: (client: Client, delay: number) => void;
  /** It refused a response. */
  readonly nacked: () => void;
  /** Such bytes are on their way to the kernel. */
  readonly writing: (bytes: number) => () => void;
}

export type Welcome =
  | { readonly kind: 'refused'; readonly code: status; readonly reason: string }
  | {
      readonly kind: 'ok';
      readonly feeds: ReadonlyMap<string, Feed>;
      readonly order: Order;
      /** Of an Envoy. */
      readonly group?: EnvoyGroup;
    };

export interface ClientStatus {
  readonly id: string;
  readonly connectionId: string;
  readonly node: string;
  readonly peer: string;
  /** Wall time, ms. */
  readonly connectedAt: number;
  readonly metadata: PbStruct | null;
  readonly types: ReadonlyMap<
    FeedType,
    SubscriptionStatus & { readonly sentAt: number; readonly isWaiting: boolean; readonly hasPending: boolean }
  >;
}

/** Ms until a look at what is not there yet. */
const incomplete = 20;

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
  #served: Extract<Welcome, { kind: 'ok' }> | undefined;
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

  /** What the node says of itself. */
  get metadata(): PbStruct | null {
    return this.#metadata;
  }

  get peer(): string {
    return this.#wire.peer;
  }

  get caller(): Caller | undefined {
    return this.#caller;
  }

  /** Whose configuration it gets, where it is an Envoy. */
  get group(): EnvoyGroup | undefined {
    return this.#served?.group;
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
          { ...s.status, isWaiting: s.isWaiting, hasPending: s.hasPending, sentAt: this.#sentAt.get(type) ?? 0 },
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
    this.#dueByChange();
  }

  /** Of the resources of its group. */
  groupChanged(change: GroupChange): void {
    for (const [type, names] of change) this.#subscriptions.get(type)?.changed(names);
    this.#dueByChange();
  }

  #dueByChange(): void {
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
    const feed = this.#served?.feeds.get(ask.typeUrl);
    if (feed === undefined || this.#served === undefined) {
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
      this.#options.nacked();
    } else if (answer.kind === 'none' && ask.nonce !== '') this.#options.metrics.expiredNonce.inc();
    if (![...this.#subscriptions.values()].some((s) => s.isWaiting)) this.#waitingSince = undefined;
    // An answer may also have been what another type waits for.
    if (!this.#isDue()) return;
    const alone = known === undefined && this.#subscriptions.size === 1;
    this.#options.due(this, alone ? this.#served.order.waitsFor(feed.type) : 0);
  }

  push(): void {
    if (this.#closed) return;
    if (this.#served?.group?.isComplete === false) {
      this.#options.due(this, incomplete);
      return;
    }
    const { clock, metrics } = this.#options;
    if (this.#changedAt !== undefined) metrics.queueTime.observe((clock.now() - this.#changedAt) / 1000);
    const sender = {
      subscription: (type: FeedType) => this.#subscriptions.get(type),
      send: (subscription: Subscription, part: Part) => this.#send(subscription, part),
    };
    const again = this.#served?.order.push(sender, clock.now());
    if (again !== undefined) this.#options.due(this, again);
    if (this.#changedAt !== undefined) {
      metrics.convergence.observe((clock.now() - this.#changedAt) / 1000);
      this.#changedAt = undefined;
    }
  }

  #isDue(): boolean {
    return [...this.#subscriptions.values()].some((s) => s.hasPending && !s.isWaiting);
  }

  #send(subscription: Subscription, part: Part): Message | undefined {
    if (!subscription.hasPending) return undefined;
    const { clock, metrics, log, writing } = this.#options;
    const began = clock.now();
    const message = subscription.next(part);
    if (message === undefined) return undefined;
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
    if (log.enabled('debug')) {
      const [resources, removed] = [message.resources.length, message.removed.length];
      log.debug('xDS push', { node: this.#id, ...label, resources, removed });
    }
    return message;
  }

  #identify(node: PbNode | null): { readonly code: status; readonly reason: string } | undefined {
    const identity = identify(node, this.#caller);
    if (identity.kind === 'refused') return identity;
    const welcome = this.#options.welcome(identity);
    if (welcome.kind === 'refused') return welcome;
    this.#served = welcome;
    this.#id = identity.id;
    this.#metadata = identity.metadata;
    this.#node = identity.kind === 'ztunnel' ? (stringField(identity.metadata, 'NODE_NAME') ?? '') : '';
    return undefined;
  }
}
