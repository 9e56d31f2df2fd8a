/** A listener after the check. */
import type { Millis } from '../../common/core/brand.ts';
import type { NetworkFilter, Terminal } from '../network/downstream.ts';
import type { AccessLog } from '../telemetry/access-log.ts';
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
  /** Of each connection when it is over, also where no chain took it. */
  readonly accessLogs: readonly AccessLog[];
  readonly backlog: number;
}

export type ListenerBind =
  | {
      readonly kind: 'sockets';
      readonly addresses: readonly { readonly ip: string; readonly port: number }[];
      /** Bytes that may wait in a connection before its peer is held back; undefined: Node's. */
      readonly bufferLimit: number | undefined;
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
