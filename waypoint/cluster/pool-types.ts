/**
 * Where the pools (bookkeeping: limits, idle, age, draining) meet the runtime (sockets, TLS, HTTP codecs). `C` is the runtime's
 * codec of one connection; the pool hands it out and never looks into it.
 */

import type { Departure } from '../net/departure.ts';
import type { Transport } from './transport.ts';
import type { Host, RoutingPriority } from './types.ts';

/** What a connection shall speak. `auto`: by ALPN, HTTP/1.1 where there is none. */
export type WireProtocol = 'http1' | 'http2' | 'auto' | 'tcp';

export type ConnectFailure =
  /** `tls`: TCP came to be and TLS did not. */
  | { readonly kind: 'refused'; readonly detail: string; readonly tls: boolean }
  /** The cluster's connect_timeout ran out. */
  | { readonly kind: 'timeout' };

/** What the runtime tells about a connection that it was asked for. Nothing after `closed`. */
export interface ConnectionEvents<C> {
  /** Ready for requests, so many at a time: 1 for HTTP/1.1 and TCP, the peer's SETTINGS_MAX_CONCURRENT_STREAMS for HTTP/2. */
  opened(codec: C, protocol: 'http1' | 'http2' | 'tcp', streams: number): void;
  /** The peer changed how many streams it allows. */
  allowed(streams: number): void;
  /** No further requests (GOAWAY, `connection: close`); those that are open go on. */
  draining(): void;
  /** Gone. `detail` says why; before `opened` it is a failure to connect. */
  closed(detail: string, departure: Departure, tls?: boolean): void;
}

/** What happens in pools, under Envoy's names of counters. */
export type PoolCounter =
  | 'upstream_cx_total'
  | 'upstream_cx_http1_total'
  | 'upstream_cx_http2_total'
  | 'upstream_cx_connect_fail'
  | 'upstream_cx_connect_timeout'
  | 'upstream_cx_overflow'
  | 'upstream_cx_max_requests'
  | 'upstream_cx_destroy'
  | 'upstream_cx_destroy_local'
  | 'upstream_cx_destroy_remote'
  | 'upstream_cx_destroy_with_active_rq'
  | 'upstream_cx_destroy_local_with_active_rq'
  | 'upstream_cx_destroy_remote_with_active_rq'
  | 'upstream_rq_pending_total'
  | 'upstream_rq_pending_overflow'
  | 'upstream_rq_pending_failure_eject'
  | 'upstream_rq_cancelled';

export interface Connector<C> {
  /** Starts one connection. The events come later, never in this call. */
  connect(request: ConnectRequest, events: ConnectionEvents<C>): Connecting;
}

export interface ConnectRequest {
  readonly host: Host;
  readonly transport: Transport;
  readonly protocol: WireProtocol;
  /** What the waiter asked for gives the connection beyond the host (SNI, ALPN, shared filter state); see PoolKey. */
  readonly key: PoolKey;
}

export interface Connecting {
  /** Ends it, also while it is being made; `closed` follows. `graceful`: HTTP/2 says GOAWAY first. */
  close(graceful: boolean): void;
}

/**
 * Connections of one key are shared, others not. `text` is unique for what `value` holds: an override of SNI, the downstream
 * connection (connection_pool_per_downstream_connection), filter state that is shared with upstream.
 */
export interface PoolKey {
  readonly text: string;
  readonly value: unknown;
}

export interface PoolRequest {
  readonly priority: RoutingPriority;
  /** Of the downstream request, for use_downstream_protocol_config. `tcp`: the connection itself is wanted, never a shared one. */
  readonly downstream: 'http1' | 'http2' | 'tcp';
  readonly key?: PoolKey;
}

export type PoolFailure =
  /** A circuit breaker is open (UO, 503): `breaker` names its limit. */
  | { readonly kind: 'overflow'; readonly breaker: string }
  /** UF (503). */
  | { readonly kind: 'connect'; readonly failure: ConnectFailure }
  /** The cluster or the host was taken away meanwhile. */
  | { readonly kind: 'gone' };

export interface Waiter<C> {
  /** In the call of `acquire` where a connection is free. */
  ready(lease: Lease<C>): void;
  /** While the lease is held: the peer takes nothing more on the connection, and may cut it soon. */
  leaving?(): void;
  failed(failure: PoolFailure): void;
}

export interface Ticket {
  /** Stops waiting. After `ready` or `failed` it does nothing. */
  cancel(): void;
}

/** The right to one request on a connection. */
export interface Lease<C> {
  readonly codec: C;
  readonly host: Host;
  readonly protocol: 'http1' | 'http2' | 'tcp';
  /** How many requests this connection has had before. */
  readonly earlier: number;
  /** Exactly once, when request and response are over. `reusable` false: the connection takes no further request. */
  release(reusable: boolean): void;
}
