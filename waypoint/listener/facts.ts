/** What is known of a connection: its listener's filters fill it in, then TLS, then the filters of its chain. */
import type { Address, ConnectionView } from '../request/view.ts';
import type { TlsDetails } from '../tls/details.ts';

export interface ConnectionFacts {
  remote: Address;
  readonly directRemote: Address;
  /** Absent: as `local`. */
  readonly directLocal?: Address;
  local: Address;
  /** A listener filter put the original destination into `local`. */
  restored: boolean;
  /** By the TLS inspector. */
  transport: 'raw_buffer' | 'tls';
  sni: string | undefined;
  /** ALPN by the TLS inspector, or what the HTTP inspector saw: `http/1.1`, `h2c`. */
  applicationProtocols: readonly string[];
  readonly filterState: Map<string, string>;
  /** Keys of filter state that connections to internal listeners inherit. `once`: not on from there. */
  readonly shared: Map<string, 'once' | 'always'>;
  /** Dynamic metadata by namespace. */
  readonly metadata: Map<string, Readonly<Record<string, unknown>>>;
}

export function newFacts(remote: Address, local: Address): ConnectionFacts {
  return {
    remote,
    directRemote: remote,
    directLocal: local,
    local,
    restored: false,
    transport: 'raw_buffer',
    sni: undefined,
    applicationProtocols: [],
    filterState: new Map(),
    shared: new Map(),
    metadata: new Map(),
  };
}

/** What TLS with the peer brought. */
export interface TlsFacts {
  readonly principal?: string;
  readonly dnsNames: readonly string[];
  readonly subject?: string;
  readonly verified: boolean;
  readonly hasPeer: boolean;
  readonly sni: string | undefined;
  readonly alpn: string | undefined;
  /** SHA-256 of the peer's certificate, lower-case hex. */
  readonly fingerprint: string | undefined;
  /** URI SAN of our own certificate. */
  readonly localPrincipal: string | undefined;
  readonly details?: TlsDetails;
}

export function viewOf(facts: ConnectionFacts, tls: TlsFacts | undefined): ConnectionView {
  const sni = tls?.sni ?? facts.sni;
  return {
    get remote() {
      return facts.remote;
    },
    get source() {
      return facts.remote;
    },
    directRemote: facts.directRemote,
    local: facts.local,
    ...(facts.directLocal && { directLocal: facts.directLocal }),
    tls: tls !== undefined,
    ...(tls?.details && { tlsDetails: tls.details }),
    ...(tls?.principal !== undefined && { principal: tls.principal }),
    ...(tls?.localPrincipal !== undefined && { localPrincipal: tls.localPrincipal }),
    ...(tls?.hasPeer && { dnsNames: tls.dnsNames, peerCertificate: tls.verified ? 'verified' : 'unverified' }),
    ...(tls?.subject !== undefined && { subject: tls.subject }),
    ...(sni !== undefined && { sni }),
    filterState: facts.filterState,
  };
}
