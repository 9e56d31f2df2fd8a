import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Container, PodSpec } from '../../common/kube/kinds/core.ts';
import { podSpec } from '../../common/kube/schema/pod.ts';
import { containerFields, mountFields, podFields, probeFields } from './fields.ts';
import { planPod } from './pod-plan.ts';
import { Problems } from './problems.ts';

function plan(spec: Partial<PodSpec>, container: Partial<Container> = {}) {
  const problems = new Problems();
  const containers = [{ name: 'main', image: 'debian', ...container }];
  const result = planPod({ containers, ...spec }, 'spec', problems);
  return { plan: result, main: result.containers[0]!, problems: problems.found };
}

const fields = (problems: readonly { field: string }[]) => problems.map((p) => p.field);

describe('what a lab does not honour is named', () => {
  test('fields of the pod and of its containers', () => {
    const { problems } = plan(
      { hostUsers: false, runtimeClassName: 'gvisor', spex: 1 },
      { volumeDevices: [{ name: 'x' }], ports: [{ containerPort: 1, hostPort: 2 }] },
    );
    assert.deepEqual(fields(problems), [
      'spec.hostUsers',
      'spec.runtimeClassName',
      'spec.spex',
      'spec.containers[0].volumeDevices',
      'spec.containers[0].ports[0].hostPort',
    ]);
  });

  test('an image that is not in the table', () => {
    const { problems } = plan({}, { image: 'mysql:8' });
    assert.deepEqual(fields(problems), ['spec.containers[0].image']);
    assert.match(problems[0]!.message, /"mysql:8" is not in the lab's table .*nginx/);
  });

  test('kinds of volumes, mounts of no volume, and paths out of the volume', () => {
    const volumes = [{ name: 'a', nfs: { path: '/' } }];
    const volumeMounts = [
      { name: 'b', mountPath: 'relative' },
      { name: 'a', mountPath: '/x', subPath: '../../etc' },
    ];
    const { problems } = plan({ volumes }, { volumeMounts });
    assert.deepEqual(fields(problems), [
      'spec.volumes[0].nfs',
      'spec.containers[0].volumeMounts[0].name',
      'spec.containers[0].volumeMounts[0].mountPath',
      'spec.containers[0].volumeMounts[1].subPath',
    ]);
  });

  test('probes of nothing, unknown port names, and probes of init containers', () => {
    const init = { name: 'init', image: 'debian', livenessProbe: { exec: { command: ['true'] } } };
    const { problems } = plan(
      { initContainers: [init] },
      { readinessProbe: { periodSeconds: 1 }, livenessProbe: { tcpSocket: { port: 'web' } } },
    );
    assert.deepEqual(fields(problems), [
      'spec.initContainers[0].livenessProbe',
      'spec.containers[0].readinessProbe',
      'spec.containers[0].livenessProbe.tcpSocket.port',
    ]);
  });

  test('rights that a container cannot be given', () => {
    const securityContext = {
      seccompProfile: { type: 'Localhost', localhostProfile: 'x' },
      seLinuxOptions: { level: 'x' },
      capabilities: { add: ['EVERYTHING'], drop: ['CHOWNER'] },
    };
    assert.deepEqual(fields(plan({}, { securityContext }).problems), [
      'spec.containers[0].securityContext.seLinuxOptions',
      'spec.containers[0].securityContext.seccompProfile.type',
      'spec.containers[0].securityContext.capabilities.drop',
      'spec.containers[0].securityContext.capabilities.add',
    ]);
  });

  test('references in variables that cannot be resolved', () => {
    const env = [
      { name: 'A', valueFrom: { fieldRef: { fieldPath: 'status.qosClass' } } },
      { name: 'B', valueFrom: { resourceFieldRef: { resource: 'limits.gpu' } } },
    ];
    assert.deepEqual(fields(plan({}, { env }).problems), [
      'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath',
      'spec.containers[0].env[1].valueFrom.resourceFieldRef.resource',
    ]);
  });
});

describe('what a lab accepts', () => {
  test('limits and pull policies', () => {
    const { problems } = plan({}, { resources: { limits: { cpu: '1' } }, imagePullPolicy: 'Always' });
    assert.deepEqual(problems, []);
  });

  test("command replaces the entrypoint, args the image's arguments", () => {
    const argv = (container: Partial<Container>) => plan({}, { image: 'curlimages/curl', ...container }).main.argv;
    assert.deepEqual(argv({}), ['curl']);
    assert.deepEqual(argv({ args: ['-s'] }), ['curl', '-s']);
    assert.deepEqual(argv({ command: ['sh', '-c'] }), ['sh', '-c']);
    assert.deepEqual(argv({ command: ['sh', '-c'], args: ['true'] }), ['sh', '-c', 'true']);
    assert.deepEqual(plan({}, { image: 'nginx' }).main.argv, ['nginx', '-g', 'daemon off;']);
  });

  test("times are Kubernetes' seconds with its defaults", () => {
    const { plan: pod, main } = plan({}, { readinessProbe: { tcpSocket: { port: 80 }, periodSeconds: 3 } });
    assert.equal(pod.grace, 30_000);
    assert.deepEqual(main.readiness, {
      action: { kind: 'tcp', host: undefined, port: 80 },
      initialDelay: 0,
      period: 3000,
      timeout: 1000,
      successThreshold: 1,
      failureThreshold: 3,
      grace: undefined,
    });
  });

  test('a probe finds a port by its name', () => {
    const { main } = plan(
      {},
      { ports: [{ name: 'web', containerPort: 8080 }], readinessProbe: { httpGet: { port: 'web' } } },
    );
    assert.equal(main.readiness?.action.kind === 'http' && main.readiness.action.port, 8080);
  });

  test("the pod's user holds for containers that name none", () => {
    const { main } = plan(
      { securityContext: { runAsUser: 7 } },
      { securityContext: { runAsGroup: 8, capabilities: { drop: ['all'] } } },
    );
    assert.deepEqual(main.security, {
      privileges: {
        user: { uid: 7, gid: 8 },
        groups: [],
        noNewPrivileges: false,
        capabilities: ['-all'],
        seccomp: 'unconfined',
      },
      privileged: false,
      readOnlyRoot: false,
      rootRefused: undefined,
    });
  });

  test('capabilities are the usual ones but for what is dropped and added, and all where privileged', () => {
    const of = (securityContext: object) => plan({}, { securityContext }).main.security.privileges.capabilities;
    assert.equal(of({}).length, 15);
    const changed = of({ capabilities: { drop: ['NET_RAW'], add: ['CAP_NET_ADMIN', 'KILL'] } });
    assert.equal(changed.length, 15);
    assert.ok(changed.includes('+net_admin') && !changed.includes('+net_raw'));
    assert.deepEqual(of({ capabilities: { drop: ['ALL'], add: ['SYS_TIME'] } }), ['-all', '+sys_time']);
    assert.deepEqual(of({ privileged: true }), []);
  });

  test("a container's seccomp profile before its pod's; none where it is privileged", () => {
    const of = (pod: object, container: object) =>
      plan({ securityContext: pod }, { securityContext: container }).main.security.privileges.seccomp;
    const usual = { seccompProfile: { type: 'RuntimeDefault' } };
    assert.equal(of({}, {}), 'unconfined');
    assert.equal(of(usual, {}), 'runtime-default');
    assert.equal(of(usual, { seccompProfile: { type: 'Unconfined' } }), 'unconfined');
    assert.equal(of({}, usual), 'runtime-default');
    assert.equal(of(usual, { privileged: true }), 'unconfined');
  });

  test('what the API server fills in', () => {
    const pod = {
      dnsPolicy: 'ClusterFirst',
      schedulerName: 'default-scheduler',
      securityContext: {},
      serviceAccount: 'default',
      enableServiceLinks: true,
      preemptionPolicy: 'PreemptLowerPriority',
      priority: 0,
      tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' }],
    };
    const container = {
      resources: {},
      terminationMessagePath: '/dev/termination-log',
      terminationMessagePolicy: 'File',
      imagePullPolicy: 'Always',
    };
    assert.deepEqual(plan(pod, container).problems, []);
  });

  test('who must not be root is refused in kubelet’s words', () => {
    const refused = (security: object) => plan({ securityContext: security }).main.security.rootRefused;
    assert.equal(refused({ runAsNonRoot: true }), 'container has runAsNonRoot and image will run as root');
    assert.equal(refused({ runAsNonRoot: true, runAsUser: 0 }), "container's runAsUser breaks non-root policy");
    assert.equal(refused({ runAsNonRoot: true, runAsUser: 1 }), undefined);
  });

  test('an init container that goes on may have probes and hooks', () => {
    const sidecar = { name: 's', image: 'debian', restartPolicy: 'Always', startupProbe: { exec: {} }, lifecycle: {} };
    const { plan: pod, problems } = plan({ initContainers: [sidecar] });
    assert.deepEqual(problems, []);
    assert.equal(pod.init[0]?.sidecar, true);
  });
});

test('every field that the schema of pods knows has a rule', () => {
  const names = (schema: unknown) => Object.keys((schema as { properties: object }).properties);
  const container = (podSpec.properties!['containers'] as { items: unknown }).items as {
    properties: Record<string, unknown>;
  };
  const mount = (container.properties['volumeMounts'] as { items: unknown }).items;
  for (const [schema, rules] of [
    [podSpec, podFields],
    [container, containerFields],
    [container.properties['readinessProbe'], probeFields],
    [mount, mountFields],
  ] as const) {
    assert.deepEqual(
      names(schema).filter((name) => !(name in rules)),
      [],
    );
  }
});
