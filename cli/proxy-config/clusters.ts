/** `aquifer proxy-config cluster`. Pure. */
import { get, type Json } from './dump.ts';
import type { Table } from './table.ts';

/** undefined: all. */
export interface ClusterFilter {
  readonly fqdn?: string | undefined;
  readonly port?: string | undefined;
  readonly subset?: string | undefined;
  readonly direction?: string | undefined;
}

interface ClusterName {
  readonly direction: string;
  readonly port: number;
  readonly subset: string;
  readonly fqdn: string;
}

/** `outbound|80|v1|web.shop.svc.cluster.local`; any other name is its own host. */
export function parseClusterName(name: string): ClusterName {
  const [direction = '', port = '', subset = '', ...fqdn] = name.split('|');
  if (fqdn.length === 0) return { direction: '', port: 0, subset: '', fqdn: name };
  return { direction, port: Number(port), subset, fqdn: fqdn.join('|') };
}

export function chosenClusters(clusters: readonly Json[], filter: ClusterFilter): readonly Json[] {
  const { fqdn = '', port, subset = '', direction = '' } = filter;
  return sortedByCluster(clusters, nameOf).filter((cluster) => {
    const name = nameOf(cluster);
    return (
      name.includes(fqdn) &&
      name.includes(direction) &&
      name.includes(subset) &&
      (port === undefined || name.includes(`|${port}|`))
    );
  });
}

export function clusterTable(clusters: readonly Json[]): Table {
  return {
    header: ['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE', 'DESTINATION RULE'],
    rows: clusters.map((cluster) => {
      const name = nameOf(cluster);
      const { fqdn, port, subset, direction } = parseClusterName(name);
      const kind = get(cluster, 'cluster_type', 'name') ?? cluster['type'] ?? 'STATIC';
      const rest = [String(kind), ruleOf(cluster)];
      if (direction === '' && port === 0) return [fqdn, '-', '-', '-', ...rest];
      return [fqdn, String(port), subset === '' ? '-' : subset, direction, ...rest];
    }),
  };
}

/** `web.shop` of the object that a resource was made of; empty where it does not say. */
export function ruleOf(resource: Json): string {
  const path = get(resource, 'metadata', 'filter_metadata', 'istio', 'config');
  if (typeof path !== 'string') return '';
  const [, , group, , , namespace, , name] = path.split('/');
  return group === 'networking.istio.io' && name !== undefined ? `${name}.${namespace}` : '<unknown>';
}

/** By host, subset, port and direction. */
export function sortedByCluster<T>(items: readonly T[], name: (item: T) => string): readonly T[] {
  const keys = new Map(items.map((item) => [item, parseClusterName(name(item))]));
  return items.toSorted((a, b) => {
    const [x, y] = [keys.get(a)!, keys.get(b)!];
    return (
      compare(x.fqdn, y.fqdn) || compare(x.subset, y.subset) || x.port - y.port || compare(x.direction, y.direction)
    );
  });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function nameOf(cluster: Json): string {
  return String(cluster['name'] ?? '');
}
