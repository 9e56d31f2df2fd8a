/** The access log that MeshConfig asks for. */
import type { MeshFacts } from './inputs.ts';
import { extension, type Message, type Struct } from './values.ts';

/** Istio's fields, in its order: tools parse the lines. */
const fields = [
  ['start_time', '[%START_TIME%]'],
  ['request', '"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"'],
  ['response_code', '%RESPONSE_CODE%'],
  ['response_flags', '%RESPONSE_FLAGS%'],
  ['response_code_details', '%RESPONSE_CODE_DETAILS%'],
  ['connection_termination_details', '%CONNECTION_TERMINATION_DETAILS%'],
  ['upstream_transport_failure_reason', '"%UPSTREAM_TRANSPORT_FAILURE_REASON%"'],
  ['bytes_received', '%BYTES_RECEIVED%'],
  ['bytes_sent', '%BYTES_SENT%'],
  ['duration', '%DURATION%'],
  ['upstream_service_time', '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%'],
  ['x_forwarded_for', '"%REQ(X-FORWARDED-FOR)%"'],
  ['user_agent', '"%REQ(USER-AGENT)%"'],
  ['request_id', '"%REQ(X-REQUEST-ID)%"'],
  ['authority', '"%REQ(:AUTHORITY)%"'],
  ['upstream_host', '"%UPSTREAM_HOST%"'],
  ['upstream_cluster', '%UPSTREAM_CLUSTER%'],
  ['upstream_local_address', '%UPSTREAM_LOCAL_ADDRESS%'],
  ['downstream_local_address', '%DOWNSTREAM_LOCAL_ADDRESS%'],
  ['downstream_remote_address', '%DOWNSTREAM_REMOTE_ADDRESS%'],
  ['requested_server_name', '%REQUESTED_SERVER_NAME%'],
  ['route_name', '%ROUTE_NAME%'],
] as const;

/** None without `accessLogFile`. `filter`: which lines; undefined: all. */
export function accessLog(facts: MeshFacts, filter?: Message): readonly Message[] {
  const { accessLogFile: path } = facts;
  if (path === undefined) return [];
  const config = { path, log_format: facts.accessLogEncoding === 'JSON' ? jsonFormat(facts) : textFormat(facts) };
  const logger = extension(
    'envoy.access_loggers.file',
    'envoy.extensions.access_loggers.file.v3.FileAccessLog',
    config,
  );
  return [{ ...logger, ...(filter && { filter }) }];
}

function textFormat({ accessLogFormat }: MeshFacts): Message {
  const line = accessLogFormat ?? `${fields.map(([, format]) => format).join(' ')}\n`;
  return { text_format_source: { inline_string: line.endsWith('\n') ? line : `${line}\n` } };
}

/** A format that is no JSON object counts as none: MeshConfig's check of it is Istio's. */
function jsonFormat({ accessLogFormat }: MeshFacts): Message {
  return { json_format: accessLogFormat === undefined ? defaultJson() : (structOf(accessLogFormat) ?? defaultJson()) };
}

function defaultJson(): Struct {
  const entries = fields.map(([name, format]) => [name, { stringValue: /%.*%/.exec(format)![0] }]);
  return { fields: Object.fromEntries(entries) };
}

function structOf(text: string): Struct | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const entries = Object.entries(value).map(([k, v]) => [k, { stringValue: String(v) }]);
    return { fields: Object.fromEntries(entries) };
  } catch {
    return undefined;
  }
}
