/** The HTTP connection manager of a service's port. */

import { isHttp2 } from '../clusters/protocol.ts';
import type { MeshFacts, MeshPort } from '../inputs.ts';
import { ads, extension, type Message, none } from '../values.ts';

const manager = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const router = extension('envoy.filters.http.router', 'envoy.extensions.filters.http.router.v3.Router');
const grpcWeb = extension('envoy.filters.http.grpc_web', 'envoy.extensions.filters.http.grpc_web.v3.GrpcWeb');
const cors = extension('envoy.filters.http.cors', 'envoy.extensions.filters.http.cors.v3.Cors');
const sessions = extension(
  'envoy.filters.http.stateful_session',
  'envoy.extensions.filters.http.stateful_session.v3.StatefulSession',
);
const fault = extension('envoy.filters.http.fault', 'envoy.extensions.filters.http.fault.v3.HTTPFault');

/** `routes`: name of its RDS, or the routes themselves. `filters` come before those of routes, and after them. */
export function httpManager(
  facts: MeshFacts,
  name: string,
  port: Pick<MeshPort, 'protocol'>,
  routes: string | Message,
  filters: { readonly first: readonly Message[]; readonly last?: readonly Message[] },
  logs: readonly Message[],
  more: Message = {},
): Message {
  return extension('envoy.filters.network.http_connection_manager', manager, {
    stat_prefix: name,
    ...(typeof routes === 'string'
      ? { rds: { config_source: ads, route_config_name: routes } }
      : { route_config: routes }),
    // Routes and policies see one form of a path, and the service the same.
    ...paths(facts.pathNormalization),
    strip_trailing_host_dot: true,
    server_header_transformation: 'PASS_THROUGH',
    use_remote_address: { value: false },
    stream_idle_timeout: none,
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    ...(isHttp2(port.protocol) ? { http2_protocol_options: {} } : {}),
    access_log: logs,
    // Without a route that says so there are no sessions.
    http_filters: [
      ...filters.first,
      ...(port.protocol === 'GRPC_WEB' ? [grpcWeb] : []),
      cors,
      fault,
      ...(filters.last ?? []),
      sessions,
      router,
    ],
    ...more,
  });
}

function paths(mode: MeshFacts['pathNormalization']): Message {
  switch (mode) {
    case 'NONE':
      return {};
    case 'BASE':
      return { normalize_path: { value: true } };
    case 'MERGE_SLASHES':
      return { normalize_path: { value: true }, merge_slashes: true };
    case 'DECODE_AND_MERGE_SLASHES':
      return {
        normalize_path: { value: true },
        merge_slashes: true,
        path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD',
      };
  }
}
