/** Each field of a VirtualService does something: without it a waypoint, or an Envoy beside a client, is configured otherwise; or validation says that it does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { VirtualService } from '../../../common/kube/kinds/istio/virtual-service.ts';
import { customKinds } from '../../../common/kube/schema/table.ts';
import type { Schema } from '../../../common/kube/schema/types.ts';
import { ClientConfiguration } from '../../envoy/client/configuration.ts';
import { WaypointConfiguration } from '../../envoy/waypoint/configuration.ts';
import { Memo } from '../../model/envoy/memo.ts';
import { TestMesh } from '../../model/testing/test-mesh.ts';
import { podYaml, waypointYaml } from '../../testing/manifests.ts';
import { validateObject } from '../../validation/validate-object.ts';

type Path = readonly (string | number)[];

const service = (name: string, ip: number, namespace = 'shop') => `
kind: Service
metadata: {name: ${name}, namespace: ${namespace}, labels: {istio.io/use-waypoint: waypoint}}
spec:
  clusterIP: 10.96.0.${ip}
  selector: {app: ${name}}
  ports: [{name: http, port: 80}, {name: http-other, port: 8080}, {name: tcp, port: 82}, {name: tls, port: 83}]
`;
const rule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: v2}
spec: {host: v2, subsets: [{name: a, labels: {version: a}}]}
`;
const part = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: part, namespace: NAMESPACE}
spec: {http: [{match: [{uri: {exact: /part/of-NAMESPACE}}], route: [{destination: {host: web.shop.svc.cluster.local}}]}]}
`;
const pod = (app: string, ip: number) => podYaml({ name: `${app}-1`, app, ip: `10.244.1.${ip}`, version: 'a' });
const mesh = [
  waypointYaml(),
  service('web', 1),
  service('v2', 2),
  pod('web', 1),
  pod('v2', 2),
  rule,
  part.replaceAll('NAMESPACE', 'pay'),
  part.replaceAll('NAMESPACE', 'shop'),
].join('---');

const web = 'route: [{destination: {host: web}}]';
const other = '{destination: {host: v2, subset: a, port: {number: 8080}}, weight: 30}';
const text = (name: string) =>
  ['exact: GET', 'prefix: G', 'regex: "G.*"'].map((how) => `{match: [{${name}: {${how}}}], ${web}}`).join(', ');
const texts = (name: string) =>
  ['exact: a', 'prefix: a', 'regex: "a.*"'].map((how) => `{match: [{${name}: {x: {${how}}}}], ${web}}`).join(', ');
const operations = (name: string) => `{set: {x-s: ${name}}, add: {x-a: ${name}}, remove: [x-r-${name}]}`;
const headers = (name: string) => `headers: {request: ${operations(name)}, response: ${operations(name)}}`;
const streams = `route: [{destination: {host: web}, weight: 70}, ${other}]`;
const source = 'sourceLabels: {app: elsewhere}, gateways: [mesh], ';
const cors =
  'allowMethods: [GET], allowHeaders: [x-a], exposeHeaders: [x-b], maxAge: 1h, allowCredentials: true, unmatchedPreflights: IGNORE';

/** What is within `spec` of `web`: together they have every field. */
const specs: readonly string[] = [
  `{hosts: [web], http: [{name: first, match: [{name: m, statPrefix: s, ignoreUriCase: true, uri: {prefix: /A}}], ${web}}]}`,
  `{hosts: [web], gateways: [edge], http: [{${web}, timeout: 1s}]}`,
  `{hosts: [web], exportTo: [elsewhere], http: [{${web}, timeout: 1s}]}`,
  ...['uri', 'scheme', 'method', 'authority'].map((name) => `{hosts: [web], http: [${text(name)}]}`),
  ...['headers', 'withoutHeaders', 'queryParams'].map((name) => `{hosts: [web], http: [${texts(name)}]}`),
  `{hosts: [web], http: [{match: [{port: 8080}], ${web}}, {match: [{gateways: [edge]}], ${web}}]}`,
  `{hosts: [web], http: [{match: [{sourceLabels: {app: elsewhere}}], ${web}}, {match: [{sourceNamespace: pay}], ${web}}]}`,
  `{hosts: [web], http: [{route: [{destination: {host: web}, weight: 70, ${headers('own')}}, ${other}], ${headers('all')}}]}`,
  '{hosts: [web], http: [{match: [{uri: {prefix: /part}}], delegate: {name: part, namespace: pay}}]}',
  ...['port: 8443', 'derivePort: FROM_REQUEST_PORT', 'prefixRewrite: /p'].map(
    (how) =>
      `{hosts: [web], http: [{redirect: {${how === 'prefixRewrite: /p' ? '' : 'uri: /u, '}authority: a, scheme: https, redirectCode: 308, ${how}}}]}`,
  ),
  ...['string: a', 'bytes: aGk='].map(
    (body) => `{hosts: [web], http: [{directResponse: {status: 418, body: {${body}}}}]}`,
  ),
  `{hosts: [web], http: [{match: [{uri: {prefix: /a}}], rewrite: {uri: /b, authority: c}, ${web}}, {rewrite: {uriRegexRewrite: {match: a, rewrite: b}}, ${web}}]}`,
  `{hosts: [web], http: [{timeout: 3s, retries: {attempts: 4, perTryTimeout: 1s, retryOn: reset, backoff: 50ms, retryRemoteLocalities: true, retryIgnorePreviousHosts: false}, ${web}}]}`,
  ...['percentage: {value: 10}, fixedDelay: 1s', 'percent: 10, fixedDelay: 1s', 'exponentialDelay: 1s'].map(
    (delay) => `{hosts: [web], http: [{fault: {delay: {${delay}}}, ${web}}]}`,
  ),
  ...['httpStatus: 503', 'grpcStatus: UNAVAILABLE', 'http2Error: INTERNAL'].map(
    (abort) => `{hosts: [web], http: [{fault: {abort: {${abort}, percentage: {value: 10}}}, ${web}}]}`,
  ),
  ...['mirrorPercentage: {value: 5}', 'mirrorPercent: 5', 'mirror_percent: 5'].map(
    (share) => `{hosts: [web], http: [{mirror: {host: v2, subset: a, port: {number: 8080}}, ${share}, ${web}}]}`,
  ),
  `{hosts: [web], http: [{mirrors: [{destination: {host: v2, subset: a, port: {number: 8080}}, percentage: {value: 5}}], ${web}}]}`,
  `{hosts: [web], http: [{corsPolicy: {allowOrigins: [{exact: a}, {prefix: b}, {regex: c}], ${cors}}, ${web}}]}`,
  `{hosts: [web], http: [{corsPolicy: {allowOrigin: [a], ${cors}}, ${web}}]}`,
  `{hosts: [web], tcp: [{match: [{destinationSubnets: [10.0.0.0/8], port: 82}], ${streams}}]}`,
  ...[source, 'sourceNamespace: pay, ', 'gateways: [edge], ', 'sourceSubnet: 10.0.0.0/8, ', 'port: 99, '].map(
    (from) => `{hosts: [web], tcp: [{match: [{${from}destinationSubnets: [10.0.0.0/8]}], ${streams}}]}`,
  ),
  `{hosts: [web], tls: [{match: [{sniHosts: [web, a.web], destinationSubnets: [10.0.0.0/8], port: 83}], ${streams}}]}`,
  ...[source, 'sourceNamespace: pay, ', 'gateways: [edge], ', 'port: 99, '].map(
    (from) => `{hosts: [web], tls: [{match: [{${from}sniHosts: [web]}], ${streams}}]}`,
  ),
];

const common = {
  namespace: 'shop',
  account: undefined,
  locality: { region: '', zone: '', subzone: '' },
  node: '',
  network: '',
  families: 'ipv4',
  engine: 'envoy',
} as const;
const waypoint = { ...common, kind: 'waypoint', gateway: 'shop/waypoint' } as const;
const envoy = {
  ...common,
  kind: 'client',
  interception: 'REDIRECT',
  labels: { app: 'client' },
  isGrpc: false,
} as const;

const { index } = new TestMesh(mesh);

/** Everything that both are told, as a text. */
function told(spec: object): string {
  index.inputs.virtualServices.set('shop/web', { ...head, spec } as VirtualService);
  index.flush();
  const onFailure = (_: string, error: unknown) => {
    throw error;
  };
  const remember = () => new Memo({ mesh: index.envoy, onFailure }).remember;
  const client = new ClientConfiguration(envoy, remember());
  client.askAll();
  const configurations = [new WaypointConfiguration(waypoint, remember()), client];
  return JSON.stringify(configurations.map((c) => c.resources().map(({ message }) => message)));
}

const head = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'web', namespace: 'shop' },
};

/** `spec.http[].match[].headers.*.exact`, as the schema has it. */
function fieldsOf(schema: Schema, at: string): readonly string[] {
  if (schema.type === 'array') return fieldsOf(schema.items, `${at}[]`);
  if (schema.type !== 'object') return [];
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => [
    `${at}.${name}`,
    ...fieldsOf(inner, `${at}.${name}`),
  ]);
  return [...own, ...(schema.additionalProperties ? fieldsOf(schema.additionalProperties, `${at}.*`) : [])];
}

/** The field that a path leads to; a key of a map is none. */
function fieldAt(schema: Schema, path: Path, at = 'spec'): string | undefined {
  const [key, ...rest] = path;
  if (key === undefined) return at;
  if (schema.type === 'array') return fieldAt(schema.items, rest, `${at}[]`);
  if (schema.type !== 'object') return undefined;
  const own = schema.properties?.[key];
  if (own) return fieldAt(own, rest, `${at}.${key}`);
  return schema.additionalProperties && rest.length > 0
    ? fieldAt(schema.additionalProperties, rest, `${at}.*`)
    : undefined;
}

/** Each member of an object within it, with where it is. */
function* members(value: unknown, path: Path = []): Generator<Path> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    const here = [...path, Array.isArray(value) ? Number(key) : key];
    if (!Array.isArray(value)) yield here;
    yield* members(inner, here);
  }
}

/** Without what is there; what has to be there is another value instead. */
function changed(spec: object, path: Path): object {
  const copy = structuredClone(spec);
  const last = path.at(-1) as never;
  const owner = path.slice(0, -1).reduce((o, key) => o[key as never], copy);
  const value: unknown = owner[last];
  delete owner[last];
  if (isRequired(copy, path)) owner[last] = another(value) as never;
  return copy;
}

function isRequired(spec: object, path: Path): boolean {
  const findings = validateObject({ ...head, spec }) ?? [];
  return findings.some((f) => f.level === 'error' && f.path.join('.') === ['spec', ...path].join('.'));
}

function another(value: unknown): unknown {
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'string') return value === 'v2' ? 'web' : 'v2';
  if (Array.isArray(value)) return value.map(another);
  return Object.fromEntries(Object.entries(value as object).map(([name, inner]) => [name, another(inner)]));
}

test('each of the 168 fields is served, or said to do nothing', () => {
  const { fields } = customKinds.find(({ kind }) => kind.kind === 'VirtualService')!;
  const schema = fields.properties!['spec']!;
  const all = fieldsOf(schema, 'spec');
  assert.equal(new Set(all).size, 168);
  const [served, said] = [new Set<string>(), new Set<string>()];
  for (const spec of specs.map((yaml) => parse(yaml) as object)) {
    const whole = told(spec);
    for (const path of members(spec)) {
      const field = fieldAt(schema, path);
      if (field === undefined || served.has(field)) continue;
      if (told(changed(spec, path)) !== whole) served.add(field);
    }
    for (const { path } of validateObject({ ...head, spec }) ?? []) {
      const field = fieldAt(schema, path.slice(1));
      if (field !== undefined) said.add(field);
    }
  }
  const silent = all.filter((field) => !served.has(field) && !said.has(field));
  assert.deepEqual(silent, []);
  // Of the others nobody makes anything, Istio neither.
  assert.deepEqual(
    all.filter((field) => !served.has(field)),
    [
      'spec.http[].fault.delay.exponentialDelay',
      'spec.http[].fault.abort.http2Error',
      'spec.tcp[].match[].sourceSubnet',
    ],
  );
});
