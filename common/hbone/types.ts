/**
 * HBONE (ambient-wire 1) as its users see it: two ports that each engine implements, `node` beside this file and `native` in
 * ztunnel/engine/native; one compliance suite (test/compliance/hbone.ts) runs on both.
 */

import type { Duplex } from 'node:stream';
import type { ByteStream } from '../core/byte-stream.ts';
import type { CancelSignal } from '../core/cancel.ts';
import type { Clock } from '../core/clock.ts';
import type { SocketAddr } from '../core/net.ts';
import type { WorkloadCertificate } from '../identity/types.ts';
import type { Identity } from '../mesh/types.ts';
import type { Revocation } from '../tls/revocation.ts';
import type { AgainInbound, AgainOutbound, Heirs } from './again.ts';
import type { Ahead } from './relay.ts';
import type { WireSettings } from './wire.ts';

/** Headers of a CONNECT (ambient-wire 1.3), parsed once. */
export interface ConnectRequest {
  /** `ip:port`, `[v6]:port` or `hostname:port`, as it was sent. */
  readonly authority: string;
  readonly baggage: string | undefined;
  readonly forwarded: string | undefined;
  readonly traceparent: string | undefined;
  readonly forwardedNetwork: string | undefined;
}

/** One inbound CONNECT stream. Exactly one of accept and refuse is called. */
export interface InboundTunnel {
  readonly request: ConnectRequest;
  /** Authenticated by TLS: the first SPIFFE URI of the peer. */
  readonly peer: Identity;
  /** TCP peer and local address of the connection that carries the stream. */
  readonly remote: SocketAddr;
  readonly local: SocketAddr;
  /**
   * Sends 200 and returns the byte stream: its readable side ends on END_STREAM, end() sends END_STREAM. A peer's reset with
   * NO_ERROR or CANCEL closes it without an error, any other reset and a lost connection with one.
   */
  accept(responseHeaders: Readonly<Record<string, string>>): Duplex;
  /** What accept() returns, for an engine that accepts ahead. */
  readonly stream: Duplex;
  /**
   * Lets the engine accept equal requests by itself, also on further connections of this peer from the same address, whose `remote` is given
   * then; absent where it cannot.
   */
  readonly again?: ((answer: AgainInbound, heirs: (remote: SocketAddr) => Heirs) => void) | undefined;
  /** HEADERS with END_STREAM: 400, 401 or 503 (ambient-wire 1.4). */
  refuse(status: number): void;
  /** Aborts, with MeshError CANCELLED, when the stream or its connection is gone, in whatever way. */
  readonly signal: CancelSignal;
}

export interface HboneServerOptions {
  readonly clock: Clock;
  /** Asked for each connection, so that a rotated certificate is used at once. */
  readonly certificate: () => Promise<WorkloadCertificate>;
  readonly onTunnel: (tunnel: InboundTunnel) => void;
  /** Default: nobody is revoked. */
  readonly revocation?: Revocation | undefined;
  /** Handshake failed, wrong peer, protocol error, certificate revoked: for metrics and one log line. */
  readonly onError: (error: Error, remote: SocketAddr) => void;
  readonly wire?: WireSettings;
}

export interface HboneServer {
  /**
   * Takes over an accepted socket whose original destination is `local`. Once either side's certificate expires, its open
   * tunnels may finish and no new one is taken.
   */
  serve(socket: ByteStream, remote: SocketAddr, local: SocketAddr): void;
  /** Graceful GOAWAY on every connection; resolves when all streams ended, or at the deadline after closing them. */
  drain(deadlineMs: number): Promise<void>;
  /** Cuts everything now. */
  close(): void;
}

export interface DialTarget {
  /** Address of the peer's HBONE port. */
  readonly address: SocketAddr;
  /** Any of these must be among the peer's SPIFFE URIs; empty always fails. */
  readonly expected: readonly Identity[];
  readonly source: Identity;
  /** Part of the pool's key: connections of different pods never share (the socket carries the pod's address). */
  readonly sourceIp: string;
}

/** The far end of an HBONE connection inside a tunnel (double HBONE, ambient-wire 2.3). */
export interface InnerTarget {
  /** Any of these must be among the peer's SPIFFE URIs; empty always fails. */
  readonly expected: readonly Identity[];
  readonly source: Identity;
}

export interface ConnectHeaders {
  readonly authority: string;
  readonly baggage: string;
  readonly forwarded: string;
  readonly traceparent: string;
  readonly forwardedNetwork?: string;
}

export interface OutboundTunnel {
  readonly stream: Duplex;
  /** Headers of the 200, lower-case names. */
  readonly responseHeaders: Readonly<Record<string, string>>;
  /** Which SPIFFE identity the peer proved. */
  readonly peer: Identity;
  /** Lets the engine open further ones by itself; absent where it cannot. */
  readonly again?: (answer: AgainOutbound, heirs: Heirs) => void;
}

/** One pool for each proxied pod (ambient-wire 1.6). A connection opens no tunnel once either side's certificate has expired. */
export interface HbonePool {
  /**
   * MeshError CONNECT_TIMEOUT, TLS_FAILED, CERT_REVOKED, H2_FAILED, TUNNEL_REFUSED (with the status in its message), CANCELLED after drain or
   * close, what `dial` and `certificate` reject with, or the signal's reason.
   */
  connect(target: DialTarget, headers: ConnectHeaders, signal: CancelSignal, ahead?: Ahead): Promise<OutboundTunnel>;
  /**
   * A connection of its own inside `carrier`, which is a tunnel's stream: TLS, HTTP/2 and one tunnel that nothing else shares.
   * Takes the carrier over and closes it with the tunnel, also on failure. Rejects as `connect` does.
   */
  connectInside(
    carrier: Duplex,
    target: InnerTarget,
    headers: ConnectHeaders,
    signal: CancelSignal,
  ): Promise<OutboundTunnel>;
  /** Open connections, for metrics and tests. */
  readonly connections: number;
  /** No new connection; open streams end by themselves or at the deadline. */
  drain(deadlineMs: number): Promise<void>;
  close(): void;
}

export interface HbonePoolOptions {
  readonly clock: Clock;
  readonly certificate: (identity: Identity) => Promise<WorkloadCertificate>;
  /** Dials TCP from where the pod is; rejects with MeshError. The socket is connected. */
  readonly dial: (address: SocketAddr, signal: CancelSignal) => Promise<ByteStream>;
  /** Default: nobody is revoked. */
  readonly revocation?: Revocation | undefined;
  /** Default 100. */
  readonly maxStreamsPerConnection?: number;
  /** Default 300,000 ms. */
  readonly unusedReleaseMs?: number;
  readonly wire?: WireSettings;
}
