/** HttpConnectionManager after the check. */
import type { Millis } from '../../../common/core/brand.ts';
import type { HttpFilter } from '../../filters/filter.ts';
import type { CanonicalOptions } from '../../request/canonical.ts';
import type { RouteTable } from '../../route/table.ts';
import type { AccessLog } from '../../telemetry/access-log.ts';
import type { StatsConfig } from '../../telemetry/istio/config.ts';
import type { TracingConfig } from '../../tracing/config.ts';
import type { Http1ServerOptions } from '../http1/server.ts';
import type { Http2ServerOptions } from '../http2/server.ts';
import type { ReplyMapper } from './reply-mappers.ts';
import type { RequestHeaderOptions } from './request-headers.ts';

export interface HttpManagerConfig {
  readonly codec: 'AUTO' | 'HTTP1' | 'HTTP2';
  readonly statPrefix: string;
  readonly routes:
    | { readonly kind: 'inline'; readonly table: RouteTable }
    | { readonly kind: 'rds'; readonly name: string };
  /** In order, without the router. */
  readonly filters: readonly NamedFilter[];
  readonly router: RouterConfig;
  readonly canonical: CanonicalOptions;
  readonly requestHeaders: RequestHeaderOptions;
  readonly serverName: string;
  readonly serverHeader: 'OVERWRITE' | 'APPEND_IF_ABSENT' | 'PASS_THROUGH';
  readonly alwaysRequestIdInResponse: boolean;
  readonly proxy100Continue: boolean;
  /** Lower case; of HttpConnectionManager.upgrade_configs. */
  readonly upgrades: ReadonlyMap<string, boolean>;
  readonly timeouts: ManagerTimeouts;
  readonly maxRequestsPerConnection: number | undefined;
  readonly http1: Http1ServerOptions;
  readonly http2: Http2ServerOptions;
  /** undefined: requests are not traced, and their headers of traces go on as they came. */
  readonly tracing: TracingConfig | undefined;
  readonly accessLogs: readonly AccessLog[];
  readonly replyMappers: readonly ReplyMapper[];
  /** Of filters `istio.stats`. */
  readonly meters: readonly StatsConfig[];
}

/** undefined: none. */
export interface ManagerTimeouts {
  readonly streamIdle: Millis | undefined;
  readonly request: Millis | undefined;
  readonly requestHeaders: Millis | undefined;
  readonly idle: Millis | undefined;
  readonly maxConnection: Millis | undefined;
  readonly maxStream: Millis | undefined;
  readonly delayedClose: Millis | undefined;
}

export interface RouterConfig {
  readonly suppressEnvoyHeaders: boolean;
}

export interface NamedFilter {
  /** By which routes configure it. */
  readonly name: string;
  readonly filter: HttpFilter;
  /** Only routes that say anything to it run it. */
  readonly disabled: boolean;
}
