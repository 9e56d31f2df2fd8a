/** Metrics and access logs as Telemetry asks for them: they change nothing of what becomes of requests. */
import type { ExtensionProvider, FileLogProvider } from '../../../istiod/envoy/inputs.ts';
import { ofAllWaypoints, type RouteCase } from './case.ts';

const file = (name: string, format: FileLogProvider['format']): FileLogProvider => ({
  kind: 'file',
  name,
  path: '/dev/null',
  format,
  omitsEmpty: false,
});
const collector = { logName: undefined, service: 'api.pay.svc.cluster.local', port: 9000 };
const extensionProviders: readonly ExtensionProvider[] = [
  { kind: 'prometheus', name: 'prometheus' },
  { kind: 'unserved', name: 'other' },
  file('plain', undefined),
  file('envoy', undefined),
  { ...file('plain-omitting', undefined), omitsEmpty: true },
  file('empty', { text: '' }),
  file('unreadable', { text: '%NO_SUCH_OPERATOR%' }),
  file('text', { text: '%REQ(:PATH)%' }),
  file('labels', { labels: { path: '%REQ(:PATH)%' } }),
  file('no-labels', { labels: {} }),
  file('without-query', { text: '%REQ_WITHOUT_QUERY(:PATH)%' }),
  { ...file('omitting', { labels: { none: '%REQ(x-none)%' } }), omitsEmpty: true },
  { kind: 'otlp-logs', name: 'otlp', ...collector, text: undefined, labels: {} },
  {
    kind: 'otlp-logs',
    name: 'otlp-own',
    ...collector,
    logName: 'own',
    text: '%REQ_WITHOUT_QUERY(:PATH)%',
    labels: { code: '%RESPONSE_CODE%', method: '%REQ(:METHOD)%', bytes: '%BYTES_SENT%' },
  },
  {
    kind: 'http-als',
    name: 'als',
    ...collector,
    states: [],
    requestHeaders: ['x-a'],
    responseHeaders: ['x-b'],
    responseTrailers: ['x-c'],
  },
  { kind: 'tcp-als', name: 'tcp-als', ...collector, states: ['own'] },
  { kind: 'otlp-logs', name: 'otlp-nowhere', ...collector, service: 'no.such.host', text: undefined, labels: {} },
];

const telemetry = (spec: string, name = 'telemetry') => `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: ${name} }
spec: ${spec}
---`;
const logging = (...entries: readonly string[]) => telemetry(`{ accessLogging: [${entries.join(', ')}] }`);
const metrics = (...entries: readonly string[]) => telemetry(`{ metrics: [${entries.join(', ')}] }`);
const requests: RouteCase['requests'] = [{ path: '/', expect: { to: 'web' } }];
const mesh = { extensionProviders, accessLogFile: '/dev/null' };
const override = (text: string) => `{ overrides: [${text}] }`;

export const telemetryCases: readonly RouteCase[] = [
  { name: 'logs of the mesh in JSON', objects: '', mesh: { ...mesh, accessLogEncoding: 'JSON' }, requests },
  {
    name: 'logs of the mesh in a JSON of its own',
    objects: '',
    mesh: { ...mesh, accessLogEncoding: 'JSON', accessLogFormat: '{"path": "%REQ(:PATH)%", "one": 1}' },
    requests,
  },
  {
    name: 'logs of the mesh whose JSON is none',
    objects: '',
    mesh: { ...mesh, accessLogEncoding: 'JSON', accessLogFormat: '[1' },
    requests,
  },
  {
    name: 'logs of the mesh whose JSON is no object',
    objects: '',
    mesh: { ...mesh, accessLogEncoding: 'JSON', accessLogFormat: '1' },
    requests,
  },
  { name: 'logs in a text of the mesh', objects: '', mesh: { ...mesh, accessLogFormat: '%REQ(:PATH)%\n' }, requests },
  {
    name: 'logs of providers, with and without a format',
    objects: logging(
      '{ providers: [{ name: text }, { name: labels }, { name: plain }, { name: other }, { name: prometheus }, { name: envoy }, { name: plain-omitting }, { name: empty }, { name: unreadable }] }',
    ),
    mesh,
    requests,
  },
  {
    name: 'logs to collectors',
    objects: logging(
      '{ providers: [{ name: otlp }, { name: otlp-own }, { name: als }, { name: tcp-als }, { name: otlp-nowhere }] }',
    ),
    mesh,
    requests,
  },
  {
    name: 'logs to collectors of some requests, and to files in other formats',
    objects: logging(
      '{ providers: [{ name: no-labels }, { name: without-query }, { name: omitting }, { name: als }], filter: { expression: "response.code >= 400" } }',
    ),
    mesh,
    requests,
  },
  {
    name: 'logs of some requests, of none, and of what is nowhere',
    objects: logging(
      '{ providers: [{ name: text }], filter: { expression: "response.code >= 400" } }',
      '{ providers: [{ name: labels }], disabled: true }',
      '{ providers: [{ name: nowhere }], filter: { expression: "no expression (" } }',
      '{ match: { mode: CLIENT }, providers: [{ name: plain }] }',
      '{ filter: { expression: "response.code >= 400" } }',
    ),
    mesh,
    requests,
  },
  {
    name: 'logs by default providers',
    objects: logging('{ match: { mode: SERVER } }'),
    mesh: { ...mesh, defaultProviders: { metrics: [], accessLogging: ['plain'], tracing: [] } },
    requests,
  },
  {
    name: 'metrics that are changed',
    objects: metrics(
      '{ reportingInterval: 9s, overrides: [{ match: { metric: REQUEST_COUNT }, tagOverrides: { a: { value: "request.host" }, b: { operation: REMOVE }, c: { value: "request." } } }] }',
      override('{ match: { metric: REQUEST_SIZE }, disabled: true }'),
      override('{ match: { customMetric: own }, tagOverrides: { a: { value: "1" } } }'),
      override('{ match: { mode: CLIENT }, disabled: true }'),
      override('{ tagOverrides: { d: { value: "2" } } }'),
    ),
    mesh,
    requests,
  },
  {
    name: 'telemetry for all waypoints',
    objects: ofAllWaypoints(
      `apiVersion: telemetry.istio.io/v1
kind: Telemetry`,
      'accessLogging: [{ providers: [{ name: text }] }]',
    ),
    mesh,
    requests,
  },
  { name: 'metrics that are off', objects: metrics(override('{ disabled: true }')), mesh, requests },
  { name: 'metrics of another provider', objects: metrics('{ providers: [{ name: other }] }'), mesh, requests },
  {
    name: 'telemetry of what it is attached to, and of a part of a namespace',
    objects:
      telemetry('{ targetRef: { kind: Service, group: "", name: web }, accessLogging: [{ disabled: true }] }', 'one') +
      telemetry(
        '{ targetRefs: [{ kind: Gateway, group: gateway.networking.k8s.io, name: waypoint }], metrics: [] }',
        'two',
      ) +
      telemetry(
        '{ targetRefs: [{ kind: GatewayClass, group: gateway.networking.k8s.io, name: istio-waypoint }] }',
        'three',
      ) +
      telemetry('{ selector: { matchLabels: { app: web } }, accessLogging: [{ disabled: true }] }', 'four'),
    mesh,
    requests,
  },
];
