/** What is known of a connection before a filter chain is chosen; listener filters fill it in. */
import type { Address } from '../request/view.ts';

export interface ConnectionFacts {
  remote: Address;
  readonly directRemote: Address;
  local: Address;
  /** A listener filter put the original destination into `local`. */
  restored: boolean;
  /** By the TLS inspector. */
  transport: 'raw_buffer' | 'tls';
  sni: string | undefined;
  /** ALPN by the TLS inspector, or what the HTTP inspector saw: `http/1.1`, `h2c`. */
  applicationProtocols: readonly string[];
  /** Shared by the connection that led here, and what filters add. */
  readonly filterState: Map<string, string>;
  /** Dynamic metadata by namespace. */
  readonly metadata: Map<string, Readonly<Record<string, unknown>>>;
}
