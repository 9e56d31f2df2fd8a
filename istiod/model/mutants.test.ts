import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyOf } from '../../common/kube/informer.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { faultOf } from '../validation/fault.ts';
import { meshKinds, tableOf } from './ambient/inputs.ts';
import { AmbientIndex } from './ambient-index.ts';
import { Intake } from './intake.ts';
import { defaultSettings } from './settings.ts';
import { mutantsOf, placesOf } from './testing/mutants.ts';
import { objectsOf } from './testing/test-mesh.ts';

const mesh = objectsOf(`
{kind: Namespace, metadata: {name: shop, labels: {team: a}}}
---
{kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: z}}}
---
kind: Pod
metadata: {name: a, labels: {app: web}, annotations: {ambient.istio.io/redirection: enabled}, ownerReferences: [{apiVersion: v1, kind: Job, name: j-12345678, uid: u}]}
spec: {nodeName: n1, serviceAccountName: web, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}], conditions: [{type: Ready, status: "True"}]}
---
kind: Service
metadata: {name: web, labels: {istio.io/use-waypoint: wp}}
spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ipFamilies: [IPv4], selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
{kind: Service, metadata: {name: ext}, spec: {ports: [{port: 80}]}}
---
kind: EndpointSlice
metadata: {name: ext-1, labels: {kubernetes.io/service-name: ext}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1], conditions: {ready: true}}, {addresses: [10.0.0.1], targetRef: {kind: Pod, name: a}}]
ports: [{port: 9000}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: se}
spec: {hosts: [a.example.com], resolution: STATIC, location: MESH_INTERNAL, ports: [{name: http, number: 80, protocol: HTTP}], endpoints: [{address: 192.0.2.5, ports: {http: 8080}, labels: {app: web}, locality: r/z, weight: 2}]}
status: {addresses: [{host: a.example.com, value: 240.240.0.1}], conditions: [{type: X, status: "True"}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm}
spec: {address: 192.0.2.7, labels: {app: web}, ports: {http: 8080}, serviceAccount: vm, network: net-2}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p}
spec: {action: DENY, selector: {matchLabels: {app: web}}, rules: [{from: [{source: {principals: [cluster.local/ns/x/sa/y], ipBlocks: [10.0.0.0/8]}}], to: [{operation: {ports: ["80"]}}], when: [{key: source.namespace, values: [x]}]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict}
spec: {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: PERMISSIVE}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, annotations: {ambient.istio.io/waypoint-inbound-binding: PROXY/15088}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}}]}
status: {addresses: [{type: Hostname, value: wp.shop.svc.cluster.local}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: istio-waypoint, labels: {istio.io/waypoint-for: all}}
spec: {controllerName: istio.io/mesh-controller}
`);
const meshKind = (name: string) => meshKinds.find((k) => k.kind.kind === name)!;

interface World {
  readonly index: AmbientIndex;
  readonly failed: string[];
  put(object: KubeObject): void;
}

function world(): World {
  const failed: string[] = [];
  const index = new AmbientIndex({
    settings: defaultSettings,
    onFailure: ({ what, key }) => failed.push(`${what} ${key}`),
  });
  const gate = { isDiscovered: () => true, revision: 'default' };
  const intakes = new Map<string, Intake<KubeObject>>();
  const put = (object: KubeObject) => {
    const kind = meshKind(object.kind);
    const fault = (o: KubeObject) => (kind.isCustom ? faultOf(o) : undefined);
    const intake =
      intakes.get(object.kind) ??
      new Intake({ table: tableOf(index.inputs, kind), gate, faultOf: fault, onVerdict: () => undefined });
    intakes.set(object.kind, intake);
    intake.put(keyOf(object.metadata), kind.trim(object));
  };
  for (const object of mesh) put(object);
  index.flush();
  return { index, failed, put };
}

const parts = ['spec', 'status', 'endpoints', 'ports', 'addressType'];

const state = (index: AmbientIndex) =>
  [...index.addresses.values(), ...index.authorizations.values()]
    .map((r) => [r.name, r.version, r.inputs] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));

for (const object of mesh.filter((o) => placesOf(o).some(([p]) => parts.includes(String(p))))) {
  const { kind } = object;
  const name = `${kind} ${object.metadata.name}`;
  test(`mutants of ${name}: nothing fails for others, and what is not valid changes nothing`, () => {
    const w = world();
    const before = state(w.index);
    fc.assert(
      fc.property(mutantsOf(object, parts), (mutant) => {
        const isInvalid = meshKind(object.kind).isCustom && faultOf(mutant) !== undefined;
        w.put(mutant);
        w.index.flush();
        const after = state(w.index);
        if (isInvalid) assert.deepEqual(after, before);
        // What was not made of it is as it was.
        const madeOf = new Set(
          after.flatMap(([n, , inputs]) =>
            inputs.some((i) => i.kind === kind && i.name === object.metadata.name) ? [n] : [],
          ),
        );
        const others = (all: typeof before) =>
          all
            .filter(([n]) => !madeOf.has(n))

            .filter(([, , inputs]) => !inputs.some((i) => i.kind === kind && i.name === object.metadata.name))
            .map(([n, v]) => `${n} ${v}`);
        const now = new Set(after.map(([n, v]) => `${n} ${v}`));
        for (const other of others(before)) assert.ok(now.has(other), other);
        assert.deepEqual(w.failed, []);
        w.put(object);
        w.index.flush();
        const back = (all: typeof before) => all.map(([n, v]) => `${n} ${v}`).sort();
        assert.deepEqual(back(state(w.index)), back(before));
      }),
      { numRuns: process.env['TEST_LONG'] === '1' ? 10_000 : 300 },
    );
  });
}
