import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AuthorizationPolicy } from '../../../common/kube/kinds/security.ts';
import type { ExtensionProvider, LogCollector, MeshFacts, RouteTarget } from '../inputs.ts';
import type { WaypointProxy } from '../proxy.ts';
import { type DryRunLog, dryRunLog } from '../rbac/dry-run.ts';
import { waypointProxy } from '../routes/testing/proxy.ts';
import { objects, service, viewOf } from '../routes/testing/view.ts';
import { unservedConditions } from '../unserved.ts';
import { accessLogs } from './logging.ts';
import { metricsFilters } from './metrics.ts';

const proxy = waypointProxy({ engine: 'aquifer' });
const reviews = service('shop/reviews:http=80');
const otel = service('obs/otel:grpc=4317');

function metrics(yaml: string, more: Partial<WaypointProxy> = {}): unknown {
  const [filter] = metricsFilters(viewOf([reviews], objects(yaml)), { ...proxy, ...more }, reviews);
  return filter?.['typed_config'];
}

function logs(yaml: string, facts: Partial<MeshFacts> = {}): unknown {
  const cluster = (target: RouteTarget) => `to ${target.service.key} ${target.port}`;
  return accessLogs(viewOf([reviews, otel], objects(yaml), facts), proxy, { service: reviews, cluster });
}

const telemetry = (name: string, namespace: string, spec: string) => `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: ${name}, namespace: ${namespace}}
spec: ${spec}
---`;
const collector = 'otel.obs.svc.cluster.local';
const zipkin = {
  ...{ maxTagLength: undefined, path: '/', hasLongIds: true, withW3c: false, timeout: undefined, headers: [] },
} as const;
const otlpTo = (
  name: string,
  to: string,
  format: Partial<Extract<LogCollector, { kind: 'otlp-logs' }>> = {},
): LogCollector => ({
  ...{ kind: 'otlp-logs', name, service: to, port: 4317, logName: undefined, text: undefined, labels: {} },
  ...format,
});

describe('policies in dry run', () => {
  const policy = (name: string, action: string, trial: string) =>
    `\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}, namespace: shop, annotations: {istio.io/dry-run: '${trial}'}}\nspec: {action: ${action}, rules: [{}]}\n---`;
  const of = (yaml: string) => objects(yaml) as unknown as readonly AuthorizationPolicy[];
  const both = of(policy('a', 'ALLOW', 'true') + policy('d', 'DENY', 'true') + policy('n', 'DENY', 'false'));
  const told = (trials: DryRunLog, facts: Partial<MeshFacts>) =>
    JSON.stringify(
      accessLogs(viewOf([reviews], [], { accessLogFile: '/log', ...facts }), proxy, {
        service: reviews,
        cluster: () => 'none',
        trials,
      }),
    );

  it("are told of in Istio's line alone, each by its verdict and rule", () => {
    const line = told(dryRunLog(both, 'http'), {});
    const of = (action: string, what: string) =>
      `%DYNAMIC_METADATA(envoy.filters.http.rbac:istio_dry_run_${action}_shadow_${what})%`;
    const deny = `DENY=${of('deny', 'engine_result')},${of('deny', 'effective_policy_id')}`;
    const allow = `ALLOW=${of('allow', 'engine_result')},${of('allow', 'effective_policy_id')}`;
    assert.ok(line.includes(` %ROUTE_NAME% dry_run[${deny} ${allow}]\\n`), line);
    assert.doesNotMatch(told(dryRunLog(both, 'http'), { accessLogFormat: '%PROTOCOL%' }), /dry_run/);
    assert.match(told(dryRunLog(both, 'tcp'), { accessLogEncoding: 'JSON' }), /dry_run_allow_policy.*network\.rbac/);
  });

  it('change nothing where there is none', () => {
    assert.deepEqual(dryRunLog(both.slice(2), 'http'), { text: '', labels: {} });
    assert.doesNotMatch(told(dryRunLog([], 'http'), {}), /dry_run/);
  });
});

describe('access logs of a plain Envoy', () => {
  const { engine, gateway: _, ...common } = proxy;
  const names = (yaml: string, labels: Readonly<Record<string, string>>) => {
    const client = { ...common, engine, kind: 'client', interception: 'REDIRECT', labels, isGrpc: false } as const;
    const extensionProviders = ['client', 'edge', 'server', 'wide'].map(
      (name) => ({ kind: 'file', name, path: name, format: undefined, omitsEmpty: false }) as const,
    );
    const view = viewOf([], objects(yaml), { extensionProviders });
    const made = accessLogs(view, client, { service: undefined, cluster: () => 'none' });
    return made.map(({ typed_config }) => (typed_config as { readonly path: string }).path);
  };
  const by = (name: string, where = '', mode = 'CLIENT_AND_SERVER') =>
    telemetry(name, 'shop', `{${where} accessLogging: [{match: {mode: ${mode}}, providers: [{name: ${name}}]}]}`);
  const all =
    by('wide') +
    by('edge', 'targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}],') +
    by('client', 'selector: {matchLabels: {app: a}},', 'CLIENT') +
    by('server', 'selector: {matchLabels: {app: b}},', 'SERVER');

  it('are those of its namespace, of its labels or of its Gateway, and none of servers', () => {
    assert.deepEqual(names(all, {}), ['wide']);
    assert.deepEqual(names(all, { app: 'a' }), ['client']);
    assert.deepEqual(names(all, { app: 'b' }), ['wide']);
    assert.deepEqual(names(all, { 'gateway.networking.k8s.io/gateway-name': 'edge' }), ['edge']);
  });
});

const disabled = '{metrics: [{overrides: [{match: {mode: SERVER}, disabled: true}]}]}';
const stats = { '@type': 'type.googleapis.com/stats.PluginConfig', reporter: 'SERVER_GATEWAY' };

describe("Telemetry's metrics", () => {
  it('are there without any, at our waypoints alone', () => {
    assert.deepEqual(metrics(''), stats);
    assert.equal(metrics('', { engine: 'envoy' }), undefined);
  });

  it('go where all are disabled, and come back below', () => {
    assert.equal(metrics(telemetry('mesh', 'istio-system', disabled)), undefined);
    const back = '{metrics: [{overrides: [{match: {metric: REQUEST_COUNT}, disabled: false}]}]}';
    assert.deepEqual(metrics(telemetry('mesh', 'istio-system', disabled) + telemetry('own', 'shop', back)), stats);
    assert.deepEqual(
      metrics(telemetry('mesh', 'istio-system', '{metrics: [{providers: [{name: other}]}]}')),
      undefined,
    );
  });

  it('add up tags of mesh, namespace and target, in any order of the objects', () => {
    const attached = `{targetRefs: [{kind: Service, group: "", name: reviews}], metrics: [{reportingInterval: 9s, overrides: [
      {match: {metric: REQUEST_COUNT}, tagOverrides: {a: {value: "request.host"}, c: {operation: REMOVE}}}]}]}`;
    const wide =
      '{metrics: [{overrides: [{match: {metric: REQUEST_COUNT}, tagOverrides: {a: {value: "x"}, b: {value: "y"}}}]}]}';
    const elsewhere =
      '{targetRefs: [{kind: Service, group: "", name: ratings}], metrics: [{overrides: [{disabled: true}]}]}';
    assert.deepEqual(
      metrics(
        telemetry('t', 'shop', attached) + telemetry('e', 'shop', elsewhere) + telemetry('m', 'istio-system', wide),
      ),
      {
        ...stats,
        tcp_reporting_duration: { seconds: 9 },
        metrics: [{ name: 'requests_total', dimensions: { a: 'request.host', b: 'y' }, tags_to_remove: ['c'] }],
      },
    );
  });

  it('leave out what is no expression, and say so', () => {
    const [bad] = objects(
      telemetry('t', 'shop', '{metrics: [{overrides: [{tagOverrides: {a: {value: "request."}}}]}]}'),
    );
    assert.deepEqual(metricsFilters(viewOf([reviews], [bad!]), proxy, reviews)[0]?.['typed_config'], stats);
    const [condition] = unservedConditions(bad!, () => viewOf([], []))!.values();
    assert.match(condition!.message, /tagOverrides\.a\.value is no expression/);
  });

  it('say which logs go nowhere', () => {
    const providers: readonly ExtensionProvider[] = [
      { kind: 'unserved', name: 'other' },
      { kind: 'file', name: 'envoy', path: '/dev/stdout', format: undefined, omitsEmpty: false },
      otlpTo('otel', collector),
      otlpTo('gone', 'no.such.host'),
      otlpTo('odd', collector, { text: '%NO_SUCH(x)%' }),
      { kind: 'zipkin', name: 'zipkin', ...zipkin, service: collector, port: 4317 },
    ];
    const view = viewOf([otel], [], { extensionProviders: providers });
    const said = (spec: string) =>
      [...(unservedConditions(objects(telemetry('t', 'shop', spec))[0]!, () => view)?.values() ?? [])][0]?.message;
    assert.match(
      said('{accessLogging: [{providers: [{name: envoy}, {name: other}]}]}')!,
      /^Telemetry: accessLogging\[0\]\.providers\[1\]\.name: other is of another type: .*; nothing is logged by it$/,
    );
    assert.match(
      said('{accessLogging: [{providers: [{name: gone}]}]}')!,
      /no\.such\.host of provider gone is not one service of the mesh with a port 4317; nothing/,
    );
    assert.match(
      said('{accessLogging: [{providers: [{name: odd}]}]}')!,
      /logFormat of provider odd .* %NO_SUCH\(x\)%: there is no operator of this name; nothing is logged/,
    );
    assert.match(
      said('{tracing: [{providers: [{name: otel}]}]}')!,
      /tracing\[0\]\.providers\[0\]\.name: otel is of another/,
    );
    assert.equal(
      said('{accessLogging: [{providers: [{name: OTEL}]}], tracing: [{providers: [{name: zipkin}]}]}'),
      undefined,
    );
    assert.match(
      said('{accessLogging: [{providers: [{name: none}]}]}')!,
      /extensionProviders of MeshConfig have no none/,
    );
    assert.equal(said('{accessLogging: [{providers: [{name: Envoy}]}]}'), undefined);
    assert.equal(said('{accessLogging: [{providers: [{name: other}], disabled: true}]}'), undefined);
  });

  it('leave clients alone', () => {
    const client = '{metrics: [{overrides: [{match: {mode: CLIENT}, disabled: true}]}]}';
    assert.deepEqual(metrics(telemetry('mesh', 'istio-system', client)), stats);
  });
});

describe("Telemetry's access logs", () => {
  const file = (name: string, path: string) =>
    ({ kind: 'file', name, path, format: undefined, omitsEmpty: false }) as const;
  const paths = (made: unknown) =>
    (made as readonly { readonly typed_config: { readonly path: string } }[]).map((l) => l.typed_config.path);

  it('take the place of MeshConfig', () => {
    const own = '{accessLogging: [{providers: [{name: envoy}], filter: {expression: "response.code >= 400"}}]}';
    const [log] = logs(telemetry('t', 'shop', own), { accessLogFile: '/mesh.log' }) as readonly {
      readonly filter: { readonly extension_filter: { readonly typed_config: { readonly expression: string } } };
    }[];
    assert.equal(log!.filter.extension_filter.typed_config.expression, 'response.code >= 400');
    assert.deepEqual(paths(logs('', { accessLogFile: '/mesh.log' })), ['/mesh.log']);
  });

  it('are chosen by the nearest that names providers, and can be disabled', () => {
    const extensionProviders = [file('a', '/a'), file('b', '/b')];
    const mesh = telemetry('m', 'istio-system', '{accessLogging: [{providers: [{name: a}]}]}');
    const facts = { extensionProviders };
    assert.deepEqual(paths(logs(mesh, facts)), ['/a']);
    assert.deepEqual(paths(logs(mesh + telemetry('t', 'shop', '{accessLogging: [{providers: [{name: b}]}]}'), facts)), [
      '/b',
    ]);
    assert.deepEqual(paths(logs(mesh + telemetry('t', 'shop', '{accessLogging: [{disabled: true}]}'), facts)), []);
    const defaults = { extensionProviders, defaultProviders: { metrics: [], accessLogging: ['b'], tracing: [] } };
    assert.deepEqual(paths(logs('', defaults)), ['/b']);
  });

  it('go to collectors that are in the mesh', () => {
    const als = { logName: undefined, service: collector, port: 4317, states: [] };
    const extensionProviders: readonly ExtensionProvider[] = [
      otlpTo('a', collector, { text: '%REQ_WITHOUT_QUERY(:PATH)%', labels: { z: '%PROTOCOL%', b: '1' } }),
      { kind: 'http-als', name: 'b', ...als, requestHeaders: ['x-a'], responseHeaders: [], responseTrailers: [] },
      { kind: 'tcp-als', name: 'c', ...als, logName: 'own' },
      otlpTo('d', 'no.such.host'),
      otlpTo('e', collector, { labels: { b: '%NO_SUCH%' } }),
      { ...file('f', '/f'), format: { text: '%REQ%' } },
    ];
    const all = '{accessLogging: [{providers: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}, {name: f}]}]}';
    const made = logs(telemetry('t', 'shop', all), { extensionProviders }) as readonly {
      readonly typed_config: Readonly<Record<string, unknown>>;
    }[];
    const common = (log_name: string, states: readonly string[] = ['upstream_peer', 'downstream_peer']) => ({
      log_name,
      grpc_service: { envoy_grpc: { cluster_name: `to obs/${collector} 4317`, authority: collector } },
      transport_api_version: 'V3',
      filter_state_objects_to_log: states,
    });
    const [otlp, http, tcp, ...rest] = made.map((log) => log.typed_config);
    assert.deepEqual(rest, []);
    assert.deepEqual(otlp!['body'], { string_value: '%REQ_WITHOUT_QUERY(:PATH)%' });
    assert.deepEqual(otlp!['attributes'], {
      values: [
        { key: 'b', value: { string_value: '1' } },
        { key: 'z', value: { string_value: '%PROTOCOL%' } },
      ],
    });
    assert.equal((otlp!['formatters'] as readonly unknown[]).length, 1);
    assert.deepEqual(http!['common_config'], common('http_envoy_accesslog'));
    assert.deepEqual(http!['additional_request_headers_to_log'], ['x-a']);
    assert.deepEqual(tcp!['common_config'], common('own'));
  });
});
