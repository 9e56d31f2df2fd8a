/** The access log that MeshConfig asks for. */
import type { ExtensionProvider, MeshFacts } from './inputs.ts';
import { extension, type Message, type Struct, struct } from './values.ts';

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
  return [logger(path, ofMesh(facts), filter)];
}

/** What a provider of the type envoyFileAccessLog writes. */
export function fileLog(
  { path, format }: Extract<ExtensionProvider, { readonly kind: 'file' }>,
  facts: MeshFacts,
  filter: Message | undefined,
): Message {
  if (format === undefined) return logger(path, ofMesh(facts), filter);
  if ('text' in format) return logger(path, textFormat(format.text), filter);
  return logger(path, { json_format: struct(format.labels) }, filter);
}

function ofMesh(facts: MeshFacts): Message {
  return facts.accessLogEncoding === 'JSON' ? jsonFormat(facts) : textFormat(facts.accessLogFormat);
}

function logger(path: string, format: Message, filter: Message | undefined): Message {
  const made = extension('envoy.access_loggers.file', 'envoy.extensions.access_loggers.file.v3.FileAccessLog', {
    path,
    log_format: format,
  });
  return { ...made, ...(filter && { filter }) };
}

function textFormat(format: string | undefined): Message {
  const line = format ?? `${fields.map(([, format]) => format).join(' ')}\n`;
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
