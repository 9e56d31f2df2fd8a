/** The tracers that a configuration may name: how contexts travel, and where finished spans go. */
import { millis } from '../../common/core/brand.ts';
import type { Fields } from '../../common/envoy/fields.ts';
import { Batch } from '../export/batch.ts';
import { deliver, readGrpcDestination, readHttpDestination } from '../export/destination.ts';
import type { ExportEnvironment } from '../export/environment.ts';
import { type Attribute, encodeExport, encodeSpan, traceService } from '../export/otlp.ts';
import { zipkinList, zipkinSpan } from '../export/zipkin.ts';
import type { RequestView } from '../request/view.ts';
import { b3 } from './b3.ts';
import type { Propagation } from './context.ts';
import type { FinishedSpan } from './span.ts';
import { w3c } from './w3c.ts';

export interface Tracer {
  readonly propagation: Propagation;
  /** Of a span that nobody names otherwise; `operation` is what Envoy calls the direction. */
  name(view: RequestView, operation: string): string;
  report(span: FinishedSpan): void;
}

const prefix = 'type.googleapis.com/envoy.config.trace.v3.';
/** Envoy sends five together, which at a waypoint's rates are a thousand calls a second. */
const limits = {
  items: 512,
  bytes: 1_048_576,
  interval: millis(1_000),
  mostItems: 8_192,
  mostBytes: 16 * 1_048_576,
} as const;

/** An envoy.config.trace.v3.Tracing.Http. */
export function readTracer(fields: Fields, env: ExportEnvironment): Tracer | undefined {
  fields.harmless('name');
  const config = fields.message('typed_config');
  switch (config?.type) {
    case `${prefix}OpenTelemetryConfig`:
      return readOpenTelemetry(config, env);
    case `${prefix}ZipkinConfig`:
      return readZipkin(config, env);
    default:
      fields.mistake('typed_config', `tracer ${config?.type || 'without a type'} is not supported`);
      return undefined;
  }
}

function readOpenTelemetry(config: Fields, env: ExportEnvironment): Tracer {
  const http = config.message('http_service');
  const to = http ? readHttpDestination(http) : config.required('grpc_service', readGrpcDestination);
  const detected = config.list('resource_detectors').flatMap((detector) => readDetector(detector, env));
  const mostItems = config.wrapped('max_cache_size', 1) ?? limits.mostItems;
  const resource = merged([
    { name: 'service.name', value: config.text('service_name') || 'unknown_service:aquifer' },
    { name: 'telemetry.sdk.language', value: 'nodejs' },
    { name: 'telemetry.sdk.name', value: 'aquifer' },
    ...detected,
  ]);
  const scope = { resource, scope: { name: 'aquifer', version: '' } };
  const batch = env.exporters.get(JSON.stringify(['otlp spans', to, resource, mostItems]), () => {
    const { caller, clock } = env;
    return new Batch({
      clock,
      ...limits,
      mostItems,
      sent: env.stats.counter('tracing.opentelemetry.spans_sent'),
      dropped: env.stats.counter('tracing.opentelemetry.spans_dropped'),
      send: (items, done) =>
        deliver(
          caller,
          to,
          { message: encodeExport(scope, items), method: traceService, contentType: 'application/x-protobuf' },
          done,
        ),
    });
  });
  return {
    propagation: w3c,
    name: (_view, operation) => operation,
    report: (span) => batch.add(encodeSpan(span)),
  };
}

/** Later ones count. */
function merged(attributes: readonly Attribute[]): readonly Attribute[] {
  return [...new Map(attributes.map((attribute) => [attribute.name, attribute])).values()];
}

const environmentDetector =
  'type.googleapis.com/envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig';

/** OTEL_RESOURCE_ATTRIBUTES: `key=value,key=value`, values percent-encoded. */
function readDetector(detector: Fields, env: ExportEnvironment): readonly Attribute[] {
  detector.harmless('name');
  const config = detector.message('typed_config');
  if (config?.type !== environmentDetector) {
    detector.mistake('typed_config', `resource detector ${config?.type || 'without a type'} is not supported`);
    return [];
  }
  const text = env.variable('OTEL_RESOURCE_ATTRIBUTES') ?? '';
  return text.split(',').flatMap((pair) => {
    const at = pair.indexOf('=');
    return at <= 0 ? [] : [{ name: pair.slice(0, at).trim(), value: unescaped(pair.slice(at + 1).trim()) }];
  });
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function readZipkin(config: Fields, env: ExportEnvironment): Tracer {
  config.choice('collector_endpoint_version', 'DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE', { HTTP_JSON: true });
  const service = config.message('collector_service');
  const cluster = config.text('collector_cluster');
  const path = config.text('collector_endpoint');
  const authority = config.text('collector_hostname') || cluster;
  if (!service && (cluster === '' || path === '')) config.mistake('collector_service', 'is missing');
  const to = service
    ? readHttpDestination(service)
    : ({ kind: 'http', cluster, authority, path, headers: [], timeout: millis(5_000) } as const);
  const { caller, clock, node, ownAddress } = env;
  const endpoint = { serviceName: node.cluster, address: ownAddress, port: 0 };
  const batch = env.exporters.get(JSON.stringify(['zipkin', to]), () => {
    return new Batch({
      clock,
      ...limits,
      sent: env.stats.counter('tracing.zipkin.spans_sent'),
      dropped: env.stats.counter('tracing.zipkin.spans_dropped'),
      send: (items, done) =>
        deliver(caller, to, { message: zipkinList(items), method: '', contentType: 'application/json' }, done),
    });
  });
  return {
    propagation: b3({
      longIds: config.flag('trace_id_128bit'),
      sharesSpans: config.wrappedFlag('shared_span_context') ?? true,
      withW3c:
        config.choice('trace_context_option', 'USE_B3', { USE_B3: false, USE_B3_WITH_W3C_PROPAGATION: true }) ?? false,
    }),
    name: (view) => view.authority,
    report: (span) => batch.add(zipkinSpan(span, endpoint)),
  };
}
