/** `aquifer proxy-config endpoint`: of what a proxy says on /clusters. Pure. */
import { get, type Json, objects } from './dump.ts';
import type { Table } from './table.ts';

/** undefined: all. Case does not count. */
export interface EndpointFilter {
  readonly address?: string | undefined;
  readonly port?: string | undefined;
  readonly cluster?: string | undefined;
  readonly status?: string | undefined;
}

interface Endpoint {
  readonly address: string;
  /** 0: none. */
  readonly port: number;
  readonly cluster: string;
  readonly status: string;
  readonly ejected: boolean;
}

export function chosenClusters(statuses: readonly Json[], filter: EndpointFilter): readonly Json[] {
  return statuses.filter((cluster) => endpointsOf(cluster).some((e) => fits(e, filter)));
}

export function endpointTable(statuses: readonly Json[], filter: EndpointFilter): Table {
  const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b));
  return {
    header: ['ENDPOINT', 'STATUS', 'OUTLIER CHECK', 'CLUSTER'],
    rows: statuses
      .flatMap(endpointsOf)
      .filter((e) => fits(e, filter))
      .toSorted((a, b) => compare(a.address, b.address) || a.port - b.port || compare(a.cluster, b.cluster))
      .map(({ address, port, cluster, status, ejected }) => [
        port === 0 ? address : `${address}:${port}`,
        status,
        ejected ? 'FAILED' : 'OK',
        cluster,
      ]),
  };
}

function endpointsOf(cluster: Json): readonly Endpoint[] {
  return objects(cluster['host_statuses']).map((host) => ({
    ...addressOf(host['address']),
    cluster: String(cluster['name'] ?? ''),
    status: String(get(host, 'health_status', 'eds_health_status') ?? 'UNKNOWN'),
    ejected: get(host, 'health_status', 'failed_outlier_check') === true,
  }));
}

function addressOf(address: unknown): { readonly address: string; readonly port: number } {
  const socket = get(address, 'socket_address', 'address');
  if (socket !== undefined)
    return { address: String(socket), port: Number(get(address, 'socket_address', 'port_value') ?? 0) };
  const path = get(address, 'pipe', 'path');
  if (path !== undefined) return { address: `unix://${path}`, port: 0 };
  const listener = get(address, 'envoy_internal_address', 'server_listener_name');
  if (listener === undefined) return { address: 'unknown', port: 0 };
  return { address: `envoy://${listener}/${get(address, 'envoy_internal_address', 'endpoint_id') ?? ''}`, port: 0 };
}

function fits(e: Endpoint, { address, port, cluster, status }: EndpointFilter): boolean {
  const same = (wanted: string | undefined, value: string) =>
    wanted === undefined || wanted.toLowerCase() === value.toLowerCase();
  return same(address, e.address) && same(port, String(e.port)) && same(cluster, e.cluster) && same(status, e.status);
}
