/** What logs tell of a connection to a host. */
import type { TlsDetails } from '../tls/details.ts';

export interface UpstreamAbout {
  /** Serial number in this process. */
  readonly id: number;
  /** Monotonic ms. */
  readonly started: number;
  readonly connected: number;
  /** undefined: there is no TLS. */
  readonly tls: { readonly done: number; readonly details: TlsDetails } | undefined;
}

let connections = 0;

export function nextConnectionId(): number {
  connections++;
  return connections;
}
