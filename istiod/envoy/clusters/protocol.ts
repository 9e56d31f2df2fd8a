/** How endpoints are spoken to in HTTP: the version, and what connections may be used for. */
import type { PortProtocol } from '../../../common/mesh/types.ts';
import { durationOf, type Message, typed } from '../values.ts';
import type { PortPolicy } from './rules.ts';

const name = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** What of TLS the options of HTTP say. */
export interface ServerName {
  /** The request's host is asked for by SNI. */
  readonly isRequested: boolean;
  /** The certificate has to be of that host. */
  readonly isChecked: boolean;
}

/**
 * Of the message `HttpProtocolOptions`, under its name. A port that says HTTP/2 gets it; any other what its client speaks: that is
 * what it would get without a proxy between them.
 */
export function protocolOptions(
  protocol: PortProtocol | undefined,
  policy: PortPolicy,
  serverName?: ServerName,
): Message {
  const { tcp, http = {} } = policy.connectionPool ?? {};
  const common = {
    ...(http.idleTimeout !== undefined && { idle_timeout: durationOf(http.idleTimeout) }),
    ...(tcp?.maxConnectionDuration !== undefined && {
      max_connection_duration: durationOf(tcp.maxConnectionDuration),
    }),
    ...(http.maxRequestsPerConnection && { max_requests_per_connection: { value: http.maxRequestsPerConnection } }),
  };
  const { interval, timeout } = http.http2KeepAlive ?? {};
  const http2 = {
    ...(http.maxConcurrentStreams && { max_concurrent_streams: { value: http.maxConcurrentStreams } }),
    // Envoy wants both.
    ...(http.http2KeepAlive && {
      connection_keepalive: {
        interval: durationOf(interval ?? '') ?? { seconds: 30 },
        timeout: durationOf(timeout ?? '') ?? { seconds: 20 },
      },
    }),
  };
  return {
    [name]: typed(name, {
      ...(Object.keys(common).length > 0 && { common_http_protocol_options: common }),
      ...(serverName &&
        (serverName.isRequested || serverName.isChecked) && {
          upstream_http_protocol_options: {
            auto_sni: serverName.isRequested,
            auto_san_validation: serverName.isChecked,
          },
        }),
      ...version(protocol, http, http2),
    }),
  };
}

type HttpPool = NonNullable<NonNullable<PortPolicy['connectionPool']>['http']>;

export function isHttp2(protocol: PortProtocol | undefined): boolean {
  return protocol === 'HTTP2' || protocol === 'GRPC' || protocol === 'GRPC_WEB';
}

function version(protocol: PortProtocol | undefined, http: HttpPool, http2: Message): Message {
  if (isHttp2(protocol) || http.h2UpgradePolicy === 'UPGRADE')
    return { explicit_http_config: { http2_protocol_options: http2 } };
  if (http.h2UpgradePolicy === 'DO_NOT_UPGRADE' && http.useClientProtocol !== true)
    return { explicit_http_config: { http_protocol_options: {} } };
  return { use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: http2 } };
}
