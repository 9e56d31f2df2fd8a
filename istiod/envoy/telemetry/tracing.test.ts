import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeEnvoy, typeUrl } from '../../../common/envoy/codec.ts';
import { parseMeshConfig } from '../../model/mesh-config.ts';
import type { MeshFacts } from '../inputs.ts';
import { outboundCluster } from '../names.ts';
import type { WaypointProxy } from '../proxy.ts';
import { waypointProxy } from '../routes/testing/proxy.ts';
import { objects, service, viewOf } from '../routes/testing/view.ts';
import { tracing } from './tracing.ts';

const proxy = waypointProxy();
const reviews = service('shop/reviews:http=80');
const otel = service('observability/otel:grpc-otlp=4317,http-otlp=4318');
const host = 'otel.observability.svc.cluster.local';

const mesh = `
enableTracing: true
defaultConfig: {tracing: {sampling: 7, maxPathTagLength: 99, customTags: {mesh: {literal: {value: all}}}}}
extensionProviders:
- name: otel
  opentelemetry: {service: ${host}, port: 4317, grpc: {timeout: 3s, initialMetadata: [{name: a, value: b}]}}
- name: otel-http
  opentelemetry:
    service: observability/${host}
    port: 4318
    maxTagLength: 12
    resourceDetectors: {environment: {}}
    http: {path: /v1/traces, timeout: 2s, headers: [{name: x-token, value: 100%}]}
- name: zipkin
  zipkin: {service: ${host}, port: 4318, traceContextOption: USE_B3_WITH_W3C_PROPAGATION}
- {name: nowhere, opentelemetry: {service: no.such.host, port: 1}}
- {name: no-port, opentelemetry: {service: ${host}, port: 1}}
- {name: other, skywalking: {service: ${host}, port: 4317}}
`;

function settings(text: string): Partial<MeshFacts> {
  const parsed = parseMeshConfig([text]);
  if (parsed.kind !== 'ok') throw new Error(parsed.reason);
  return parsed.config.settings.envoy;
}

function made(yaml: string, text = mesh, more: Partial<WaypointProxy> = {}) {
  const view = viewOf([reviews, otel], objects(yaml), settings(text));
  const asked: string[] = [];
  const of = tracing(view, { ...proxy, ...more }, reviews, ({ service: to, port }) => {
    asked.push(`${to.hostname}:${port}`);
    return outboundCluster(to.hostname, port);
  });
  // Envoy's API has all of it.
  const manager = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
  encodeEnvoy({ '@type': typeUrl(manager), ...of });
  const told = of['tracing'] as
    | (Record<string, unknown> & {
        readonly provider?: { readonly name: string; readonly typed_config: Readonly<Record<string, unknown>> };
        readonly custom_tags: readonly { readonly tag: string }[];
        readonly random_sampling: { readonly value: number };
      })
    | undefined;
  return { of, told, asked };
}

const telemetry = (name: string, namespace: string, spec: string) => `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: ${name}, namespace: ${namespace}}
spec: ${spec}
---`;
const byOtel = telemetry('mesh', 'istio-system', '{tracing: [{providers: [{name: otel}]}]}');

describe("Telemetry's traces", () => {
  it('are none without any, and marks alone where the mesh enables them', () => {
    assert.deepEqual(made('', '{}').of, {});
    const { told } = made('');
    assert.equal(told?.provider, undefined);
    assert.equal(told?.random_sampling.value, 7);
    assert.deepEqual(told?.['max_path_tag_length'], { value: 99 });
    assert.ok(told?.custom_tags.some(({ tag }) => tag === 'mesh'));
  });

  it('go to a collector in the mesh by gRPC', () => {
    const { told, asked } = made(byOtel);
    assert.deepEqual(told?.provider, {
      name: 'envoy.tracers.opentelemetry',
      typed_config: {
        '@type': typeUrl('envoy.config.trace.v3.OpenTelemetryConfig'),
        service_name: 'waypoint.shop',
        grpc_service: {
          envoy_grpc: { cluster_name: `outbound|4317||${host}`, authority: host },
          timeout: { seconds: 3 },
          initial_metadata: [{ key: 'a', value: 'b' }],
        },
      },
    });
    assert.deepEqual(asked, [`${host}:4317`]);
  });

  it('go by HTTP, with headers and what the environment says of the resource', () => {
    const { told } = made(telemetry('mesh', 'istio-system', '{tracing: [{providers: [{name: otel-http}]}]}'));
    const { http_service: http, resource_detectors: detectors } = told!.provider!.typed_config as {
      readonly http_service: unknown;
      readonly resource_detectors: readonly unknown[];
    };
    assert.deepEqual(http, {
      http_uri: { uri: `http://${host}/v1/traces`, cluster: `outbound|4318||${host}`, timeout: { seconds: 2 } },
      request_headers_to_add: [
        { header: { key: 'x-token', value: '100%%' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
      ],
    });
    assert.equal(detectors.length, 1);
    assert.deepEqual(told?.['max_path_tag_length'], { value: 12 });
  });

  it('go to Zipkin', () => {
    const { told } = made(telemetry('mesh', 'istio-system', '{tracing: [{providers: [{name: zipkin}]}]}'));
    const { collector_service: _, ...config } = told!.provider!.typed_config;
    assert.deepEqual(config, {
      '@type': typeUrl('envoy.config.trace.v3.ZipkinConfig'),
      collector_endpoint_version: 'HTTP_JSON',
      trace_id_128bit: true,
      shared_span_context: { value: false },
      trace_context_option: 'USE_B3_WITH_W3C_PROPAGATION',
    });
  });

  it('are none where the provider is nowhere, of another type, or disabled', () => {
    for (const name of ['nowhere', 'no-port', 'other', 'unheard-of']) {
      assert.deepEqual(made(telemetry('m', 'istio-system', `{tracing: [{providers: [{name: ${name}}]}]}`)).of, {});
    }
    const off = telemetry('t', 'shop', '{tracing: [{disableSpanReporting: true}]}');
    assert.deepEqual(made(byOtel + off).of, {});
  });

  it('follow the nearest that says anything, field by field, and leave clients alone', () => {
    const wide = '{tracing: [{randomSamplingPercentage: 50, customTags: {a: {literal: {value: x}}}}]}';
    const attached = `{targetRefs: [{kind: Service, group: "", name: reviews}], tracing: [
      {randomSamplingPercentage: 0, useRequestIdForTraceSampling: false, enableIstioTags: false, disableContextPropagation: true,
       match: {mode: SERVER}}, {match: {mode: CLIENT}, randomSamplingPercentage: 99}]}`;
    const { told, of } = made(byOtel + telemetry('w', 'shop', wide) + telemetry('t', 'shop', attached));
    assert.equal(told?.random_sampling.value, 0);
    assert.deepEqual(told?.custom_tags, [{ tag: 'a', literal: { value: 'x' } }]);
    assert.equal(told?.['no_context_propagation'], true);
    assert.ok(of['request_id_extension']);
  });

  it('have tags of each form, and those of the peers where the proxy knows them', () => {
    const tags = `{tracing: [{enableIstioTags: false, customTags: {d: {literal: {value: x}}, c: {environment: {name: V, defaultValue: none}},
      b: {header: {name: x-h}}, a: {formatter: {value: "%REQ(x-h)%"}}}}]}`;
    const yaml = byOtel + telemetry('t', 'shop', tags);
    assert.deepEqual(made(yaml).told?.custom_tags, [
      { tag: 'a', value: '%REQ(x-h)%' },
      { tag: 'b', request_header: { name: 'x-h', default_value: '' } },
      { tag: 'c', environment: { name: 'V', default_value: 'none' } },
      { tag: 'd', literal: { value: 'x' } },
    ]);
    const ours = made(yaml, mesh, { engine: 'aquifer' }).told?.custom_tags.map(({ tag }) => tag) ?? [];
    assert.ok(ours.includes('istio.source_workload') && ours.includes('istio.destination_canonical_service'));
    assert.ok(made(byOtel).told?.custom_tags.some(({ tag }) => tag === 'istio.authorization.dry_run.deny_policy.name'));
  });
});

describe("MeshConfig's traces", () => {
  it('name what is wrong', () => {
    const bad = parseMeshConfig([
      'enableTracing: 1\nextensionProviders: [{name: a, zipkin: {service: 1, port: x}}]\ndefaultConfig: {tracing: {sampling: 101}}',
    ]);
    assert.equal(bad.kind, 'invalid');
    for (const path of ['enableTracing', 'extensionProviders[0].zipkin.service', 'zipkin.port', 'tracing.sampling']) {
      assert.ok(bad.reason.includes(path), bad.reason);
    }
  });
});
