/** What istiod tells our waypoint alone, and no Envoy could take: Istio's metrics, tags of both ends of a trace, filters in TypeScript. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import type { ExtensionProvider } from '../../istiod/envoy/inputs.ts';
import type { MeshSettings } from '../../istiod/model/settings.ts';
import { objectsOf } from '../../istiod/model/testing/test-mesh.ts';
import { fromConfigMap } from '../../istiod/modules/extensions.ts';
import { type EnvoyBed, startEnvoyBed } from '../../istiod/testing/envoy-bed.ts';
import { metricsPage } from '../../waypoint/admin/metrics.ts';
import { engineKey } from '../../waypoint/config.ts';
import type { Runtime } from '../../waypoint/runtime/runtime.ts';
import { meshOf } from './cases/case.ts';
import { followByOurs } from './followers.ts';
import { Caller } from './pair/caller.ts';
import { Echoes } from './pair/echo.ts';
import { destinationOf, startMesh } from './pair/mesh.ts';

const prometheus: ExtensionProvider = { kind: 'prometheus', name: 'prometheus' };
const defaultProviders = { metrics: ['prometheus'], accessLogging: [], tracing: [] };

const telemetry = (spec: string, namespace = 'shop') => `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: telemetry, namespace: ${namespace} }
spec: ${spec}
---`;
const metrics = (...entries: readonly string[]) => telemetry(`{ metrics: [${entries.join(', ')}] }`);
const overrides = (...texts: readonly string[]) => `{ overrides: [${texts.join(', ')}] }`;

interface Case {
  readonly name: string;
  readonly objects?: string;
  readonly mesh?: Partial<MeshSettings['envoy']>;
  /** Default 200. */
  readonly status?: number;
  /** What the line of `istio_requests_total` has; absent: there is no such line. */
  readonly counted?: readonly RegExp[];
  readonly uncounted?: readonly RegExp[];
  /** Metrics that are there, and that are not. */
  readonly there?: readonly string[];
  readonly absent?: readonly string[];
}

const usual = [/reporter="waypoint"/, /response_code="200"/, /destination_service="web\.shop\.svc\.cluster\.local"/];

const cases: readonly Case[] = [
  { name: 'metrics by default', counted: [...usual, /destination_principal="spiffe:[^"]*\/sa\/web"/] },
  { name: 'no metrics, where the mesh has no provider of them', mesh: { extensionProviders: [] } },
  {
    name: 'no metrics of another provider',
    objects: metrics('{ providers: [{ name: other }] }'),
    mesh: { extensionProviders: [prometheus, { kind: 'unserved', name: 'other' }] },
  },
  {
    name: 'tags that are set, removed, and that cannot be read',
    objects: metrics(
      overrides(
        '{ match: { metric: REQUEST_COUNT }, tagOverrides: { of_host: { value: "request.host" }, request_protocol: { operation: REMOVE }, broken: { value: "request." }, aaa: { value: "request.method" } } }',
      ),
    ),
    counted: [...usual, /of_host="web"/, /aaa="GET"/],
    uncounted: [/broken=/, /request_protocol=/],
  },
  {
    name: 'tags of all metrics, and of none',
    objects: metrics(overrides('{ tagOverrides: { a: { value: "\'1\'" } } }', '{ match: { metric: REQUEST_SIZE } }')),
    counted: [...usual, /a="1"/],
  },
  {
    name: 'one metric is off, and one of the name that nobody makes',
    objects: metrics(
      '{ reportingInterval: 9s }',
      overrides(
        '{ match: { metric: REQUEST_SIZE }, disabled: true }',
        '{ match: { customMetric: own }, tagOverrides: { a: { value: "1" } } }',
        '{ match: { mode: CLIENT }, disabled: true }',
      ),
    ),
    counted: usual,
    there: ['istio_response_bytes'],
    absent: ['istio_request_bytes'],
  },
  {
    name: 'the same provider named again below',
    objects: telemetry('{ metrics: [{ providers: [{ name: Prometheus }] }] }'),
    counted: usual,
  },
  {
    name: 'what is said of another provider above does not count for the one below',
    objects:
      telemetry('{ metrics: [{ providers: [{ name: other }], overrides: [{ disabled: true }] }] }', 'istio-system') +
      metrics('{ providers: [{ name: prometheus }] }'),
    mesh: { extensionProviders: [prometheus, { kind: 'unserved', name: 'other' }] },
    counted: usual,
  },
  { name: 'all metrics off', objects: metrics(overrides('{ disabled: true }')) },
  {
    name: 'all metrics off, and one of them on again',
    objects: metrics(
      overrides('{ disabled: true }', '{ match: { metric: REQUEST_COUNT, mode: SERVER }, disabled: false }'),
    ),
    counted: usual,
  },
  {
    name: 'both ends of a trace',
    objects: telemetry('{ tracing: [{ providers: [{ name: otel }], randomSamplingPercentage: 0 }] }'),
    mesh: meshOf(`
extensionProviders:
- {name: prometheus, prometheus: {}}
- {name: otel, opentelemetry: {service: api.pay.svc.cluster.local, port: 9000}}
`),
    counted: usual,
  },
  {
    name: 'a filter whose module nobody can have refuses requests',
    objects: `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: own, annotations: { ${fromConfigMap}: modules } }
spec: { targetRefs: [{ kind: Service, group: '', name: web }], url: 'file:///own.ts' }
---`,
    status: 503,
    counted: [/response_code="503"/],
  },
];

describe('our waypoint, as itself', () => {
  let echoes: Echoes;
  let bed: EnvoyBed;
  before(async () => {
    echoes = new Echoes();
    bed = await startEnvoyBed(await startMesh(echoes));
  });
  after(async () => {
    bed[Symbol.dispose]();
    await echoes[Symbol.asyncDispose]();
  });

  for (const { name, objects = '', mesh, status = 200, counted, uncounted = [], there = [], absent = [] } of cases) {
    test(name, async () => {
      bed.configure({ extensionProviders: [prometheus], ...mesh, defaultProviders });
      bed.apply(objects);
      try {
        await using follower = await followByOurs(bed, { [engineKey]: 'true' });
        using caller = new Caller(await follower.port(), await follower.issue('client'));
        const answer = await caller.ask(destinationOf('web', 80, 'ipv4'), { host: 'web', path: '/' });
        assert.equal(answer.status, status);
        const line = (text: string) => text.split('\n').find((l) => l.startsWith('istio_requests_total{'));
        if (counted)
          await until('the request is counted', async () => line(await pageOf(follower.runtime)) !== undefined);
        const text = await pageOf(follower.runtime);
        const found = line(text);
        assert.equal(found !== undefined, counted !== undefined, found ?? text);
        for (const wanted of counted ?? []) assert.match(found!, wanted);
        for (const unwanted of uncounted) assert.doesNotMatch(found!, unwanted);
        for (const metric of there) assert.ok(text.includes(`${metric}_`), metric);
        for (const metric of absent) assert.ok(!text.includes(`${metric}_`), metric);
      } finally {
        for (const { kind, metadata } of objectsOf(objects))
          bed.remove(kind, `${metadata.namespace ?? 'shop'}/${metadata.name}`);
      }
    });
  }
});

async function pageOf(runtime: Runtime): Promise<string> {
  let text = '';
  for await (const part of metricsPage(runtime)) text += part;
  return text;
}
