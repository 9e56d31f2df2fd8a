/** Traces as Telemetry and MeshConfig ask for them; none is sampled, since collectors of both would be asked for others' spans. */
import { type CaseRequest, meshOf, type RouteCase } from './case.ts';

const collector = 'api.pay.svc.cluster.local';
const mesh = meshOf(`
enableTracing: true
defaultConfig: {tracing: {sampling: 0.01, maxPathTagLength: 99, customTags: {of-mesh: {literal: {value: all}}}}}
extensionProviders:
- name: otel
  opentelemetry: {service: ${collector}, port: 9000, grpc: {timeout: 3s, initialMetadata: [{name: a, value: b}]}}
- {name: plain, opentelemetry: {service: pay/${collector}, port: 9000}}
- name: by-http
  opentelemetry:
    service: ${collector}
    port: 9000
    maxTagLength: 12
    resourceDetectors: {environment: {}}
    http: {path: /v1/traces, timeout: 2s, headers: [{name: x-token, value: abc}]}
- {name: zipkin, zipkin: {service: ${collector}, port: 9000}}
- {name: both, zipkin: {service: ${collector}, port: 9000, enable64bitTraceId: true, traceContextOption: USE_B3_WITH_W3C_PROPAGATION}}
- {name: nowhere, opentelemetry: {service: no.such.host, port: 1}}
- {name: files, envoyFileAccessLog: {path: /dev/null}}
`);

const telemetry = (tracing: string, more = '') => `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: traces }
spec: { ${more} tracing: [${tracing}] }
---`;
const to = (name: string, more = '') => telemetry(`{providers: [{name: ${name}}], randomSamplingPercentage: 0${more}}`);
const operation = 'web.shop.svc.cluster.local:80/*';
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
const none = { traceparent: null, 'x-b3-traceid': null } as const;

/** `headers`: what the server sees of the trace. */
function asked(
  headers: Readonly<Record<string, string | null>>,
  told: string | null = operation,
): readonly CaseRequest[] {
  return [
    { path: '/', expect: { to: 'web', received: { headers }, response: { 'x-envoy-decorator-operation': told } } },
    { path: '/child', headers: { traceparent }, expect: { to: 'web' } },
  ];
}

const tags = `{of-text: {literal: {value: x}}, of-header: {header: {name: x-h}}, of-header-or: {header: {name: x-h, defaultValue: n}},
  of-variable: {environment: {name: NO_SUCH, defaultValue: n}}, of-variable-alone: {environment: {name: NO_SUCH}},
  of-format: {formatter: {value: "%REQ(x-h)%"}}, of-nothing: {}}`;

export const tracingCases: readonly RouteCase[] = [
  { name: 'traces: enableTracing marks ids alone', objects: '', mesh, requests: asked(none) },
  { name: 'traces: none of the mesh', objects: '', requests: asked(none, null) },
  { name: 'traces by gRPC', objects: to('otel'), mesh, requests: asked({ 'x-b3-traceid': null }) },
  { name: 'traces by gRPC, as little as there is', objects: to('plain'), mesh, requests: asked({}) },
  { name: 'traces by HTTP', objects: to('by-http'), mesh, requests: asked({}) },
  { name: 'traces to Zipkin', objects: to('zipkin'), mesh, requests: asked({ 'x-b3-sampled': '0' }) },
  { name: 'traces to Zipkin, with W3C', objects: to('both'), mesh, requests: asked({ 'x-b3-sampled': '0' }) },
  { name: 'traces to nobody', objects: to('nowhere'), mesh, requests: asked(none, null) },
  { name: 'traces to what takes none', objects: to('files'), mesh, requests: asked(none, null) },
  {
    name: 'traces that are not reported',
    objects: to('otel', ', disableSpanReporting: true'),
    mesh,
    requests: asked(none, null),
  },
  {
    name: 'traces whose context stays',
    objects: to('otel', ', disableContextPropagation: true'),
    mesh,
    requests: asked(none),
  },
  {
    name: 'traces with tags of their own',
    objects: to('otel', `, enableIstioTags: false, customTags: ${tags}`),
    mesh,
    requests: asked({}),
  },
  {
    name: 'traces by default',
    objects: telemetry(
      '{match: {mode: CLIENT}, disableSpanReporting: true}, {match: {mode: SERVER}, randomSamplingPercentage: 0}',
    ),
    mesh: { ...mesh, defaultProviders: { metrics: [], accessLogging: [], tracing: ['OTEL'] } },
    requests: asked({}),
  },
];
