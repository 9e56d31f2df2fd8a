/**
 * One request as routing and policy see it: both read this and nothing else, so they cannot disagree about what was asked. Made by
 * `canonise` (canonical.ts) from what the codec read.
 */
import type { TlsDetails } from '../tls/details.ts';
import type { Headers } from './headers.ts';

export interface Address {
  /** Canonical text of an IP address (common/core/net.ts); empty for an internal connection without one. */
  readonly address: string;
  readonly port: number;
}

/** What is known of the connection that carries the request. */
export interface ConnectionView {
  /** The client: by PROXY header, filter state or x-forwarded-for where the listener trusts them. */
  readonly remote: Address;
  /** The same without x-forwarded-for: whose connection it is. */
  readonly source: Address;
  /** Whose socket it is; without an address within the waypoint. */
  readonly directRemote: Address;
  /** What the client addressed: the original destination where a listener filter restored it. */
  readonly local: Address;
  /** URI SAN of the peer's verified certificate, or what the tunnel's end passed on as its peer. Absent: not authenticated. */
  readonly principal?: string;
  /** URI SAN of the certificate that we showed. */
  readonly localPrincipal?: string;
  /** DNS SANs of the peer's certificate. */
  readonly dnsNames?: readonly string[];
  /** Subject of the peer's certificate, in RFC 2253 form. */
  readonly subject?: string;
  /** Name that the client asked for by TLS (or that the TLS inspector read). */
  readonly sni?: string;
  /** Of its socket, whatever the original destination. Absent: as `local`. */
  readonly directLocal?: Address;
  readonly tls: boolean;
  readonly tlsDetails?: TlsDetails;
  /** A certificate that the peer showed, and whether it was verified. Absent: none. */
  readonly peerCertificate?: 'unverified' | 'verified';
  /** Filter state by its key, serialised as Envoy's `%FILTER_STATE(key:PLAIN)%`. */
  readonly filterState: ReadonlyMap<string, string>;
}

/** Dynamic metadata by filter name: what filters of the connection and of the request put there. */
export type Metadata = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

export interface RequestView {
  /** As sent, case kept: `GET`. */
  method: string;
  /** `http` or `https`. */
  scheme: string;
  /** Host with its port if any, as HttpConnectionManager's options make it; case kept: matching folds it. */
  authority: string;
  /** With query; normalised once by HttpConnectionManager's options. Empty for a CONNECT without path. */
  path: string;
  /** Without pseudo-headers and `host`. */
  readonly headers: Headers;
  readonly protocol: 'http1' | 'http2';
  /** `:protocol` of an extended CONNECT, or the `upgrade` of HTTP/1.1 in lower case: `websocket`. */
  readonly upgrade?: string;
  /** Both are the connection's until a filter adds to the request's. */
  connection: ConnectionView;
  metadata: Metadata;
}

/** The response as filters see it; `headers` without pseudo-headers. */
export interface ResponseView {
  status: number;
  readonly headers: Headers;
}

/** Any header by name in lower case, as matchers and formatters of Envoy see the map: pseudo-headers too, `host` is `:authority`. */
export function headerOf(view: RequestView, name: string): string | undefined {
  return isSpecial(name) ? special(view, name) : view.headers.get(name);
}

/** As `headerOf`, of a repeated header the first value: what formatters see. */
export function firstHeaderOf(view: RequestView, name: string): string | undefined {
  return isSpecial(name) ? special(view, name) : view.headers.first(name);
}

function isSpecial(name: string): boolean {
  return name.startsWith(':') || name === 'host';
}

function special(view: RequestView, name: string): string | undefined {
  switch (name) {
    case ':method':
      return view.method || undefined;
    case ':path':
      return view.path === '' ? undefined : view.path;
    case ':authority':
    case 'host':
      return view.authority || undefined;
    case ':scheme':
      return view.scheme || undefined;
    case ':protocol':
      return view.protocol === 'http2' ? view.upgrade : undefined;
    default:
      return undefined;
  }
}
