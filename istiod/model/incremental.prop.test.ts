import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeAddress } from '../../common/api/index.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { AmbientIndex } from './ambient-index.ts';
import { defaultSettings, type MeshSettings } from './settings.ts';
import { tableOf } from './testing/test-mesh.ts';

// Few names and labels, so that objects meet.
const name = fc.constantFrom('a', 'b', 'wp');
const namespace = fc.constantFrom('shop', 'infra', 'istio-system');
const network = fc.constantFrom('', 'net-2');
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
const dictionary = (keys: Record<string, fc.Arbitrary<string>>) =>
  fc.record(keys, { requiredKeys: [], noNullPrototype: true }) as fc.Arbitrary<Record<string, string>>;

const selector = dictionary({ app: fc.constantFrom('x', 'y'), tier: fc.constantFrom('1') });
const labels = dictionary({
  app: fc.constantFrom('x', 'y'),
  tier: fc.constantFrom('1'),
  'istio.io/use-waypoint': fc.constantFrom('wp', 'a', 'none'),
  'istio.io/use-waypoint-namespace': namespace,
  'istio.io/use-waypoint-canary': fc.constantFrom('b'),
  'istio.io/waypoint-for': fc.constantFrom('service', 'workload', 'all'),
  'istio.io/global': fc.constantFrom('true'),
  'topology.istio.io/network': network,
  'gateway.networking.k8s.io/gateway-name': name,
  'topology.kubernetes.io/zone': fc.constantFrom('z1', 'z2'),
  'kubernetes.io/service-name': name,
  'networking.istio.io/tunnel': fc.constantFrom('http'),
});
const annotations = dictionary({
  'networking.istio.io/traffic-distribution': fc.constantFrom('PreferClose'),
  'ambient.istio.io/redirection': fc.constantFrom('enabled'),
  'istio.io/use-waypoint-canary-weight': fc.constantFrom('0', '40', 'x'),
  'ambient.istio.io/waypoint-inbound-binding': fc.constantFrom('PROXY/15088'),
  'aquifer.dev/waypoint-bypass': fc.constantFrom('refuse', 'x'),
  'networking.istio.io/exportTo': fc.constantFrom('.', '~', 'infra', 'infra,shop'),
});
const address = fc.constantFrom('10.0.0.1', '10.0.0.2', 'fd00::1', 'host.example.com');
const host = fc.constantFrom('a.shop.svc.cluster.local', 'a.example.com', '*.example.com');
const port = record({
  name: fc.constantFrom('http', 'tcp'),
  port: fc.constantFrom(80, 81),
  targetPort: fc.constantFrom<number | string>(8080, 'http'),
});
const entrySpec = record({
  address,
  network: optional(network),
  labels: optional(labels),
  weight: optional(fc.nat(3)),
  ports: optional(fc.constant({ http: 8080 })),
});
const mode = record({ mode: fc.constantFrom('STRICT', 'PERMISSIVE', 'UNSET') });

const specs: Record<string, fc.Arbitrary<object>> = {
  Namespace: fc.constant({}),
  Node: fc.constant({}),
  Pod: record({
    spec: record({
      nodeName: optional(name),
      serviceAccountName: optional(name),
      containers: fc.constant([{ name: 'c', ports: [{ name: 'http', containerPort: 8080 }] }]),
    }),
    status: record({
      podIP: optional(fc.constantFrom('10.0.0.1', '10.0.0.2')),
      phase: fc.constantFrom('Running', 'Failed'),
    }),
  }),
  Service: record({
    spec: record({
      clusterIP: fc.constantFrom('10.96.0.1', 'None'),
      selector: optional(selector),
      ports: fc.array(port, { maxLength: 2 }),
    }),
  }),
  EndpointSlice: record({
    addressType: fc.constant('IPv4'),
    ports: fc.constant([{ name: 'http', port: 9000 }]),
    endpoints: fc.array(
      record({
        addresses: fc.constant(['192.0.2.1']),
        targetRef: optional(record({ kind: fc.constant('Pod'), name })),
      }),
      { maxLength: 2 },
    ),
  }),
  ServiceEntry: record({
    spec: record({
      hosts: fc.array(host, { minLength: 1, maxLength: 2 }),
      resolution: optional(fc.constantFrom('NONE', 'STATIC', 'DNS', 'DYNAMIC_DNS')),
      endpoints: optional(fc.array(entrySpec, { maxLength: 2 })),
      workloadSelector: optional(record({ labels: selector })),
      exportTo: optional(fc.constantFrom(['.'], ['*'], ['infra'], ['infra', 'shop'])),
      ports: fc.constant([{ name: 'http', number: 80 }]),
    }),
  }),
  WorkloadEntry: record({ spec: entrySpec }),
  AuthorizationPolicy: record({
    spec: record({
      action: fc.constantFrom('ALLOW', 'DENY', 'AUDIT'),
      selector: optional(record({ matchLabels: selector })),
      targetRefs: optional(
        fc.array(record({ kind: fc.constantFrom('Service', 'Gateway', 'ServiceEntry', 'GatewayClass'), name }), {
          maxLength: 2,
        }),
      ),
    }),
  }),
  PeerAuthentication: record({
    spec: record({
      selector: optional(record({ matchLabels: selector })),
      mtls: optional(mode),
      portLevelMtls: optional(record({ 80: mode })),
    }),
  }),
  Gateway: record({
    spec: record({
      gatewayClassName: fc.constantFrom('istio-waypoint', 'istio-remote', 'ours'),
      listeners: fc.constantFrom(
        [{ name: 'm', port: 15_008, protocol: 'HBONE' }],
        [{ name: 'm', port: 15_008, protocol: 'HBONE', allowedRoutes: { namespaces: { from: 'All' } } }],
        [
          {
            name: 'm',
            port: 15_008,
            protocol: 'HBONE',
            allowedRoutes: { namespaces: { from: 'Selector', selector: { matchLabels: { app: 'x' } } } },
          },
        ],
      ),
    }),
    status: optional(
      record({
        addresses: fc.constantFrom(
          [{ type: 'Hostname', value: 'wp.shop.svc.cluster.local' }],
          [{ type: 'IPAddress', value: '10.96.0.9' }],
        ),
      }),
    ),
  }),
  GatewayClass: record({ spec: record({ controllerName: fc.constantFrom('istio.io/mesh-controller', 'x.io/y') }) }),
};
const clusterScoped = new Set(['Namespace', 'Node', 'GatewayClass']);

type Step =
  | { readonly kind: 'set'; readonly object: KubeObject }
  | { readonly kind: 'remove'; readonly of: string; readonly key: string }
  | { readonly kind: 'settings'; readonly settings: Partial<MeshSettings> }
  /** Computes so many strides, so that what follows comes in between. */
  | { readonly kind: 'compute'; readonly strides: number }
  /** Publishes so many results at a time. */
  | { readonly kind: 'flush'; readonly batch: number };

let version = 0;
const objectOf = (kind: string): fc.Arbitrary<KubeObject> => {
  const isCluster = clusterScoped.has(kind);
  const called = kind === 'Namespace' ? namespace : kind === 'GatewayClass' ? fc.constant('ours') : name;
  return fc
    .tuple(called, namespace, labels, annotations, fc.integer({ min: 1, max: 3 }), specs[kind]!)
    .map(([n, ns, l, a, age, spec]) => ({
      apiVersion: 'v1',
      kind,
      ...spec,
      metadata: {
        name: n,
        ...(isCluster ? {} : { namespace: ns }),
        uid: n,
        resourceVersion: String(++version),
        creationTimestamp: `2026-01-0${age}T00:00:00Z`,
        labels: l,
        annotations: a,
      },
    }));
};
const kinds = Object.keys(specs);
const setting = record<Partial<MeshSettings>>({
  multiNetwork: fc.boolean(),
  allowOnlyWaypoints: fc.boolean(),
  compat: fc.constantFrom(new Set(), new Set(['no-waypoint'] as const), new Set(['waypoint-bypass'] as const)),
  rootNamespace: fc.constantFrom('istio-system', 'infra'),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.oneof(...kinds.map(objectOf)).map((object) => ({ kind: 'set' as const, object })) },
  {
    weight: 5,
    arbitrary: fc.tuple(fc.constantFrom(...kinds), namespace, name).map(([of, ns, n]) => ({
      kind: 'remove' as const,
      of,
      key: of === 'Namespace' ? ns : of === 'GatewayClass' ? 'ours' : clusterScoped.has(of) ? n : `${ns}/${n}`,
    })),
  },
  { weight: 1, arbitrary: setting.map((settings) => ({ kind: 'settings' as const, settings })) },
  { weight: 2, arbitrary: fc.nat(4).map((strides) => ({ kind: 'compute' as const, strides })) },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 4 }).map((batch) => ({ kind: 'flush' as const, batch })) },
);

function newIndex(settings: Partial<MeshSettings>): AmbientIndex {
  const onFailure = ({ error }: { readonly error: unknown }) => assert.fail(String((error as Error).stack));
  return new AmbientIndex({ settings: { ...defaultSettings, ...settings }, onFailure });
}

function put(index: AmbientIndex, object: KubeObject): void {
  const { name: n, namespace: ns } = object.metadata;
  tableOf(index, object.kind).set(ns === undefined ? n : `${ns}/${n}`, object);
}

/** All that it says: resources by name with version, aliases and what they were made of, and conditions. */
function stateOf(index: AmbientIndex) {
  const rows = (resources: AmbientIndex['addresses']) =>
    Object.fromEntries(
      [...resources.values()]
        .map(
          (r) =>
            [
              r.name,
              [r.version, r.aliases, new Set(r.inputs.map((i) => `${i.kind} ${i.namespace}/${i.name}`))],
            ] as const,
        )
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  const conditions = ['Service', 'ServiceEntry', 'WorkloadEntry', 'AuthorizationPolicy'].flatMap((kind) =>
    [...tableOf(index, kind).values.values()].map(({ metadata: { namespace: ns = '', name: n } }) => {
      const all = [...(index.conditions({ kind, namespace: ns, name: n }) ?? [])];
      return [`${kind} ${ns}/${n}`, Object.fromEntries(all)];
    }),
  );
  return {
    addresses: rows(index.addresses),
    policies: rows(index.authorizations),
    conditions: Object.fromEntries(conditions),
  };
}

/** A workload that lists a policy which nobody has refuses everything. */
function noneUnknown(index: AmbientIndex): void {
  for (const { name: n, bytes } of index.addresses.values()) {
    const found = decodeAddress(bytes);
    assert.ok(found.kind === 'ok', n);
    const policies = found.value.kind === 'workload' ? found.value.authorizationPolicies : [];
    for (const p of policies) assert.ok(index.authorizations.has(p), `${n} lists ${p}`);
  }
}

test('after any changes the mesh is what it would be made from scratch, and every difference was announced', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
      let settings: Partial<MeshSettings> = {};
      const index = newIndex(settings);
      const told = new Map<string, string>();
      const tell = (change: ReturnType<AmbientIndex['publish']>) => {
        for (const n of change?.addresses ?? []) {
          const found = index.addresses.get(n);
          if (found) told.set(n, found.version);
          else told.delete(n);
        }
      };
      const flush = (rest: Generator<void>, batch: number) => {
        for (const _ of rest);
        do {
          tell(index.publish(batch));
          noneUnknown(index);
        } while (index.isStaged);
      };
      let work: Generator<void> | undefined;
      for (const s of steps) {
        if (s.kind === 'set') put(index, s.object);
        else if (s.kind === 'remove') tableOf(index, s.of).set(s.key, undefined);
        else if (s.kind === 'settings') {
          settings = s.settings;
          index.configure({ ...defaultSettings, ...settings });
        } else if (s.kind === 'compute') {
          work ??= index.compute();
          for (let i = 0; i < s.strides && !work.next().done; i++);
        } else {
          flush(work ?? index.compute(), s.batch);
          work = undefined;
        }
      }
      if (work) flush(work, 2);
      while (index.isDirty) flush(index.compute(), 2);

      const fresh = newIndex(settings);
      for (const kind of kinds) for (const object of tableOf(index, kind).values.values()) put(fresh, object);
      fresh.flush();
      assert.deepEqual(stateOf(index), stateOf(fresh));
      assert.deepEqual(
        new Map([...told].sort()),
        new Map([...index.addresses].map(([n, r]) => [n, r.version] as const).sort()),
      );
    }),
    { numRuns: process.env['TEST_LONG'] === '1' ? 20_000 : 300 },
  );
});
