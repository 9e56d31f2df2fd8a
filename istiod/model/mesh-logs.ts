/** What MeshConfig says of access logs: extensionProviders of types envoyFileAccessLog, envoyOtelAls, envoyHttpAls and envoyTcpAls. */
import type { FileLogProvider, LogCollector } from '../envoy/inputs.ts';
import type { Reader } from './mesh-config.ts';

type Plain = Readonly<Record<string, unknown>>;

/** undefined: it is of another type. */
export function logProvider(
  read: Reader,
  path: string,
  name: string,
  entry: Plain,
): FileLogProvider | LogCollector | undefined {
  const of = (key: string) =>
    entry[key] === undefined ? undefined : { at: `${path}.${key}`, value: read.objectAt(`${path}.${key}`, entry[key]) };
  const file = of('envoyFileAccessLog');
  if (file) return fileProvider(read, file.at, name, file.value);
  const otlp = of('envoyOtelAls');
  if (otlp) {
    const { text, labels } = formatOf(read, otlp.at, otlp.value['logFormat']);
    return { kind: 'otlp-logs', ...collector(read, otlp.at, name, otlp.value), text, labels: labels ?? {} };
  }
  const http = of('envoyHttpAls');
  if (http) {
    const list = (key: string) => read.textsAt(`${http.at}.${key}`, http.value[key]) ?? [];
    return {
      kind: 'http-als',
      ...collector(read, http.at, name, http.value),
      states: list('filterStateObjectsToLog'),
      requestHeaders: list('additionalRequestHeadersToLog'),
      responseHeaders: list('additionalResponseHeadersToLog'),
      responseTrailers: list('additionalResponseTrailersToLog'),
    };
  }
  const tcp = of('envoyTcpAls');
  return (
    tcp && {
      kind: 'tcp-als',
      ...collector(read, tcp.at, name, tcp.value),
      states: read.textsAt(`${tcp.at}.filterStateObjectsToLog`, tcp.value['filterStateObjectsToLog']) ?? [],
    }
  );
}

function fileProvider(read: Reader, at: string, name: string, of: Plain): FileLogProvider {
  const { text, labels } = formatOf(read, at, of['logFormat']);
  return {
    kind: 'file',
    name,
    path: read.optionalText(`${at}.path`, of['path']) || '/dev/stdout',
    format: text !== undefined ? { text } : labels && { labels },
    omitsEmpty: read.flagAt(`${at}.omitEmptyValues`, of['omitEmptyValues']) ?? false,
  };
}

function collector(read: Reader, at: string, name: string, of: Plain) {
  return {
    name,
    service: read.textAt(`${at}.service`, of['service']),
    port: read.numberAt(`${at}.port`, of['port'], 65_535) ?? 0,
    logName: read.optionalText(`${at}.logName`, of['logName']) || undefined,
  };
}

function formatOf(read: Reader, at: string, value: unknown) {
  const { text, labels } = read.objectAt(`${at}.logFormat`, value);
  const path = `${at}.logFormat.labels`;
  return {
    text: read.optionalText(`${at}.logFormat.text`, text),
    labels:
      labels === undefined
        ? undefined
        : Object.fromEntries(
            Object.entries(read.objectAt(path, labels)).map(([k, v]) => [k, read.textAt(`${path}.${k}`, v)] as const),
          ),
  };
}
