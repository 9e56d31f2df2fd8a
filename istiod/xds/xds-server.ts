/** The delta ADS server: one `Client` a stream, one pending merged push each. */
import { type ServerDuplexStream, type ServerErrorResponse, status } from '@grpc/grpc-js';
import {
  addressTypeUrl,
  authorizationTypeUrl,
  type Encodable,
  type PbDeltaRequest,
  type PbDeltaResponse,
  type PbNode,
  stringField,
} from '../../common/api/index.ts';
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Authenticator } from '../authenticator.ts';
import { type Caller, opaqueRefusal, Unauthenticated } from '../caller.ts';
import { typeLabel, type XdsMetrics } from '../metrics.ts';
import type { MeshChange } from '../model/ambient-index.ts';
import type { Catalog } from '../model/catalog.ts';
import type { TypeUrl } from '../model/resource.ts';
import { Subscription } from './subscription.ts';

export interface XdsServerOptions {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: XdsMetrics;
}

export interface ClientStatus {
  readonly node: string;
  readonly peer: string;
  readonly acknowledged: Readonly<Record<string, number>>;
}

type Stream = ServerDuplexStream<PbDeltaRequest, Encodable<PbDeltaResponse>>;

/** Ms between two pushes to one client; changes meanwhile are merged. The first after a pause goes at once. */
const debounce = 10;

export class XdsServer {
  readonly #options: XdsServerOptions;
  readonly #clients = new Set<Client>();
  #nonce = 0;

  constructor(options: XdsServerOptions) {
    this.#options = options;
  }

  /** Without an authenticator every caller is served: the plain-text port. */
  handler(authenticate: Authenticator | undefined): (stream: Stream) => void {
    return (stream) => {
      stream.on('error', (e) =>
        this.#options.log.debug('xDS stream failed', { peer: stream.getPeer(), error: e.message }),
      );
      if (authenticate === undefined) {
        this.#serve(stream, undefined);
        return;
      }
      authenticate(stream.metadata, stream.getAuthContext()).then(
        (caller) => this.#serve(stream, caller),
        (e: unknown) => {
          const reason = e instanceof Unauthenticated ? e.message : describeError(e);
          this.#options.log.warn('xDS client refused', { peer: stream.getPeer(), reason });
          fail(stream, opaqueRefusal.code, opaqueRefusal.details);
        },
      );
    };
  }

  changed(change: MeshChange): void {
    for (const client of this.#clients) client.changed(change);
  }

  clients(): readonly ClientStatus[] {
    return [...this.#clients].map((c) => c.status());
  }

  #serve(stream: Stream, caller: Caller | undefined): void {
    const client = new Client(stream, caller, this.#options, () => String(++this.#nonce));
    this.#clients.add(client);
    this.#options.metrics.clients.set(this.#clients.size);
    const done = () => {
      client.close();
      this.#clients.delete(client);
      this.#options.metrics.clients.set(this.#clients.size);
    };
    stream.on('close', done);
    stream.on('cancelled', done);
    stream.on('end', () => {
      done();
      stream.end();
    });
    client.start();
  }
}

class Client {
  readonly #stream: Stream;
  readonly #caller: Caller | undefined;
  readonly #options: XdsServerOptions;
  readonly #nonce: () => string;
  readonly #subscriptions = new Map<TypeUrl, Subscription>();
  #id = '';
  /** NODE_NAME of the client. */
  #node = '';
  #scheduled: { readonly cancel: () => void; readonly at: number } | undefined;
  #lastPush = Number.NEGATIVE_INFINITY;
  /** When the oldest change that is not pushed yet came. */
  #changedAt: number | undefined;
  #closed = false;

  constructor(stream: Stream, caller: Caller | undefined, options: XdsServerOptions, nonce: () => string) {
    this.#stream = stream;
    this.#caller = caller;
    this.#options = options;
    this.#nonce = nonce;
  }

  start(): void {
    this.#stream.on('data', (request: PbDeltaRequest) => this.#onRequest(request));
  }

  close(): void {
    this.#closed = true;
    this.#scheduled?.cancel();
  }

  status(): ClientStatus {
    const counts = [...this.#subscriptions.values()].map((s) => [typeLabel(s.type), s.acknowledged.size] as const);
    return { node: this.#id, peer: this.#stream.getPeer(), acknowledged: Object.fromEntries(counts) };
  }

  changed(change: MeshChange): void {
    this.#subscriptions.get(addressTypeUrl)?.changed(change.addresses, this.#node);
    this.#subscriptions.get(authorizationTypeUrl)?.changed(change.authorizations, this.#node);
    this.#changedAt ??= this.#options.clock.now();
    this.#schedule(Math.max(0, this.#lastPush + debounce - this.#options.clock.now()));
  }

  #onRequest(request: PbDeltaRequest): void {
    if (this.#closed) return;
    if (this.#id === '') {
      const refusal = this.#identify(request.node);
      if (refusal !== undefined) {
        this.#options.log.warn('xDS client refused', { peer: this.#stream.getPeer(), reason: refusal.reason });
        this.close();
        fail(this.#stream, refusal.code, refusal.reason);
        return;
      }
      this.#options.log.info('xDS client connected', { node: this.#id, peer: this.#stream.getPeer() });
    }
    const type = request.typeUrl;
    if (type !== addressTypeUrl && type !== authorizationTypeUrl) {
      this.close();
      fail(this.#stream, status.INVALID_ARGUMENT, `type ${JSON.stringify(type)} is not served`);
      return;
    }
    const known = this.#subscriptions.get(type);
    const { catalog } = this.#options;
    const subscription = known ?? new Subscription(type, catalog);
    this.#subscriptions.set(type, subscription);
    const answer = subscription.request(request, known === undefined, this.#node);
    if (answer.kind === 'nack') {
      this.#options.metrics.rejects.inc({ type: typeLabel(type) });
      this.#options.log.warn('xDS client NACKed', { node: this.#id, type: typeLabel(type), reason: answer.reason });
    }
    // An answer may also have been what another type waits for.
    if (![...this.#subscriptions.values()].some((s) => s.hasPending)) return;
    // Clients ask for addresses first and policies right after: waiting a moment lets policies go out first.
    const alone = known === undefined && type === addressTypeUrl && !this.#subscriptions.has(authorizationTypeUrl);
    this.#schedule(alone ? debounce : 0);
  }

  /** ambient-wire 3.8. */
  #identify(node: PbNode | null): { readonly code: status; readonly reason: string } | undefined {
    const id = node?.id ?? '';
    const parts = id.split('~');
    if (parts.length !== 4 || parts[0] !== 'ztunnel') {
      return { code: status.INVALID_ARGUMENT, reason: `node id ${JSON.stringify(id)} is not that of a ztunnel` };
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
    this.#node = stringField(metadata, 'NODE_NAME') ?? '';
    return undefined;
  }

  /** An earlier push that is planned already takes the rest along; a later one is moved forward. */
  #schedule(delay: number): void {
    const at = this.#options.clock.now() + delay;
    if (this.#closed || (this.#scheduled !== undefined && this.#scheduled.at <= at)) return;
    this.#scheduled?.cancel();
    const fire = () => {
      this.#scheduled = undefined;
      this.#push();
    };
    if (delay > 0) {
      const timer = this.#options.clock.after(millis(delay), fire);
      this.#scheduled = { at, cancel: () => timer.cancel() };
    } else {
      const handle = setImmediate(fire);
      this.#scheduled = { at, cancel: () => clearImmediate(handle) };
    }
  }

  /**
   * Policies that are new go before the addresses that may refer to them, policies that are gone after the addresses that
   * referred to them. Without this order a client would know a reference without its policy for a moment.
   */
  #push(): void {
    if (this.#closed) return;
    const addresses = this.#subscriptions.get(addressTypeUrl);
    const policies = this.#subscriptions.get(authorizationTypeUrl);
    const addressesDue = addresses !== undefined && (addresses.hasPending || addresses.isWaiting);
    if (policies !== undefined) this.#send(policies, addressesDue ? 'without-removals' : 'all');
    const policiesHeldBack = policies?.isWaiting && policies.hasPendingUpdates;
    if (addresses !== undefined && !policiesHeldBack) this.#send(addresses, 'all');
    if (this.#changedAt !== undefined) {
      this.#options.metrics.convergence.observe((this.#options.clock.now() - this.#changedAt) / 1000);
      this.#changedAt = undefined;
    }
  }

  #send(subscription: Subscription, part: 'all' | 'without-removals'): void {
    if (subscription.isWaiting || !subscription.hasPending) return;
    const response = subscription.next(this.#nonce(), part);
    if (response === undefined) return;
    this.#stream.write(response);
    this.#lastPush = this.#options.clock.now();
    this.#options.metrics.pushes.inc({ type: typeLabel(subscription.type) });
    this.#options.log.debug('xDS push', {
      node: this.#id,
      type: typeLabel(subscription.type),
      resources: response.resources?.length ?? 0,
      removed: response.removedResources?.length ?? 0,
    });
  }
}

/** grpc-js ends a stream with a status by an error event. */
function fail(stream: Stream, code: status, details: string): void {
  const error: ServerErrorResponse = Object.assign(new Error(details), { code, details });
  stream.emit('error', error);
}
