/** A bootstrap file as Envoy's: who we are, static resources, and where the others come from. */
import { parse } from 'yaml';
import type { JsonValue } from '../../common/api/index.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { decodeEnvoy, encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import { checkFields, type Fields } from '../../common/envoy/fields.ts';
import { messageFromJson } from '../../common/envoy/json.ts';
import type { ControlPlane } from '../../common/xds/connect.ts';
import { readLocality } from '../cluster/compile/assignment.ts';
import type { Locality } from '../cluster/types.ts';
import type { ProxyNode } from '../tracing/standard-tags.ts';
import type { AdsOptions } from './ads.ts';
import { nodeOf, readDynamicResources, serverOf } from './dynamic-resources.ts';
import type { Runtime } from './runtime.ts';

export interface Bootstrap {
  readonly clusters: readonly object[];
  readonly listeners: readonly object[];
  readonly secrets: readonly object[];
  /** undefined: none is served. */
  readonly admin: BootstrapAddress | undefined;
  readonly node: ProxyNode;
  /** The cluster that this proxy is part of, and where it is. */
  /** undefined: the file is all. */
  readonly dynamic: { readonly server: ControlPlane; readonly node: AdsOptions['node'] } | undefined;
  readonly local: { readonly cluster: string; readonly locality: Locality } | undefined;
}

export type BootstrapAddress =
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number }
  | { readonly kind: 'pipe'; readonly path: string };

/** Text in JSON or YAML. MeshError CONFIG with every mistake. */
export function readBootstrap(text: string): Bootstrap {
  const url = typeUrl('envoy.config.bootstrap.v3.Bootstrap');
  const message = messageFromJson(url, parseText(text));
  const decoded = decodeEnvoy(url, encodeEnvoy(message));
  if (decoded.kind === 'rejected') throw new MeshError('CONFIG', decoded.reason);
  const checked = checkFields(decoded.value, 'Bootstrap', readFields);
  if (checked.kind === 'rejected') throw new MeshError('CONFIG', checked.reason);
  const resources = (decoded.value['static_resources'] ?? {}) as Readonly<
    Record<string, readonly object[] | undefined>
  >;
  const clusters = resources['clusters'] ?? [];
  const { dynamic, ...others } = checked.value;
  return {
    clusters,
    listeners: resources['listeners'] ?? [],
    secrets: resources['secrets'] ?? [],
    dynamic: dynamic && { server: serverOf(dynamic, clusters), node: dynamic.node },
    ...others,
  };
}

/** JSON by its own parser: YAML's leaves 150 MB of garbage behind for a thousand clusters. */
function parseText(text: string): JsonValue {
  if (!text.trimStart().startsWith('{')) return parse(text) as JsonValue;
  try {
    return JSON.parse(text) as JsonValue;
  } catch (e) {
    throw new MeshError('CONFIG', `bootstrap: ${describeError(e)}`, { cause: e });
  }
}

function readFields(fields: Fields) {
  // Limits, flags and statistics of Envoy's process.
  fields.harmless(
    'stats_config',
    'stats_flush_interval',
    'overload_manager',
    'layered_runtime',
    'default_regex_engine',
    'stats_sinks',
    'enable_dispatcher_stats',
  );
  for (const name of ['stats_config', 'overload_manager', 'layered_runtime']) {
    fields.message(name)?.skip();
  }
  for (const extension of fields.list('bootstrap_extensions')) extension.skip();
  // Their parts are checked one by one as they are applied.
  fields.message('static_resources')?.skip();
  const node = fields.message('node');
  node?.harmless(...ofControlPlanes);
  const locality = node ? readLocality(node) : nowhere;
  const cluster = fields.message('cluster_manager')?.text('local_cluster_name') ?? '';
  const dynamic = fields.read('dynamic_resources', readDynamicResources);
  return {
    dynamic: dynamic && { ...dynamic, node: nodeOf(node) },
    admin: fields.read('admin', readAdmin),
    node: { id: node?.text('id') ?? '', cluster: node?.text('cluster') ?? '', zone: locality.zone },
    local: cluster === '' ? undefined : { cluster, locality },
  };
}

const nowhere: Locality = { region: '', zone: '', subZone: '' };

/** Of the node: what it tells a control plane, besides its metadata. */
const ofControlPlanes = [
  'metadata',
  'dynamic_parameters',
  'user_agent_name',
  'user_agent_version',
  'user_agent_build_version',
  'extensions',
  'client_features',
  'listening_addresses',
];

function readAdmin(admin: Fields): Bootstrap['admin'] {
  admin.harmless('profile_path', 'access_log_path', 'ignore_global_conn_limit');
  for (const log of admin.list('access_log')) log.skip();
  const address = admin.message('address');
  const pipe = address?.message('pipe');
  if (pipe) return { kind: 'pipe', path: pipe.text('path') };
  const socket = address?.message('socket_address');
  if (!socket) return undefined;
  return { kind: 'tcp', address: socket.text('address'), port: socket.number('port_value', 0, 65_535) };
}

/** MeshError CONFIG with what the first bad resource is refused for: a file is good as a whole or not at all. */
export function applyBootstrap(runtime: Runtime, { clusters, listeners, secrets }: Bootstrap): void {
  for (const [kind, resources] of [
    ['secret', secrets],
    ['cluster', clusters],
    ['listener', listeners],
  ] as const) {
    for (const resource of resources) {
      const applied = runtime.apply(kind, resource);
      if (applied.kind === 'rejected') {
        const { name } = resource as { readonly name?: string };
        throw new MeshError('CONFIG', `${kind} ${name ?? 'without a name'}: ${applied.reason}`);
      }
    }
  }
}
