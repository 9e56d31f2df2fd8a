/** What the admin port answers, as Envoy's does. */
import { describeError } from '../../common/core/errors.ts';
import type { LogLevels } from '../../common/core/log.ts';
import { version } from '../../common/core/version.ts';
import { type TypedObject, typeUrl } from '../../common/envoy/codec.ts';
import { shownEnvoy } from '../../common/envoy/shown.ts';
import type { Answer, Routes } from '../../common/http/small-server.ts';
import type { DataSource } from '../cluster/tls/types.ts';
import type { Host, HostAddress } from '../cluster/types.ts';
import type { ResourceKind, Runtime } from '../runtime/runtime.ts';
import { metricsPage } from './metrics.ts';

export interface AdminFacts {
  readonly runtime: Runtime;
  /** What readiness waits for; empty: ready. */
  readonly pending: () => readonly string[];
  readonly quit: () => void;
  readonly levels: LogLevels;
}

const json = (value: unknown): Answer => ({
  status: 200,
  type: 'application/json',
  body: JSON.stringify(value, redacted, 1),
});

export function adminRoutes({ runtime, pending, quit, levels }: AdminFacts): Routes {
  return {
    'GET /ready': () => ready(pending()),
    'GET /stats': (url) => stats(runtime, url),
    'GET /stats/prometheus': () => ({ status: 200, body: metricsPage(runtime) }),
    'GET /listeners': (url) => listeners(runtime, url.searchParams.get('format') === 'json'),
    'GET /clusters': (url) => clusters(runtime, url.searchParams.get('format') === 'json'),
    'GET /config_dump': () => json(configDump(runtime)),
    'GET /server_info': () => json({ version, state: pending().length === 0 ? 'LIVE' : 'INITIALIZING' }),
    'POST /logging': (url) => logging(levels, url.searchParams),
    'POST /quitquitquit': () => {
      quit();
      return { status: 200, body: 'OK\n' };
    },
  };
}

/** `?level=debug`, or `?paths=access:debug,xds:info`: Envoy's words; with neither the levels as they are. */
function logging(levels: LogLevels, query: URLSearchParams): Answer {
  const paths = query.get('paths')?.replaceAll(':', '=');
  const asked = (query.get('level') ?? paths)?.replaceAll('warning', 'warn').replaceAll('critical', 'error');
  try {
    if (asked !== undefined) levels.apply(asked);
  } catch (e) {
    return { status: 400, body: `${describeError(e)}\n` };
  }
  const lines = levels
    .toString()
    .split(',')
    .map((part) => (part.includes('=') ? part.replace('=', ': ') : `all: ${part}`));
  return { status: 200, body: `active loggers:\n${lines.map((line) => `  ${line}\n`).join('')}` };
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
  if (url.searchParams.get('format') === 'prometheus') return { status: 200, body: metricsPage(runtime) };
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
          address: addressJson(host.address),
          stats: [
            { type: 'GAUGE', name: 'cx_active', value: String(host.load.connections) },
            { type: 'GAUGE', name: 'rq_active', value: String(host.load.requests) },
          ],
          health_status: healthJson(host),
          weight: host.weight,
          priority: host.priority,
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

function addressJson(address: HostAddress): object {
  switch (address.kind) {
    case 'ip':
      return { socket_address: { address: address.ip, port_value: address.port } };
    case 'pipe':
      return { pipe: { path: address.path } };
    case 'internal': {
      const { listener: server_listener_name, endpointId: endpoint_id } = address;
      return { envoy_internal_address: { server_listener_name, ...(endpoint_id !== '' && { endpoint_id }) } };
    }
  }
}

/** What is not told counts as healthy, as Envoy shows it. */
function healthJson({ told, ejected, failedCheck }: Host): object {
  return {
    eds_health_status: told === 'unknown' ? 'HEALTHY' : told.toUpperCase(),
    ...(ejected && { failed_outlier_check: true }),
    ...(failedCheck && { failed_active_health_check: true }),
  };
}

/** Kinds in the order in which Envoy shows them, and how one entry holds its resource. */
const dumps: readonly {
  readonly kind: ResourceKind;
  readonly type: string;
  readonly list: string;
  readonly entry: (name: string, resource: object) => object;
}[] = [
  {
    kind: 'cluster',
    type: 'ClustersConfigDump',
    list: 'dynamic_active_clusters',
    entry: (_, cluster) => ({ cluster }),
  },
  {
    kind: 'assignment',
    type: 'EndpointsConfigDump',
    list: 'dynamic_endpoint_configs',
    entry: (_, endpoint_config) => ({ endpoint_config }),
  },
  {
    kind: 'listener',
    type: 'ListenersConfigDump',
    list: 'dynamic_listeners',
    entry: (name, listener) => ({ name, active_state: { listener } }),
  },
  {
    kind: 'route',
    type: 'RoutesConfigDump',
    list: 'dynamic_route_configs',
    entry: (_, route_config) => ({ route_config }),
  },
];

function configDump(runtime: Runtime): object {
  const secrets = {
    '@type': typeUrl('envoy.admin.v3.SecretsConfigDump'),
    dynamic_active_secrets: [...runtime.secrets.all()].map(([name, secret]) => ({
      name,
      secret: {
        '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.Secret'),
        name,
        ...(secret.kind === 'certificate'
          ? {
              tls_certificate: {
                certificate_chain: sourceJson(secret.pair.chain),
                private_key: { inline_bytes: Buffer.from('[redacted]').toString('base64') },
              },
            }
          : {
              validation_context:
                secret.validation.trustedCa === undefined
                  ? {}
                  : { trusted_ca: sourceJson(secret.validation.trustedCa) },
            }),
      },
    })),
  };
  const resources = dumps.map(({ kind, type, list, entry }) => ({
    '@type': typeUrl(`envoy.admin.v3.${type}`),
    [list]: [...runtime.resources(kind)].map(([name, resource]) => entry(name, shownEnvoy(resource as TypedObject))),
  }));
  return { configs: [...resources, secrets] };
}

function sourceJson(source: DataSource): object {
  return source.kind === 'inline'
    ? { inline_bytes: Buffer.from(source.bytes).toString('base64') }
    : { filename: source.path };
}

/** Keys are never shown. */
function redacted(key: string, value: unknown): unknown {
  return key === 'private_key' || key === 'password' ? { inline_string: '[redacted]' } : value;
}
