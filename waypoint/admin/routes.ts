/** What the admin port answers, as Envoy's does. */
import { version } from '../../common/core/version.ts';
import { typeUrl } from '../../common/envoy/codec.ts';
import type { Answer, Routes } from '../../common/http/small-server.ts';
import type { ResourceKind, Runtime } from '../runtime/runtime.ts';

export interface AdminFacts {
  readonly runtime: Runtime;
  /** What readiness waits for; empty: ready. */
  readonly pending: () => readonly string[];
  readonly quit: () => void;
}

const json = (value: unknown): Answer => ({
  status: 200,
  type: 'application/json',
  body: JSON.stringify(value, redacted, 1),
});

export function adminRoutes({ runtime, pending, quit }: AdminFacts): Routes {
  return {
    'GET /ready': () => ready(pending()),
    'GET /stats': (url) => stats(runtime, url),
    'GET /stats/prometheus': () => ({ status: 200, body: runtime.stats.prometheus() }),
    'GET /listeners': (url) => listeners(runtime, url.searchParams.get('format') === 'json'),
    'GET /clusters': (url) => clusters(runtime, url.searchParams.get('format') === 'json'),
    'GET /config_dump': () => json(configDump(runtime)),
    'GET /server_info': () => json({ version, state: pending().length === 0 ? 'LIVE' : 'INITIALIZING' }),
    'POST /quitquitquit': () => {
      quit();
      return { status: 200, body: 'OK\n' };
    },
  };
}

export function ready(waits: readonly string[]): Answer {
  if (waits.length === 0) return { status: 200, body: 'LIVE\n' };
  return { status: 503, body: `not ready, pending: ${waits.join(', ')}\n` };
}

function stats(runtime: Runtime, url: URL): Answer {
  const text = url.searchParams.get('filter');
  // The operator's own expression, on loopback.
  const filter = text === null ? undefined : new RegExp(text);
  const wanted = (name: string) => filter === undefined || filter.test(name);
  if (url.searchParams.get('format') === 'json') {
    return { status: 200, type: 'application/json', body: runtime.stats.json(wanted) };
  }
  if (url.searchParams.get('format') === 'prometheus') return { status: 200, body: runtime.stats.prometheus() };
  return { status: 200, body: runtime.stats.text(wanted) };
}

function listeners(runtime: Runtime, asJson: boolean): Answer {
  const all = runtime.listeners();
  if (!asJson) {
    const lines = all.flatMap(({ name, addresses }) => addresses.map((a) => `${name}::${a.address}:${a.port}`));
    return { status: 200, body: `${lines.join('\n')}\n` };
  }
  return json({
    listener_statuses: all.map(({ name, addresses: [first] }) => ({
      name,
      ...(first && { local_address: { socket_address: { address: first.address, port_value: first.port } } }),
    })),
  });
}

function clusters(runtime: Runtime, asJson: boolean): Answer {
  const all = runtime.clusters();
  if (asJson) {
    return json({
      cluster_statuses: all.map((upstream) => ({
        name: upstream.cluster.name,
        host_statuses: upstream.hosts().map((host) => ({
          address: host.key,
          weight: host.weight,
          priority: host.priority,
          active_requests: host.load.requests,
          active_connections: host.load.connections,
        })),
      })),
    });
  }
  const lines = all.flatMap((upstream) =>
    upstream.hosts().flatMap((host) => {
      const head = `${upstream.cluster.name}::${host.key}`;
      return [
        `${head}::cx_active::${host.load.connections}`,
        `${head}::rq_active::${host.load.requests}`,
        `${head}::weight::${host.weight}`,
        `${head}::priority::${host.priority}`,
      ];
    }),
  );
  return { status: 200, body: `${lines.join('\n')}\n` };
}

const dumps: readonly {
  readonly kind: ResourceKind;
  readonly type: string;
  readonly list: string;
  readonly item: string;
}[] = [
  { kind: 'cluster', type: 'ClustersConfigDump', list: 'dynamic_active_clusters', item: 'cluster' },
  { kind: 'listener', type: 'ListenersConfigDump', list: 'dynamic_listeners', item: 'listener' },
  { kind: 'route', type: 'RoutesConfigDump', list: 'dynamic_route_configs', item: 'route_config' },
  { kind: 'assignment', type: 'EndpointsConfigDump', list: 'dynamic_endpoint_configs', item: 'endpoint_config' },
  { kind: 'secret', type: 'SecretsConfigDump', list: 'dynamic_active_secrets', item: 'secret' },
];

function configDump(runtime: Runtime): object {
  return {
    configs: dumps.map(({ kind, type, list, item }) => ({
      '@type': typeUrl(`envoy.admin.v3.${type}`),
      [list]: [...runtime.resources(kind)].map(([name, resource]) => ({ name, [item]: resource })),
    })),
  };
}

/** Keys are never shown. */
function redacted(key: string, value: unknown): unknown {
  return key === 'private_key' || key === 'password' ? { inline_string: '[redacted]' } : value;
}
