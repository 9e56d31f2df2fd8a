/** A row of `npm run bench -- filters`: what a trace costs a request, from its headers to the bytes for the collector. */
import { checkFields } from '../common/envoy/fields.ts';
import { exportEnvironment } from '../waypoint/export/environment.ts';
import { type Caller, silentStream } from '../waypoint/filters/caller.ts';
import type { FormatContext } from '../waypoint/format/format.ts';
import { Headers } from '../waypoint/request/headers.ts';
import { Rig } from '../waypoint/testing/rig.ts';
import { view } from '../waypoint/testing/view.ts';
import { readTracing, type TracingConfig } from '../waypoint/tracing/config.ts';
import { RequestSpan } from '../waypoint/tracing/request-span.ts';
import { median } from './statistics.ts';

const requests = 5_000;
const rounds = 21;
const prefix = 'type.googleapis.com/envoy.config.trace.v3.';
const otlp = { '@type': `${prefix}OpenTelemetryConfig`, grpc_service: { envoy_grpc: { cluster_name: 'collector' } } };
const zipkin = {
  '@type': `${prefix}ZipkinConfig`,
  collector_endpoint_version: 'HTTP_JSON',
  trace_id_128bit: true,
  collector_service: { http_uri: { uri: '/api/v2/spans', cluster: 'collector' } },
};

export function benchTracing(): void {
  const kinds = [
    ['OTLP, every request', read(otlp, 100)],
    ['OTLP, 1 %', read(otlp, 1)],
    ['Zipkin, every request', read(zipkin, 100)],
  ] as const;
  const costs = kinds.map((): number[] => []);
  // In turns, with requests that are not traced: what they cost themselves does not count.
  for (let round = 0; round < rounds; round++) {
    const plain = costOf(undefined);
    kinds.forEach(([, config], i) => void costs[i]!.push(costOf(config) - plain));
  }
  kinds.forEach(([name], i) => {
    process.stdout.write(`traces, ${name}: ${median(costs[i]!).toFixed(1)} us of CPU a request\n`);
  });
}

/** Takes all at once. */
const caller: Caller = {
  http: (_, done) => {
    done({ kind: 'answered', status: 200, headers: new Headers(), body: Buffer.alloc(0), trailers: new Headers() });
    return () => undefined;
  },
  grpc: (_, done) => {
    done({ kind: 'answered', message: Buffer.alloc(0) });
    return () => undefined;
  },
  stream: () => silentStream,
};

function read(tracer: object, percent: number): TracingConfig {
  const env = { ...exportEnvironment(new Rig().runtime.env), caller };
  // As many as Istio adds to each span.
  const tags = ['canonical_revision', 'canonical_service', 'mesh_id', 'namespace', 'cluster_id'].map((name) => ({
    tag: `istio.${name}`,
    literal: { value: 'some-value' },
  }));
  const message = {
    random_sampling: { value: percent },
    custom_tags: tags,
    provider: { name: 'tracer', typed_config: tracer },
  };
  const made = checkFields(message, 'Tracing', (fields) =>
    readTracing(fields, { byRequestId: true, packs: true }, 'ingress', env),
  );
  if (made.kind !== 'ok') throw new Error(made.reason);
  return made.value;
}

function costOf(config: TracingConfig | undefined): number {
  const from = process.cpuUsage();
  for (let i = 0; i < requests; i++) one(config, i);
  const { user, system } = process.cpuUsage(from);
  return (user + system) / requests;
}

const decorator = { operation: 'web.shop.svc.cluster.local:80/*', propagates: true };
const cluster = { name: 'inbound-vip|80|http|web.shop.svc.cluster.local', statName: 'inbound-vip|80|http|web;' };
const facts: FormatContext['facts'] = { startTime: 1_700_000_000_000, bytesReceived: 0, bytesSent: 12, cluster };

function one(config: TracingConfig | undefined, i: number): void {
  const digits = ((i * 2_654_435_761) >>> 0).toString(16).padStart(8, '0');
  const headers = {
    'x-request-id': `${digits}-2c3d-4a5b-8c9d-0e1f2a3b4c5d`,
    'user-agent': 'bench',
    accept: '*/*',
    'x-forwarded-proto': 'http',
  };
  const request = view({ headers });
  if (!config) return;
  const span = new RequestSpan(config, request, decorator, Math);
  span.inject(request.headers);
  const response = { status: 200, headers: new Headers(['content-type', 'text/plain']) };
  span.answer(response.headers);
  if (span.isTold) span.finish({ request, response, facts }, 1.2);
}
