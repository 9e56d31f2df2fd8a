/** One connection of a pool: how many requests it has, had and may have, and when it ends. */
import type { Millis } from '../../../common/core/brand.ts';
import { millis } from '../../../common/core/brand.ts';
import type { Clock, Timer } from '../../../common/core/clock.ts';
import type { Departure } from '../../net/departure.ts';
import type { UpstreamProtocol } from '../config.ts';
import type { ConnectionEvents, PoolCounter, PoolFailure, Waiter, WireProtocol } from '../pool-types.ts';

export interface ConnectionOptions {
  readonly protocol: WireProtocol;
  readonly settings: UpstreamProtocol;
  readonly clock: Clock;
  readonly connectTimeout: Millis;
  readonly count: (what: PoolCounter) => void;
  readonly close: (graceful: boolean) => void;
  /** It can take a request, or a further one. */
  readonly freed: () => void;
  /** Called once. With a failure where it never came to be. */
  readonly gone: (failure: PoolFailure | undefined) => void;
}

/** Who has a request on it. */
type Leaver = Pick<Waiter<never>, 'leaving'>;

type State<C> =
  | { readonly kind: 'connecting'; readonly timer: Timer }
  | { readonly kind: 'open'; readonly codec: C; readonly protocol: 'http1' | 'http2' | 'tcp' }
  | { readonly kind: 'closed' };

export class PooledConnection<C> {
  readonly #options: ConnectionOptions;
  #state: State<C>;
  /** How many at a time, by our configuration and the peer's word. */
  #streams: number;
  readonly #active = new Set<Leaver>();
  #begun = 0;
  /** The pool has it among those that can take a request. */
  offered = false;
  /** No further requests: closed when the last one ends. */
  #draining = false;
  #timedOut = false;
  #idleSince = 0;
  #idleTimer: Timer | undefined;
  #ageTimer: Timer | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { protocol, settings, clock, connectTimeout } = options;
    // Before ALPN has said otherwise HTTP/2 is hoped for, as Envoy does: else a burst would open a connection for each request.
    this.#streams = protocol === 'http2' || protocol === 'auto' ? settings.http2.streams : 1;
    const timer = clock.after(connectTimeout, () => {
      this.#timedOut = true;
      this.close(false);
    });
    this.#state = { kind: 'connecting', timer };
  }

  get connecting(): boolean {
    return this.#state.kind === 'connecting';
  }

  /** How many requests it will take once it is open. */
  get expected(): number {
    return Math.min(this.#streams, this.#left);
  }

  /** How many requests it can take now. */
  get free(): number {
    if (this.#state.kind !== 'open' || this.#draining) return 0;
    return Math.min(this.#streams - this.#active.size, this.#left);
  }

  get codec(): C {
    return this.#open.codec;
  }

  get protocol(): 'http1' | 'http2' | 'tcp' {
    return this.#open.protocol;
  }

  /** A request begins; returns how many there were before. */
  begin(request: Leaver): number {
    this.#active.add(request);
    return this.#begun++;
  }

  end(request: Leaver, reusable: boolean): void {
    this.#active.delete(request);
    if (!reusable && this.protocolOrNone !== 'http2') this.#draining = true;
    if (this.#left === 0 && !this.#draining) {
      this.#draining = true;
      this.#options.count('upstream_cx_max_requests');
    }
    if (this.#active.size > 0) return;
    if (this.#draining) this.close(true);
    else this.#rest();
  }

  drain(): void {
    this.#draining = true;
    if (this.#active.size === 0) this.close(true);
  }

  close(graceful: boolean): void {
    this.#draining = true;
    if (this.#state.kind !== 'closed') this.#options.close(graceful);
  }

  readonly events: ConnectionEvents<C> = {
    opened: (codec, protocol, streams) => {
      if (this.#state.kind !== 'connecting') return;
      this.#state.timer.cancel();
      this.#state = { kind: 'open', codec, protocol };
      if (this.#options.protocol === 'auto' && protocol !== 'tcp') this.#options.count(`upstream_cx_${protocol}_total`);
      this.#limit(streams);
      const { maxAge } = this.#options.settings;
      if (maxAge !== undefined) this.#ageTimer = this.#options.clock.after(maxAge, () => this.drain());
      if (this.#draining) this.close(true);
      else {
        this.#rest();
        this.#options.freed();
      }
    },
    allowed: (streams) => {
      this.#limit(streams);
      if (this.free > 0) this.#options.freed();
    },
    draining: () => {
      this.drain();
      for (const request of this.#active) request.leaving?.();
    },
    closed: (detail, departure, tls) => {
      const state = this.#state;
      if (state.kind === 'closed') return;
      this.#state = { kind: 'closed' };
      if (state.kind === 'connecting') state.timer.cancel();
      this.#idleTimer?.cancel();
      this.#ageTimer?.cancel();
      this.#countDeparture(departure);
      this.#options.gone(
        state.kind === 'connecting' && (!this.#draining || this.#timedOut) ? this.#failure(detail, tls) : undefined,
      );
    },
  };

  #countDeparture({ by, isBusy }: Departure): void {
    const { count } = this.#options;
    const whose = by === 'us' ? 'local' : 'remote';
    count('upstream_cx_destroy');
    count(`upstream_cx_destroy_${whose}`);
    if (!isBusy) return;
    count('upstream_cx_destroy_with_active_rq');
    count(`upstream_cx_destroy_${whose}_with_active_rq`);
  }

  get protocolOrNone(): 'http1' | 'http2' | 'tcp' | undefined {
    return this.#state.kind === 'open' ? this.#state.protocol : undefined;
  }

  get #open() {
    if (this.#state.kind !== 'open') throw new Error('the connection is not open');
    return this.#state;
  }

  get #left(): number {
    return (this.#options.settings.maxRequests ?? Number.POSITIVE_INFINITY) - this.#begun;
  }

  #limit(streams: number): void {
    const http2 = this.protocolOrNone === 'http2';
    this.#streams = http2 ? Math.min(streams, this.#options.settings.http2.streams) : 1;
  }

  #failure(detail: string, tls = false): PoolFailure {
    return { kind: 'connect', failure: this.#timedOut ? { kind: 'timeout' } : { kind: 'refused', detail, tls } };
  }

  /** Nothing is on it. One timer looks now and then: most requests come before it. */
  #rest(): void {
    const { settings, clock } = this.#options;
    if (settings.idle === undefined || this.#state.kind !== 'open') return;
    this.#idleSince = clock.now();
    this.#idleTimer ??= clock.after(settings.idle, () => this.#checkIdle(settings.idle!));
  }

  #checkIdle(idle: Millis): void {
    this.#idleTimer = undefined;
    if (this.#active.size > 0) return;
    const rest = this.#idleSince + idle - this.#options.clock.now();
    if (rest <= 0) this.close(true);
    else this.#idleTimer = this.#options.clock.after(millis(rest), () => this.#checkIdle(idle));
  }
}
