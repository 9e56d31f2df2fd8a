/** Every built-in kind through the server: what is filled in, refused, shown, and served in another version. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createCsr } from '../../../common/identity/csr.ts';
import { validate } from '../../../common/kube/schema/validate.ts';
import { allKinds } from '../shapes/shapes.ts';
import { type Json, startTestServer, type TestServer } from '../testing/client.ts';
import { builtInResources } from './table.ts';

const { csr } = await createCsr({ trustDomain: 'x', namespace: 'n', serviceAccount: 's' });
const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'nginx:1' }] } };

/** The least of each kind, as users write it. */
const least: Readonly<Record<string, Json>> = {
  persistentvolumes: {
    spec: { capacity: { storage: '1024Mi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/data' } },
  },
  persistentvolumeclaims: { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
  limitranges: { spec: { limits: [{ type: 'Container', max: { cpu: 2 }, default: { memory: '0.5Gi' } }] } },
  resourcequotas: { spec: { hard: { pods: '10', 'limits.cpu': '20000m' } } },
  podtemplates: { template },
  replicationcontrollers: { spec: { template } },
  'horizontalpodautoscalers.autoscaling': {
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }, maxReplicas: 3 },
  },
  'poddisruptionbudgets.policy': { spec: { minAvailable: 1, selector: { matchLabels: { app: 'a' } } } },
  'ingresses.networking.k8s.io': {
    spec: {
      rules: [
        {
          host: 'a.example',
          http: {
            paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }],
          },
        },
      ],
    },
  },
  'ingressclasses.networking.k8s.io': { spec: { controller: 'example.com/controller' } },
  'networkpolicies.networking.k8s.io': { spec: { podSelector: {}, ingress: [{ ports: [{ port: 80 }] }] } },
  'ipaddresses.networking.k8s.io': { spec: { parentRef: { resource: 'services', name: 'a', namespace: 'default' } } },
  'servicecidrs.networking.k8s.io': { spec: { cidrs: ['10.0.0.0/24'] } },
  'storageclasses.storage.k8s.io': { provisioner: 'example.com/disk' },
  'csidrivers.storage.k8s.io': { spec: {} },
  'csinodes.storage.k8s.io': { spec: { drivers: [] } },
  'csistoragecapacities.storage.k8s.io': { storageClassName: 'a', capacity: '1Gi' },
  'volumeattachments.storage.k8s.io': { spec: { attacher: 'a', nodeName: 'n', source: { persistentVolumeName: 'v' } } },
  'volumeattributesclasses.storage.k8s.io': { driverName: 'a', parameters: { iops: '1' } },
  'priorityclasses.scheduling.k8s.io': { value: 1000 },
  'runtimeclasses.node.k8s.io': { handler: 'runc' },
  'events.events.k8s.io': {
    eventTime: '2026-01-31T12:00:00.000001Z',
    regarding: { kind: 'Pod', name: 'a', namespace: 'default' },
    reason: 'Tested',
    note: 'in words',
    type: 'Normal',
    action: 'Test',
    reportingController: 'example.com/test',
    reportingInstance: 'test-1',
  },
  'certificatesigningrequests.certificates.k8s.io': {
    spec: { request: Buffer.from(csr).toString('base64'), signerName: 'example.com/signer', usages: ['client auth'] },
  },
  'validatingwebhookconfigurations.admissionregistration.k8s.io': {},
  'mutatingwebhookconfigurations.admissionregistration.k8s.io': {},
};

function pathOf(id: string, version = 'v1'): string {
  const [resource = '', ...group] = id.split('.');
  const { namespaced } = builtInResources.find((r) => r.resource === resource && r.group === group.join('.'))!;
  const base = group.length === 0 ? '/api/v1' : `/apis/${group.join('.')}/${version}`;
  return `${base}${namespaced ? '/namespaces/default' : ''}/${resource}`;
}

describe('built-in kinds', () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server[Symbol.asyncDispose]());
  const create = (id: string, object: Json, version = 'v1') =>
    server.client.ask(pathOf(id, version), {
      method: 'POST',
      body: { ...object, metadata: { name: 'least', ...object.metadata } },
    });

  for (const [id, object] of Object.entries(least)) {
    test(`the least ${id} is taken, stays valid, and is shown`, async () => {
      const made = await create(id, object);
      assert.equal(made.code, 201, made.body.toString());
      const path = `${pathOf(id)}/least`;
      // Controllers may have written meanwhile.
      delete made.json.metadata.resourceVersion;
      const again = await server.client.ask(path, { method: 'PUT', body: made.json });
      assert.equal(again.code, 200, again.body.toString());
      assert.deepEqual(again.json.spec, made.json.spec);
      const table = await server.client.ask(pathOf(id), {
        headers: { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' },
      });
      const own = table.json.rows.filter((r: Json) => r.object.metadata.name === 'least');
      assert.equal(own.length, 1);
      assert.ok(table.json.columnDefinitions.length > 1);
    });
  }

  test('what Kubernetes fills in is filled in', async () => {
    const of = async (id: string) => (await server.client.ask(`${pathOf(id)}/least`)).json;
    const volume = await of('persistentvolumes');
    assert.deepEqual(
      [volume.spec.capacity.storage, volume.spec.persistentVolumeReclaimPolicy, volume.spec.volumeMode],
      ['1Gi', 'Retain', 'Filesystem'],
    );
    assert.deepEqual((await of('limitranges')).spec.limits[0], {
      type: 'Container',
      max: { cpu: '2' },
      default: { cpu: '2', memory: '512Mi' },
      defaultRequest: { cpu: '2', memory: '512Mi' },
    });
    const rc = await of('replicationcontrollers');
    assert.deepEqual([rc.spec.replicas, rc.spec.selector], [1, { app: 'a' }]);
    assert.equal(rc.spec.template.spec.containers[0].terminationMessagePath, '/dev/termination-log');
    assert.deepEqual((await of('networkpolicies.networking.k8s.io')).spec.policyTypes, ['Ingress']);
    assert.equal((await of('storageclasses.storage.k8s.io')).volumeBindingMode, 'Immediate');
    assert.equal((await of('priorityclasses.scheduling.k8s.io')).preemptionPolicy, 'PreemptLowerPriority');
  });

  test("a bundle of a signer's roots has its name, and keeps its signer", async () => {
    const id = 'clustertrustbundles.certificates.k8s.io';
    const trustBundle = '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n';
    const bundle = (name: string, spec: object) =>
      server.client.ask(pathOf(id), {
        method: 'POST',
        body: { apiVersion: 'certificates.k8s.io/v1', kind: 'ClusterTrustBundle', metadata: { name }, spec },
      });
    const signerName = 'example.com/mesh';
    assert.equal((await bundle('example.com:mesh:roots', { signerName, trustBundle })).code, 201);
    assert.equal((await bundle('plain', { trustBundle })).code, 201);
    for (const [name, spec] of [
      ['example.com:other:roots', { signerName, trustBundle }],
      ['example.com:mesh:none', { signerName, trustBundle: 'x' }],
      ['example.com:mesh:unsigned', { trustBundle }],
    ] as const)
      assert.equal((await bundle(name, spec)).code, 422, name);
    const path = `${pathOf(id)}/example.com:mesh:roots`;
    const body = { spec: { signerName: 'example.com/other' } };
    const type = 'application/merge-patch+json';
    assert.equal((await server.client.ask(path, { method: 'PATCH', type, body })).code, 422);
  });

  test('an autoscaler has one state in two versions', async () => {
    const id = 'horizontalpodautoscalers.autoscaling';
    const v2 = await server.client.ask(`${pathOf(id, 'v2')}/least`);
    assert.equal(v2.json.apiVersion, 'autoscaling/v2');
    const changed = structuredClone(v2.json);
    changed.spec.metrics = [
      { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 60 } } },
      { type: 'Resource', resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '1Gi' } } },
    ];
    const put = await server.client.ask(`${pathOf(id, 'v2')}/least`, { method: 'PUT', body: changed });
    assert.equal(put.code, 200, put.body.toString());
    const v1 = await server.client.ask(`${pathOf(id)}/least`);
    assert.equal(v1.json.spec.targetCPUUtilizationPercentage, 60);
    assert.equal(v1.json.spec.metrics, undefined);
    v1.json.spec.maxReplicas = 9;
    assert.equal((await server.client.ask(`${pathOf(id)}/least`, { method: 'PUT', body: v1.json })).code, 200);
    const after = await server.client.ask(`${pathOf(id, 'v2')}/least`);
    assert.deepEqual([after.json.spec.maxReplicas, after.json.spec.metrics], [9, changed.spec.metrics]);
  });

  test('an event of one group is an event of the other', async () => {
    const { json } = await server.client.ask('/api/v1/namespaces/default/events/least');
    assert.deepEqual(
      [json.message, json.involvedObject.name, json.reportingComponent, json.note],
      ['in words', 'a', 'example.com/test', undefined],
    );
    const selected = await server.client.ask('/api/v1/events?fieldSelector=involvedObject.name=a');
    assert.equal(selected.json.items.length, 1);
  });

  test('what nothing acts on is said', async () => {
    const made = await create('networkpolicies.networking.k8s.io', {
      ...least['networkpolicies.networking.k8s.io'],
      metadata: { name: 'other' },
    });
    assert.match(String(made.headers['warning']), /nothing here enforces it/);
  });

  test('a job gets its selector and counts, and keeps them', async () => {
    const job = { spec: { template: { spec: { ...template.spec, restartPolicy: 'Never' } } } };
    const { json } = await create('jobs.batch', job);
    assert.deepEqual([json.spec.parallelism, json.spec.completions, json.spec.backoffLimit], [1, 1, 6]);
    assert.deepEqual(json.spec.selector, { matchLabels: { 'batch.kubernetes.io/controller-uid': json.metadata.uid } });
    assert.equal(json.spec.template.metadata.labels['job-name'], 'least');
    json.spec.template.spec.containers[0].image = 'other';
    // The job's controller writes its status meanwhile.
    delete json.metadata.resourceVersion;
    const changed = await server.client.ask(`${pathOf('jobs.batch')}/least`, { method: 'PUT', body: json });
    assert.equal(changed.json.details.causes[0].field, 'spec.template');
  });

  test('what never changes does not change', async () => {
    const put = async (id: string, object: Json, change: (o: Json) => void) => {
      const made = await create(id, { ...object, metadata: { name: 'fixed' } });
      assert.equal(made.code, 201, made.body.toString());
      change(made.json);
      delete made.json.metadata.resourceVersion;
      const answer = await server.client.ask(`${pathOf(id)}/fixed`, { method: 'PUT', body: made.json });
      return [answer.code, answer.json.details?.causes?.[0]?.field];
    };
    const workload = { spec: { selector: { matchLabels: { app: 'a' } }, template } };
    assert.deepEqual(
      [
        await put('configmaps', { data: { a: '1' }, immutable: true }, (o) => (o.data.a = '2')),
        await put('secrets', { type: 'Opaque' }, (o) => (o.type = 'example.com/other')),
        await put('deployments.apps', workload, (o) => {
          o.spec.selector.matchLabels = { b: 'c' };
          o.spec.template.metadata.labels = { b: 'c' };
        }),
        await put('statefulsets.apps', workload, (o) => (o.spec.serviceName = 'other')),
        await put('pods', { spec: template.spec }, (o) => (o.spec.containers[0].args = ['other'])),
        await put(
          'rolebindings.rbac.authorization.k8s.io',
          { roleRef: { kind: 'Role', name: 'a' } },
          (o) => (o.roleRef.name = 'b'),
        ),
      ],
      [
        [422, 'data'],
        [422, 'type'],
        [422, 'spec.selector'],
        [422, 'spec'],
        [422, 'spec'],
        [422, 'roleRef'],
      ],
    );
  });

  test('a Service and workloads get what their fields imply', async () => {
    const service = await create('services', { spec: { ports: [{ port: 80 }], type: 'NodePort' } });
    const { ports, internalTrafficPolicy, externalTrafficPolicy, sessionAffinity } = service.json.spec;
    assert.deepEqual(
      [ports[0].targetPort, internalTrafficPolicy, externalTrafficPolicy, sessionAffinity],
      [80, 'Cluster', 'Cluster', 'None'],
    );
    const limited = { containers: [{ ...template.spec.containers[0], resources: { limits: { memory: '1024Mi' } } }] };
    const spec = { selector: { matchLabels: { app: 'a' } }, template: { ...template, spec: limited } };
    const { json } = await create('daemonsets.apps', { spec });
    assert.deepEqual(json.spec.updateStrategy.rollingUpdate, { maxSurge: 0, maxUnavailable: 1 });
    assert.deepEqual(json.spec.template.spec.containers[0].resources, {
      limits: { memory: '1Gi' },
      requests: { memory: '1Gi' },
    });
  });

  const refused: readonly (readonly [string, Json, string])[] = [
    ['persistentvolumeclaims', { spec: { accessModes: ['ReadWriteOnce'] } }, 'spec.resources[storage]'],
    [
      'persistentvolumes',
      { spec: { capacity: { storage: 'much' }, accessModes: ['ReadWriteOnce'], nfs: { server: 's', path: '/' } } },
      'spec.capacity.storage',
    ],
    [
      'horizontalpodautoscalers.autoscaling',
      { spec: { scaleTargetRef: { kind: 'D', name: 'w' }, maxReplicas: 0 } },
      'spec.maxReplicas',
    ],
    ['ingresses.networking.k8s.io', { spec: {} }, 'spec'],
    ['poddisruptionbudgets.policy', { spec: { minAvailable: 1, maxUnavailable: 1 } }, 'spec'],
    ['priorityclasses.scheduling.k8s.io', { value: 2_000_000_000 }, 'value'],
    ['configmaps', { data: { 'a b': '1' } }, 'data[a b]'],
    ['secrets', { type: 'kubernetes.io/tls', data: { 'tls.crt': '' } }, 'data[tls.key]'],
    ['services', { spec: { ports: [{ port: 1 }, { port: 2 }] } }, 'spec.ports[0].name'],
    ['services', { spec: { type: 'ExternalName' } }, 'spec.externalName'],
    ['services', { spec: { ports: [{ port: 1, targetPort: 'no name' }] } }, 'spec.ports[0].targetPort'],
    [
      'deployments.apps',
      { spec: { selector: { matchLabels: { app: 'b' } }, template } },
      'spec.template.metadata.labels',
    ],
    ['deployments.apps', { spec: { selector: {}, template } }, 'spec.selector'],
    ['jobs.batch', { spec: { template } }, 'spec.template.spec.restartPolicy'],
    ['cronjobs.batch', { spec: { schedule: '61 * * * *', jobTemplate: { spec: { template } } } }, 'spec.schedule'],
    [
      'pods',
      { spec: { containers: [{ name: 'a', image: 'b', volumeMounts: [{ name: 'v', mountPath: '/' }] }] } },
      'spec.containers[0].volumeMounts[0].name',
    ],
    ['pods', { spec: { ...template.spec, affinity: { nodeAffinity: 3 } } }, 'spec.affinity.nodeAffinity'],
    ['replicationcontrollers', { spec: { selector: { app: 'b' }, template } }, 'spec.template.metadata.labels'],
  ];
  for (const [id, object, field] of refused) {
    test(`${id} with a wrong ${field} is refused`, async () => {
      const answer = await create(id, { ...object, metadata: { name: 'wrong' } });
      assert.equal(answer.code, 422, answer.body.toString());
      assert.ok(
        answer.json.details.causes.some((c: Json) => c.field === field),
        answer.json.message,
      );
    });
  }
});

test('a kind with a shape is a resource or a request, and a schema knows all of its fields', () => {
  const served = new Set(
    builtInResources.map((r) => `${r.group === '' ? r.version : `${r.group}/${r.version}`} ${r.kind}`),
  );
  const missing = [...allKinds()].filter((k) => !served.has(`${k.apiVersion} ${k.kind}`)).map((k) => k.kind);
  assert.deepEqual(
    missing.filter((k) => !notServed.has(k)),
    [],
  );
  for (const { apiVersion, kind, shape } of allKinds()) {
    const resource = builtInResources.find(
      (r) => r.kind === kind && apiVersion === (r.group === '' ? r.version : `${r.group}/${r.version}`),
    );
    if (resource === undefined) continue;
    for (const { name } of shape.fields)
      assert.ok(name in (resource.schema.properties ?? {}), `${apiVersion} ${kind} ${name}`);
    assert.ok(validate(resource.schema, {}).length > 0);
  }
});

/** Subresources' kinds, and those that README's table names as left out. */
const notServed = new Set([
  'PartialObjectMetadata',
  'Binding',
  'Scale',
  'Eviction',
  'TokenRequest',
  'PodCertificateRequest',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
  'MutatingAdmissionPolicy',
  'MutatingAdmissionPolicyBinding',
]);
