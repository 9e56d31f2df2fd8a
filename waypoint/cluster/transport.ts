/** Transport sockets of a cluster: what goes between TCP and the codec. */
import type { TlsClient } from './tls/types.ts';

/** Whose metadata `internal_upstream` hands to the internal listener. */
export interface PassthroughMetadata {
  readonly from: 'host' | 'cluster';
  readonly namespace: string;
}

export type Transport =
  | { readonly kind: 'raw' }
  | { readonly kind: 'tls'; readonly tls: TlsClient }
  /** Around the connection to an internal listener: the listener's connection begins with this dynamic metadata. */
  | { readonly kind: 'internal'; readonly passthrough: readonly PassthroughMetadata[]; readonly inner: Transport }
  /** A PROXY header with the downstream connection's addresses comes first. */
  | { readonly kind: 'proxy-protocol'; readonly version: 1 | 2; readonly inner: Transport };
