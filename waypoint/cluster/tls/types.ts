/** TLS of a cluster or listener as Envoy's contexts describe it; compiled by compile.ts beside this file. */

export type DataSource =
  | { readonly kind: 'inline'; readonly bytes: Buffer }
  | { readonly kind: 'file'; readonly path: string };

/** Where a secret comes from: `ads`, or an SDS server that is a cluster of the bootstrap. */
export interface SecretReference {
  readonly name: string;
  readonly source: { readonly kind: 'ads' } | { readonly kind: 'cluster'; readonly cluster: string };
}

export interface KeyPair {
  readonly chain: DataSource;
  readonly key: DataSource;
}

export type TextMatch =
  | { readonly kind: 'exact' | 'prefix' | 'suffix' | 'contains'; readonly text: string; readonly ignoreCase: boolean }
  | { readonly kind: 'regex'; readonly text: string };

export interface SanMatch {
  readonly type: 'email' | 'dns' | 'uri' | 'ip';
  readonly match: TextMatch;
}

export interface Validation {
  /** undefined: nothing verifies the chain, unless `systemRoots`. */
  readonly trustedCa?: DataSource | undefined;
  readonly systemRoots: boolean;
  /** One must match; empty: any peer of a trusted issuer. */
  readonly sans: readonly SanMatch[];
  /** SHA-256 of the certificate in lower-case hex, or of the SPKI in base64; one of either must match. */
  readonly certificateHashes: readonly string[];
  readonly spkiHashes: readonly string[];
  readonly crl?: DataSource | undefined;
  /** false: a peer that nothing trusts passes (ACCEPT_UNTRUSTED). */
  readonly verifyChain: boolean;
}

/** What both sides of TLS share (CommonTlsContext). */
export interface TlsCommon {
  readonly minVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL's names; empty: the default. */
  readonly ciphers: readonly string[];
  readonly curves: readonly string[];
  readonly alpn: readonly string[];
  readonly certificates: readonly (
    | { readonly kind: 'inline'; readonly pair: KeyPair }
    | { readonly kind: 'secret'; readonly secret: SecretReference }
  )[];
  /** With `secret` the context that comes by SDS is merged over `defaults` (its list of SANs is added). */
  readonly validation: { readonly defaults: Validation; readonly secret?: SecretReference | undefined } | undefined;
}

export interface TlsClient extends TlsCommon {
  /** Empty: none is sent, unless autoSni of the cluster's protocol options sets it from the request. */
  readonly sni: string;
}
