/** What MeshConfig says of traces: providers of extensionProviders, enableTracing and defaultConfig.tracing. */
import type { HttpHeader, MeshTracing, TracingProvider, TracingTag } from '../envoy/inputs.ts';
import type { Reader } from './mesh-config.ts';

type Plain = Readonly<Record<string, unknown>>;

/** undefined: it is of another type. */
export function tracingProvider(read: Reader, path: string, name: string, entry: Plain): TracingProvider | undefined {
  if (entry['opentelemetry'] !== undefined)
    return openTelemetry(read, `${path}.opentelemetry`, name, entry['opentelemetry']);
  if (entry['zipkin'] !== undefined) return zipkin(read, `${path}.zipkin`, name, entry['zipkin']);
  return undefined;
}

function openTelemetry(read: Reader, at: string, name: string, value: unknown): TracingProvider {
  const of = read.objectAt(at, value);
  const http = of['http'] === undefined ? undefined : read.objectAt(`${at}.http`, of['http']);
  const grpc = read.objectAt(`${at}.grpc`, of['grpc']);
  const detectors = read.objectAt(`${at}.resourceDetectors`, of['resourceDetectors']);
  const enriches = of['serviceAttributeEnrichment'] === 'OTEL_SEMANTIC_CONVENTIONS';
  return {
    kind: 'opentelemetry',
    ...collector(read, at, name, of),
    by: http
      ? {
          kind: 'http',
          path: read.optionalText(`${at}.http.path`, http['path']) ?? '/',
          timeout: read.durationAt(`${at}.http.timeout`, http['timeout']),
          headers: headers(read, `${at}.http.headers`, http['headers']),
        }
      : {
          kind: 'grpc',
          timeout: read.durationAt(`${at}.grpc.timeout`, grpc['timeout']),
          metadata: headers(read, `${at}.grpc.initialMetadata`, grpc['initialMetadata']),
        },
    detectsEnvironment: enriches || detectors['environment'] !== undefined,
  };
}

function zipkin(read: Reader, at: string, name: string, value: unknown): TracingProvider {
  const of = read.objectAt(at, value);
  return {
    kind: 'zipkin',
    ...collector(read, at, name, of),
    path: read.optionalText(`${at}.path`, of['path']) ?? '/api/v2/spans',
    hasLongIds: read.flagAt(`${at}.enable64bitTraceId`, of['enable64bitTraceId']) !== true,
    withW3c: of['traceContextOption'] === 'USE_B3_WITH_W3C_PROPAGATION',
    timeout: read.durationAt(`${at}.timeout`, of['timeout']),
    headers: headers(read, `${at}.headers`, of['headers']),
  };
}

function collector(read: Reader, at: string, name: string, of: Plain) {
  return {
    name,
    service: read.textAt(`${at}.service`, of['service']),
    port: read.numberAt(`${at}.port`, of['port'], 65_535) ?? 0,
    maxTagLength: read.numberAt(`${at}.maxTagLength`, of['maxTagLength'], 0xffff_ffff) || undefined,
  };
}

function headers(read: Reader, path: string, value: unknown): readonly HttpHeader[] {
  return read.objects(path, value ?? []).map((header, i) => ({
    name: read.textAt(`${path}[${i}].name`, header['name']),
    // A variable of istiod's own is none of what a mesh's configuration may read.
    value: read.textAt(`${path}[${i}].value`, header['value']),
  }));
}

export function tracingOf(read: Reader, enabled: unknown, value: unknown): MeshTracing {
  const at = 'defaultConfig.tracing';
  const of = read.objectAt(at, value);
  const tags = Object.entries(read.objectAt(`${at}.customTags`, of['customTags']));
  return {
    isEnabled: read.flagAt('enableTracing', enabled) ?? false,
    sampling: read.numberAt(`${at}.sampling`, of['sampling'], 100) || 1,
    tags: Object.fromEntries(tags.map(([name, tag]) => [name, tagOf(read, `${at}.customTags.${name}`, tag)])),
    maxTagLength: read.numberAt(`${at}.maxPathTagLength`, of['maxPathTagLength'], 0xffff_ffff) || undefined,
    hasIstioTags: read.flagAt(`${at}.enableIstioTags`, of['enableIstioTags']) ?? true,
  };
}

function tagOf(read: Reader, at: string, value: unknown): TracingTag {
  const of = read.objectAt(at, value);
  const part = (name: string) => read.objectAt(`${at}.${name}`, of[name]);
  const named = (name: string) => {
    const { name: variable, defaultValue } = part(name) as { readonly name?: unknown; readonly defaultValue?: unknown };
    return {
      name: read.textAt(`${at}.${name}.name`, variable),
      defaultValue: read.optionalText(`${at}.${name}.defaultValue`, defaultValue) ?? '',
    };
  };
  if (of['environment'] !== undefined) return { environment: named('environment') };
  if (of['header'] !== undefined) return { header: named('header') };
  return { literal: { value: read.textAt(`${at}.literal.value`, part('literal')['value']) } };
}
