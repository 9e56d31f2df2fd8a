/** A listener after the check. */
import type { Millis } from '../../common/core/brand.ts';
import type { NetworkFilter, Terminal } from '../network/downstream.ts';
import type { TlsServerConfig } from '../tls/server.ts';
import type { ChainMatch } from './chain-match.ts';
import type { ConnectionFacts } from './facts.ts';
import type { Matcher } from './matcher.ts';

export interface ListenerConfig {
  readonly name: string;
  readonly bind: ListenerBind;
  readonly filters: readonly ListenerFilterConfig[];
  readonly filterTimeout: Millis | undefined;
  readonly continueOnTimeout: boolean;
  readonly chains: readonly ChainConfig[];
  readonly defaultChain: ChainConfig | undefined;
  /** Instead of the chains' own matches. */
  readonly matcher: Matcher | undefined;
  /** Names of route tables and secrets that must be there before it accepts. */
  readonly needs: {
    readonly routes: readonly string[];
    readonly secrets: readonly string[];
    readonly clusters: readonly string[];
  };
  readonly statPrefix: string;
  readonly backlog: number;
}

export type ListenerBind =
  | {
      readonly kind: 'sockets';
      readonly addresses: readonly { readonly ip: string; readonly port: number }[];
      readonly reusePort: boolean;
    }
  | { readonly kind: 'internal' };

export interface ListenerFilterConfig {
  readonly kind: 'original-dst' | 'tls-inspector' | 'http-inspector' | 'proxy-protocol';
  readonly disabled: (facts: ConnectionFacts) => boolean;
}

export interface ChainConfig {
  readonly name: string;
  readonly match: ChainMatch;
  readonly tls: TlsServerConfig | undefined;
  readonly handshakeTimeout: Millis;
  readonly filters: readonly NetworkFilter[];
  readonly terminal: Terminal;
}
