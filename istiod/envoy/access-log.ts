/** Loggers as MeshConfig and its providers ask for them: to a file, or to a collector that Envoy's cluster `to` leads to. */
import { formatMistake } from '../../common/envoy/operators.ts';
import type { FileLogProvider, LogCollector, MeshFacts } from './inputs.ts';
import { type DryRunLog, nothingOnTrial } from './rbac/dry-run.ts';
import { extension, type Message, type Struct, struct } from './values.ts';

/** Istio's line: tools parse it. */
const text =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ' +
  '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n';

/** The same in JSON. */
const labels: Readonly<Record<string, string>> = {
  start_time: '%START_TIME%',
  route_name: '%ROUTE_NAME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
};

/** What accessLogFile of MeshConfig asks for. */
export function meshLogs(facts: MeshFacts, trials = nothingOnTrial): readonly Message[] {
  return facts.accessLogFile === undefined ? [] : [fileLogger(facts.accessLogFile, ofMesh(facts, trials))];
}

/** What a provider of the type envoyFileAccessLog writes. */
export function fileLog(
  { name, path, format, omitsEmpty }: FileLogProvider,
  facts: MeshFacts,
  trials = nothingOnTrial,
): Message {
  const omitting = omitsEmpty ? { omit_empty_values: true } : {};
  // Istio's own provider follows the mesh's format.
  if (format === undefined)
    return fileLogger(path, name === 'envoy' && !omitsEmpty ? ofMesh(facts, trials) : lineOf(trials), omitting);
  if ('text' in format) return fileLogger(path, lineOf(trials, format.text), omitting);
  const own = Object.keys(format.labels).length === 0 ? { ...labels, ...trials.labels } : format.labels;
  return fileLogger(path, { json_format: struct(own), ...formatters(...Object.values(own)) }, omitting);
}

/** What a provider sends to a collector. `host`: the collector's, as Envoy's authority. */
export function collectorLog(provider: LogCollector, to: string, host: string): Message {
  const common = (logName: string, states: readonly string[]): Message => ({
    common_config: {
      log_name: provider.logName ?? logName,
      grpc_service: { envoy_grpc: { cluster_name: to, authority: host } },
      transport_api_version: 'V3',
      filter_state_objects_to_log: states,
    },
  });
  switch (provider.kind) {
    case 'otlp-logs': {
      const body = provider.text ?? text;
      const attributes = Object.entries(provider.labels).sort(([a], [b]) => (a < b ? -1 : 1));
      return extension(
        'envoy.access_loggers.open_telemetry',
        'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig',
        {
          ...common('otel_envoy_accesslog', [...peers, ...olderPeers]),
          disable_builtin_labels: true,
          body: { string_value: body },
          ...(attributes.length > 0 && {
            attributes: { values: attributes.map(([key, value]) => ({ key, value: { string_value: value } })) },
          }),
          ...formatters(body, ...Object.values(provider.labels)),
        },
      );
    }
    case 'http-als':
      return extension(
        'envoy.access_loggers.http_grpc',
        'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig',
        {
          ...common('http_envoy_accesslog', statesOf(provider.states)),
          additional_request_headers_to_log: provider.requestHeaders,
          additional_response_headers_to_log: provider.responseHeaders,
          additional_response_trailers_to_log: provider.responseTrailers,
        },
      );
    case 'tcp-als':
      return extension(
        'envoy.tcp_grpc_access_log',
        'envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig',
        common('tcp_envoy_accesslog', statesOf(provider.states)),
      );
  }
}

/** Who called and who was called, as Istio's Envoy knows it by these names. */
const peers = ['upstream_peer', 'downstream_peer'];
const olderPeers = ['upstream_peer', 'upstream_peer_id', 'downstream_peer', 'downstream_peer_id'].map(
  (s) => `wasm.${s}`,
);

function statesOf(own: readonly string[]): readonly string[] {
  return own.length > 0 ? own : peers;
}

function ofMesh(facts: MeshFacts, trials: DryRunLog): Message {
  // One that no Envoy takes would cost all listeners: Istio's own line is told instead.
  const { accessLogFormat: own, accessLogEncoding } = facts;
  const format = own === undefined || formatMistake(own) !== undefined ? undefined : own;
  return accessLogEncoding === 'JSON' ? jsonOf(trials, format) : lineOf(trials, format);
}

function fileLogger(path: string, format: Message, more: Message = {}): Message {
  return extension('envoy.access_loggers.file', 'envoy.extensions.access_loggers.file.v3.FileAccessLog', {
    path,
    log_format: { ...format, ...more },
  });
}

function lineOf(trials: DryRunLog, format = ''): Message {
  const line = format === '' ? text.replace('\n', `${trials.text}\n`) : format;
  return {
    text_format_source: { inline_string: line.endsWith('\n') ? line : `${line}\n` },
    ...formatters(line),
  };
}

/** A format that is no JSON object counts as none: MeshConfig's check of it is Istio's. */
function jsonOf(trials: DryRunLog, format: string | undefined): Message {
  const own = format === undefined ? undefined : structOf(format);
  return own ? { json_format: own, ...formatters(format!) } : { json_format: struct({ ...labels, ...trials.labels }) };
}

function structOf(json: string): Struct | undefined {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== 'object' || value === null) return undefined;
    const entries = Object.entries(value).map(([k, v]) => [k, { stringValue: String(v) }]);
    return { fields: Object.fromEntries(entries) };
  } catch {
    return undefined;
  }
}

/** Envoy knows this operator by an extension only. */
function formatters(...formats: readonly string[]): Message {
  if (!formats.some((format) => format.includes('%REQ_WITHOUT_QUERY'))) return {};
  return {
    formatters: [
      extension('envoy.formatter.req_without_query', 'envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery'),
    ],
  };
}
