/** What compiled filters use of the process around them. */
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Dice } from '../cluster/types.ts';
import type { Upstream } from '../cluster/upstream-types.ts';
import type { Exporters } from '../export/exporters.ts';
import type { ScriptHost } from '../filters/script/host.ts';
import type { SeriesStore } from '../telemetry/series.ts';
import type { Stats } from '../telemetry/stats.ts';
import type { HandshakeTurns } from '../tls/handshake-turns.ts';
import type { SecretStore } from '../tls/secrets.ts';
import type { ProxyNode } from '../tracing/standard-tags.ts';
import type { UpstreamConnection } from '../upstream/connector.ts';
import type { RouteTables } from './route-tables.ts';

export interface Environment {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Logger;
  readonly stats: Stats;
  /** Of Istio's metrics. */
  readonly series: SeriesStore;
  /** What the proxy says of itself where it sends requests of its own. */
  readonly ownAddress: string;
  readonly secrets: SecretStore;
  /** Of clients, on whatever listener. */
  readonly handshakes: HandshakeTurns;
  readonly clusters: Clusters;
  readonly routes: RouteTables;
  /** Modules of users. */
  readonly scripts: ScriptHost;
  /** Lines of access logs, to a file. */
  readonly write: (path: string, line: string) => void;
  readonly exporters: Exporters;
  /** Who we are in what is exported. */
  readonly node: ProxyNode;
  /** Of the environment of this process, for tags that name one. */
  readonly variable: (name: string) => string | undefined;
}

export interface Clusters {
  /** undefined: there is none of this name (NC, 503). */
  get(name: string): Upstream<UpstreamConnection> | undefined;
}
