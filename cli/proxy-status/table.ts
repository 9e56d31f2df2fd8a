/** Rows of `aquifer proxy-status`. Pure. */
import { formatAge } from '../table.ts';

/** Of istiod's /debug/syncz. */
export interface ProxySync {
  readonly cluster_id: string;
  /** NAME.NAMESPACE */
  readonly proxy: string;
  readonly proxy_type: string;
  readonly istio_version: string;
  /** By type URL. */
  readonly resources: Readonly<Record<string, TypeSync>>;
}

export interface TypeSync {
  /** Nonces; empty: none yet. */
  readonly sent: string;
  readonly acked: string;
  readonly sentTime: string;
  readonly lastError?: string;
}

export type ProxyRow = ProxySync & { readonly istiod: string };

interface Table {
  readonly header: readonly string[];
  readonly lines: readonly (readonly string[])[];
}

const shortNames: Readonly<Record<string, string>> = {
  'envoy.config.cluster.v3.Cluster': 'CDS',
  'envoy.config.listener.v3.Listener': 'LDS',
  'envoy.config.endpoint.v3.ClusterLoadAssignment': 'EDS',
  'envoy.config.route.v3.RouteConfiguration': 'RDS',
  'envoy.config.core.v3.TypedExtensionConfig': 'ECDS',
  'istio.networking.nds.v1.NameTable': 'NDS',
  'istio.workload.Address': 'WDS',
  'istio.workload.Workload': 'WDS',
  'istio.security.Authorization': 'WADS',
};

/** Always shown first, in this order; with -v 1 always shown. */
const core = ['CDS', 'LDS', 'EDS', 'RDS'] as const;

export function shortName(typeUrl: string): string {
  const name = typeUrl.replace(/^.*\//, '');
  return shortNames[name] ?? name;
}

export function subscribedTable(rows: readonly ProxyRow[]): Table {
  return {
    header: ['NAME', 'CLUSTER', 'ISTIOD', 'VERSION', 'SUBSCRIBED TYPES'],
    lines: sorted(rows).map((row) => {
      const types = typesOf([row]);
      const subscribed = types.length === 0 ? '0' : `${types.length} (${types.join(',')})`;
      return [row.proxy, row.cluster_id, row.istiod, row.istio_version, subscribed];
    }),
  };
}

/** `now` in ms since the epoch. */
export function verboseTable(rows: readonly ProxyRow[], now: number): Table {
  const types = [...core, 'ECDS', ...typesOf(rows).filter((t) => t !== 'ECDS' && !isCore(t))];
  return {
    header: ['NAME', 'CLUSTER', ...types, 'ISTIOD', 'VERSION'],
    lines: sorted(rows).map((row) => [
      row.proxy,
      row.cluster_id,
      ...types.map((type) => {
        const found = Object.entries(row.resources).find(([url]) => shortName(url) === type);
        return found === undefined ? 'IGNORED' : statusOf(found[1], now);
      }),
      row.istiod,
      row.istio_version,
    ]),
  };
}

export function statusOf({ sent, acked, sentTime, lastError }: TypeSync, now: number): string {
  if (lastError !== undefined) return 'ERROR';
  if (sent === '') return 'NOT SENT';
  return `${sent === acked ? 'SYNCED' : 'STALE'} (${formatAge(now - Date.parse(sentTime))})`;
}

function isCore(type: string): boolean {
  return (core as readonly string[]).includes(type);
}

function typesOf(rows: readonly ProxyRow[]): readonly string[] {
  const all = new Set(rows.flatMap((r) => Object.keys(r.resources).map(shortName)));
  return [...core.filter((t) => all.has(t)), ...[...all].filter((t) => !isCore(t)).sort()];
}

function sorted(rows: readonly ProxyRow[]): readonly ProxyRow[] {
  return rows.toSorted((a, b) => (a.proxy < b.proxy ? -1 : 1));
}
