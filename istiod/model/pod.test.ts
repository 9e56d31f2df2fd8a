import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Workload } from '../../common/mesh/types.ts';
import { TestMesh } from './testing/test-mesh.ts';

/** A pod `a` that runs, with these lines in its metadata, spec and status. */
function pod(over: { metadata?: string; spec?: string; status?: string } = {}): string {
  return `
kind: Pod
metadata: {name: a${over.metadata ? `, ${over.metadata}` : ''}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]${over.spec ? `, ${over.spec}` : ''}}
status: {${over.status ?? 'phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}], conditions: [{type: Ready, status: "True"}]'}}
`;
}

const ready = 'conditions: [{type: Ready, status: "True"}]';
const rows: readonly [string, string, Partial<Workload> | undefined][] = [
  ['both families', pod(), { addresses: ['10.0.0.1', 'fd00::1'] as never, status: 'HEALTHY', uid: 'c//Pod/shop/a' }],
  [
    'defaults',
    pod(),
    {
      serviceAccount: 'default',
      tunnelProtocol: 'NONE',
      workloadType: 'pod',
      workloadName: 'a',
      canonicalName: 'a',
      canonicalRevision: 'latest',
      networkMode: 'STANDARD',
      node: 'n1',
      network: '',
      trustDomain: 'cluster.local',
    },
  ],
  ['pending with an address', pod({ status: 'phase: Pending, podIPs: [{ip: 10.0.0.1}]' }), { status: 'UNHEALTHY' }],
  ['one address', pod({ status: `phase: Running, podIP: 10.0.0.9, ${ready}` }), { addresses: ['10.0.0.9'] as never }],
  ['no address', pod({ status: 'phase: Pending' }), undefined],
  ['succeeded', pod({ status: 'phase: Succeeded, podIPs: [{ip: 10.0.0.1}]' }), undefined],
  ['failed', pod({ status: 'phase: Failed, podIPs: [{ip: 10.0.0.1}]' }), undefined],
  ['being deleted', pod({ metadata: 'deletionTimestamp: "2026-01-01T00:00:00Z"' }), { status: 'UNHEALTHY' }],
  ['captured', pod({ metadata: 'annotations: {ambient.istio.io/redirection: enabled}' }), { tunnelProtocol: 'HBONE' }],
  [
    'capture pending',
    pod({ metadata: 'annotations: {ambient.istio.io/redirection: pending}' }),
    { tunnelProtocol: 'NONE' },
  ],
  [
    'labelled for ambient only',
    pod({ metadata: 'labels: {istio.io/dataplane-mode: ambient}' }),
    { tunnelProtocol: 'NONE' },
  ],
  [
    'speaking HBONE itself',
    pod({ metadata: 'labels: {networking.istio.io/tunnel: http}' }),
    { tunnelProtocol: 'HBONE', nativeTunnel: true },
  ],
  ['host network', pod({ spec: 'hostNetwork: true' }), { networkMode: 'HOST_NETWORK' }],
  ['its account', pod({ spec: 'serviceAccountName: web' }), { serviceAccount: 'web' }],
  ['another network', pod({ metadata: 'labels: {topology.istio.io/network: far}' }), { network: 'far' }],
  [
    'names by label',
    pod({ metadata: 'labels: {app: x, version: v2}' }),
    { canonicalName: 'x', canonicalRevision: 'v2' },
  ],
  [
    "names by Kubernetes' labels before those",
    pod({ metadata: 'labels: {app: x, app.kubernetes.io/name: y, version: v2, app.kubernetes.io/version: v3}' }),
    { canonicalName: 'y', canonicalRevision: 'v3' },
  ],
  [
    "names by Istio's labels before all",
    pod({
      metadata:
        'labels: {app: x, app.kubernetes.io/name: y, service.istio.io/canonical-name: z, service.istio.io/canonical-revision: r}',
    }),
    { canonicalName: 'z', canonicalRevision: 'r' },
  ],
  [
    'a locality of its own',
    pod({ metadata: 'labels: {istio-locality: r.z.s}' }),
    { locality: { region: 'r', zone: 'z', subzone: 's' } },
  ],
];
for (const [name, yaml, expected] of rows) {
  test(`pod: ${name}`, () => {
    const found = new TestMesh(yaml).workload('a');
    if (expected === undefined) assert.equal(found, undefined);
    else assert.deepEqual({ ...found, ...expected }, found);
  });
}

const owners: readonly [string, string, string, string][] = [
  ['a Deployment', 'ReplicaSet', 'web-5d4f', 'web'],
  ['a ReplicaSet of its own', 'ReplicaSet', 'own-set', 'own-set'],
  ['a Rollout', 'ReplicaSet', 'roll-77', 'roll'],
  ['a CronJob', 'Job', 'nightly-29012345', 'nightly'],
  ['a Job', 'Job', 'once', 'once'],
  ['a StatefulSet', 'StatefulSet', 'db', 'db'],
  ['a DeploymentConfig', 'ReplicationController', 'dc-3', 'dc'],
];
for (const [name, kind, owner, expected] of owners) {
  test(`the workload behind a pod: ${name}`, () => {
    const labels = 'labels: {pod-template-hash: 5d4f, rollouts-pod-template-hash: "77", deploymentconfig: dc}';
    const mesh = new TestMesh(
      pod({
        metadata: `${labels}, ownerReferences: [{apiVersion: v1, kind: ${kind}, name: ${owner}, uid: u, controller: true}]`,
      }),
    );
    assert.equal(mesh.workload('a')?.workloadName, expected);
  });
}

test('a pod is where its node is, also when the node is labelled later', () => {
  const mesh = new TestMesh(pod());
  assert.deepEqual(mesh.workload('a')?.locality, { region: '', zone: '', subzone: '' });
  const node = (extra: string) =>
    `{kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z, topology.istio.io/subzone: s${extra}}}}`;
  assert.ok(mesh.apply(node(''))?.addresses.has('c//Pod/shop/a'));
  assert.deepEqual(mesh.workload('a')?.locality, { region: 'r', zone: 'z', subzone: 's' });
  assert.equal(mesh.apply(node(', other: "1"')), undefined);
  assert.deepEqual(mesh.inputsOf('c//Pod/shop/a'), ['Pod shop/a', 'Node n1']);
});

test("pods are of the cluster's network, which the root namespace's label names", () => {
  const mesh = new TestMesh(pod());
  mesh.apply('{kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: here}}}');
  assert.equal(mesh.workload('a')?.network, 'here');
  assert.ok(mesh.index.catalog.find('type.googleapis.com/istio.workload.Address', 'here/10.0.0.1'));
  mesh.remove('Namespace', 'istio-system');
  assert.equal(mesh.workload('a')?.network, '');
});

test('ports of a pod: numbers, names, names that nobody has, and what is not TCP', () => {
  const mesh = new TestMesh(`${pod({ metadata: 'labels: {app: web}' })}
---
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports:
  - {name: a, port: 80, targetPort: http}
  - {name: b, port: 81, targetPort: 9000}
  - {name: c, port: 82, targetPort: nobody}
  - {name: d, port: 53, protocol: UDP}
  - {name: e, port: 83}
---
{kind: Service, metadata: {name: alias}, spec: {type: ExternalName, externalName: x.y, selector: {app: web}, ports: [{port: 80}]}}
---
{kind: Service, metadata: {name: other}, spec: {selector: {app: web, tier: back}, ports: [{port: 80}]}}
---
{kind: Service, metadata: {name: manual}, spec: {selector: {}, ports: [{port: 80}]}}
`);
  assert.deepEqual(
    [...mesh.workload('a')!.services],
    [
      [
        'shop/web.shop.svc.cluster.local',
        [
          { servicePort: 80, targetPort: 8080 },
          { servicePort: 81, targetPort: 9000 },
          { servicePort: 83, targetPort: 83 },
        ],
      ],
    ],
  );
});

const slice = `
kind: EndpointSlice
metadata: {name: ext-1, labels: {kubernetes.io/service-name: ext}}
addressType: IPv4
endpoints:
- {addresses: [192.0.2.1], zone: z2, conditions: {ready: false}}
- {addresses: [192.0.2.2, 192.0.2.9]}
- {addresses: [192.0.2.2]}
- {addresses: [10.0.0.1], targetRef: {kind: Pod, name: a}}
ports: [{name: web, port: 9000}, {name: u, port: 53, protocol: UDP}]
`;
const ext = (selector: string) =>
  `{kind: Service, metadata: {name: ext}, spec: {clusterIP: 10.96.0.9, ${selector} ports: [{name: web, port: 80}]}}`;

test('endpoints of a slice: a pod is itself, others are plain workloads; with a selector the slice says nothing of pods', () => {
  const mesh = new TestMesh(`${pod()}\n---\n${slice}`);
  assert.deepEqual([...mesh.index.addresses.keys()], ['c//Pod/shop/a'], 'a slice of no Service');
  mesh.apply(ext(''));
  const at = [{ servicePort: 80, targetPort: 9000 }];
  assert.deepEqual([...mesh.workload('a')!.services], [['shop/ext.shop.svc.cluster.local', at]]);
  const [bad, good] = ['192.0.2.1', '192.0.2.2'].map(
    (ip) => mesh.workload(`c/discovery.k8s.io/EndpointSlice/shop/ext-1/${ip}`)!,
  );
  assert.deepEqual([bad!.networkMode, bad!.status, bad!.tunnelProtocol], ['HOST_NETWORK', 'UNHEALTHY', 'NONE']);
  assert.deepEqual([bad!.locality.zone, [...bad!.services.values()]], ['z2', [at]]);
  assert.deepEqual([good!.status, good!.addresses], ['HEALTHY', ['192.0.2.2']]);
  assert.equal(mesh.index.addresses.size, 4);
  assert.equal(mesh.index.catalog.find('type.googleapis.com/istio.workload.Address', '/192.0.2.2'), undefined);

  const change = mesh.apply(ext('selector: {app: x},'));
  assert.deepEqual([...mesh.workload('a')!.services], []);
  assert.ok(change?.addresses.has('c//Pod/shop/a'));
  mesh.remove('Service', 'shop/ext');
  assert.deepEqual([...mesh.index.addresses.keys()], ['c//Pod/shop/a']);
});

test('a reused address names its new owner', () => {
  const mesh = new TestMesh(pod());
  const find = () => mesh.index.catalog.find('type.googleapis.com/istio.workload.Address', '/10.0.0.1')?.name;
  assert.equal(find(), 'c//Pod/shop/a');
  mesh.apply(pod().replace('name: a', 'name: b'));
  mesh.remove('Pod', 'shop/a');
  assert.equal(find(), 'c//Pod/shop/b');
});

test('what changed is announced, and only that', () => {
  const b = pod().replace('name: a', 'name: b').replace('10.0.0.1', '10.0.0.2');
  const web = (port: number) =>
    `{kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: ${port}}]}}`;
  const mesh = new TestMesh();
  const sorted = (yaml: string) => [...(mesh.apply(yaml)?.addresses ?? [])].sort();
  const all = [pod({ metadata: 'labels: {app: web}' }), b, web(80)].join('\n---\n');
  assert.deepEqual(sorted(all), ['c//Pod/shop/a', 'c//Pod/shop/b', 'shop/web.shop.svc.cluster.local']);
  assert.equal(mesh.index.flush(), undefined);
  assert.deepEqual(sorted(b), [], 'a new version that says the same');
  // The port of the service is a matter of the pods that it selects, too.
  assert.deepEqual(sorted(web(81)), ['c//Pod/shop/a', 'shop/web.shop.svc.cluster.local']);
  assert.deepEqual([...(mesh.remove('Pod', 'shop/a')?.addresses ?? [])], ['c//Pod/shop/a']);
  assert.equal(mesh.workload('a'), undefined);
});

test('versions are the same after a restart', () => {
  const versions = [1, 2].map(() => [...new TestMesh(pod()).index.addresses.values()].map((r) => r.version));
  assert.deepEqual(versions[0], versions[1]);
});
