/** What becomes of a lab's pods: hooks, probes, sidecars, restarts, limits, deadlines, and what is told of it. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Condition, type ContainerStatus, type PodStatus, podKind } from '../../common/kube/kinds/core.ts';
import { jobKind } from '../../common/kube/schema/workloads.ts';
import { until } from '../../common/testing/until.ts';
import { checkout } from '../../lab/config.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';
import { labName } from '../harness/lab-name.ts';
import { skipUnless } from '../harness/require.ts';
import { namespace } from './manifests.ts';
import { type ContainerStateFields, OneNode } from './one-node.ts';

const needed = skipUnless('root', 'program:ip', 'program:nft', 'program:nsenter');

/** Answers health checks by gRPC: SERVING. */
const health = `
const server = require('node:http2').createServer();
server.on('stream', (stream, headers) => {
  const known = headers[':path'] === '/grpc.health.v1.Health/Check';
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': known ? '0' : '12' }));
  stream.end(Buffer.of(0, 0, 0, 0, 2, 8, 1));
});
server.listen(50051);
`;

/** Writes down what it is asked for. */
const paths = `
const { appendFileSync } = require('node:fs');
require('node:http').createServer((request, response) => {
  appendFileSync('/shared/http', request.url + '\\n');
  response.end();
}).listen(8080);
`;

/** Of one container, which does nothing unless it says more. */
function podObject(name: string, spec: object, container: object) {
  const containers = [{ name: 'main', image: 'debian', command: ['sleep', 'infinity'], ...container }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: { terminationGracePeriodSeconds: 5, containers, ...spec },
  };
}

function pod(...parts: Parameters<typeof podObject>): string {
  return `---\n${JSON.stringify(podObject(...parts))}`;
}

const sh = (script: string) => ['sh', '-c', script];

const manifests = (dir: string) => {
  const shared = { name: 'shared', hostPath: { path: dir, type: 'Directory' } };
  const volumeMounts = [{ name: 'shared', mountPath: '/shared' }];
  const log = (word: string) => `echo ${word} >> /shared/`;
  return [
    pod(
      'hooks',
      { volumes: [shared] },
      {
        command: sh(`trap '${log('term')}hooks; exit 0' TERM; while :; do sleep 0.05; done`),
        volumeMounts,
        lifecycle: {
          postStart: { exec: { command: sh(`${log('started')}hooks`) } },
          preStop: { exec: { command: sh(`${log('stopping')}hooks; sleep 0.2`) } },
        },
      },
    ),
    pod('no-start', { restartPolicy: 'Never' }, { lifecycle: { postStart: { exec: { command: ['false'] } } } }),
    pod(
      'http',
      { volumes: [shared] },
      {
        image: 'aquifer/echo',
        command: [`${checkout}/scripts/pinned-node`, '-e', paths],
        volumeMounts,
        readinessProbe: { httpGet: { port: 8080, path: '/ready' } },
        lifecycle: { postStart: { sleep: { seconds: 0 } }, preStop: { httpGet: { port: 8080, path: '/bye' } } },
      },
    ),
    pod(
      'grpc',
      {},
      {
        image: 'aquifer/echo',
        command: [`${checkout}/scripts/pinned-node`, '-e', health],
        readinessProbe: { grpc: { port: 50_051 } },
        startupProbe: { tcpSocket: { port: 50_051 }, failureThreshold: 100 },
      },
    ),
    pod(
      'sick',
      { terminationGracePeriodSeconds: 30 },
      {
        command: sh('trap "" TERM; while :; do sleep 0.05; done'),
        livenessProbe: {
          exec: { command: sh('echo bad; exit 4') },
          periodSeconds: 1,
          failureThreshold: 1,
          terminationGracePeriodSeconds: 1,
        },
      },
    ),
    pod('slow', {}, { startupProbe: { exec: { command: ['false'] }, periodSeconds: 1, failureThreshold: 2 } }),
    pod('crashing', {}, { command: sh('echo why > /dev/termination-log; exit 3') }),
    pod(
      'telling',
      { restartPolicy: 'Never' },
      { command: sh('echo first; echo last; exit 5'), terminationMessagePolicy: 'FallbackToLogsOnError' },
    ),
    pod('failing', { restartPolicy: 'OnFailure' }, { command: sh('exit 1') }),
    pod('done', { restartPolicy: 'OnFailure' }, { command: ['true'] }),
    pod(
      'sidecars',
      {
        restartPolicy: 'Never',
        volumes: [shared],
        initContainers: [
          {
            name: 'first',
            image: 'debian',
            restartPolicy: 'Always',
            command: sh(
              `${log('first')}sidecars; trap '${log('first-ends')}sidecars; exit' TERM; while :; do sleep 0.05; done`,
            ),
            startupProbe: { exec: { command: ['grep', '-q', 'first', '/shared/sidecars'] } },
            volumeMounts,
          },
          { name: 'init', image: 'debian', command: sh(`${log('init')}sidecars`), volumeMounts },
          {
            name: 'second',
            image: 'debian',
            restartPolicy: 'Always',
            command: sh(
              `${log('second')}sidecars; trap '${log('second-ends')}sidecars; exit' TERM; while :; do sleep 0.05; done`,
            ),
            startupProbe: { exec: { command: ['grep', '-q', 'second', '/shared/sidecars'] } },
            volumeMounts,
          },
        ],
      },
      { command: sh(`${log('main')}sidecars`), volumeMounts },
    ),
    pod(
      'hungry',
      { restartPolicy: 'Never' },
      {
        command: ['tail', '/dev/zero'],
        resources: { limits: { memory: '24Mi', cpu: '500m' } },
      },
    ),
    pod(
      'stubborn',
      { terminationGracePeriodSeconds: 600 },
      { command: sh('trap "" TERM; while :; do sleep 0.05; done') },
    ),
    pod('late', { activeDeadlineSeconds: 1 }, {}),
    pod('gated', { readinessGates: [{ conditionType: 'example.org/open' }] }, {}),
  ].join('\n');
};

type JobStatus = {
  readonly succeeded?: number;
  readonly failed?: number;
  readonly conditions?: readonly Condition[];
};

describe('what becomes of pods', { skip: needed }, () => {
  let node: OneNode;
  let dir: string;
  const said = async (file: string) => (await readFile(join(dir, file), 'utf8').catch(() => '')).trim().split('\n');
  const ended = (name: string) =>
    until(`the end of ${name}`, async () => (await node.state(name)).terminated !== undefined);
  const remove = async (name: string) => {
    await node.lab.delete(pod(name, {}, {}));
    const gone = async () => (await node.lab.kube.get(podKind, { namespace, name })) === undefined;
    await until(`the end of ${name}`, gone);
  };

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'aquifer-life-'));
    node = await OneNode.up(labName('podlife'), manifests(dir));
  });
  after(async () => {
    await node?.down();
    await rm(dir, { recursive: true });
  });

  test('hooks run after the start and before the end, within its grace', async () => {
    await node.ready('hooks', 'http');
    assert.deepEqual(await said('hooks'), ['started']);
    await remove('hooks');
    await until('its last words', async () => (await said('hooks')).length >= 3);
    assert.deepEqual(await said('hooks'), ['started', 'stopping', 'term']);
    assert.deepEqual([...new Set(await said('http'))], ['/ready']);
    await remove('http');
    await until('the last call', async () => (await said('http')).includes('/bye'));
    await node.event('hooks', 'Killing', /^Stopping container main$/);
  });

  test('a container whose postStart fails is ended', async () => {
    await ended('no-start');
    await node.event('no-start', 'FailedPostStartHook', /^PostStartHook failed: false: exit code 1$/);
    assert.equal(await node.phase('no-start'), 'Failed');
  });

  test('a pod is ready by gRPC’s health protocol', async () => {
    await node.ready('grpc');
  });

  test('a container that fails its liveness or startup probe is ended with a grace of its own, and starts again', async () => {
    const restarts = async (name: string) => (await node.pod(name)).status?.containerStatuses?.[0]?.restartCount ?? 0;
    await until('restarts', async () => (await restarts('sick')) > 0 && (await restarts('slow')) > 0);
    await node.event('sick', 'Unhealthy', /^Liveness probe failed: sh -c echo bad; exit 4: exit code 4: bad$/);
    await node.event('sick', 'Killing', /^Container main failed liveness probe, will be restarted$/);
    await node.event('slow', 'Killing', /^Container main failed startup probe, will be restarted$/);
    const last = (await node.pod('sick')).status?.containerStatuses?.[0]?.lastState as {
      terminated: { exitCode: number };
    };
    assert.equal(last.terminated.exitCode, 137);
  });

  test('a container that ends again and again says why, and starts later each time', async () => {
    const waiting = (status: PodStatus) =>
      ((status.containerStatuses?.[0]?.state ?? {}) as ContainerStateFields).waiting;
    const status = await until('the back-off', async () => {
      const now = (await node.pod('crashing')).status;
      return now !== undefined && waiting(now)?.reason === 'CrashLoopBackOff' && now;
    });
    const [container] = status.containerStatuses ?? [];
    // A busy machine may look only when it waits for longer.
    const delay = ['10s', '20s', '40s', '1m20s'][container!.restartCount - 1];
    const { message = '' } = waiting(status)!;
    assert.ok(message.startsWith(`back-off ${delay} restarting failed container=main pod=crashing_t(`), message);
    const { terminated } = (container?.lastState ?? {}) as ContainerStateFields;
    assert.deepEqual([terminated?.message, terminated?.reason, terminated?.exitCode], ['why\n', 'Error', 3]);
    assert.equal(status.phase, 'Running');
    assert.equal(status.conditions?.find((c) => c.type === 'ContainersReady')?.reason, 'ContainersNotReady');
    await node.event('crashing', 'BackOff', /^Back-off restarting failed container=main pod=crashing_t\(/);
    for (const reason of ['Pulled', 'Created', 'Started']) await node.event('crashing', reason, /./);
  });

  test('the end of a log may stand for a message, and the restart policy decides what an end means', async () => {
    await until('its end', async () => (await node.phase('telling')) === 'Failed');
    assert.equal((await node.state('telling')).terminated?.message, 'first\nlast\n');
    await until('success', async () => (await node.phase('done')) === 'Succeeded');
    assert.equal((await node.condition('done', 'Ready'))?.reason, 'PodCompleted');
    await until('another try', async () => (await node.state('failing')).waiting?.reason === 'CrashLoopBackOff');
    assert.equal(await node.phase('failing'), 'Running');
  });

  test('sidecars start in order, go on beside the pod, and end after it in reverse', async () => {
    await until('its end', async () => (await node.phase('sidecars')) === 'Succeeded');
    assert.deepEqual(await said('sidecars'), ['first', 'init', 'second', 'main', 'second-ends', 'first-ends']);
  });

  test('who takes more memory than its limit is ended by the kernel', {
    skip: skipUnless('memory-cgroup'),
  }, async () => {
    await ended('hungry');
    const { terminated } = await node.state('hungry');
    assert.deepEqual([terminated?.reason, terminated?.exitCode], ['OOMKilled', 137]);
    assert.equal((await node.pod('hungry')).status?.['qosClass'], 'Guaranteed');
  });

  test('a pod that lives too long fails', async () => {
    await until('its end', async () => (await node.phase('late')) === 'Failed');
    assert.equal((await node.pod('late')).status?.reason, 'DeadlineExceeded');
  });

  test('a pod is ready when others say so too, where it asks for that', async () => {
    await until('its containers', async () => (await node.condition('gated', 'ContainersReady'))?.status === 'True');
    assert.equal((await node.condition('gated', 'Ready'))?.reason, 'ReadinessGatesNotReady');
    const { conditions } = (await node.pod('gated')).status!;
    const status = { conditions: [...conditions!, { type: 'example.org/open', status: 'True' }] };
    await node.lab.kube.patch(podKind, { namespace, name: 'gated' }, { status }, { subresource: 'status' });
    await node.ready('gated');
  });

  test('a pod that is deleted again with less time gets less time', async () => {
    await node.ready('stubborn');
    const key = { namespace, name: 'stubborn' };
    await node.lab.kube.delete(podKind, key);
    await node.event('stubborn', 'Killing', /^Stopping container main$/);
    assert.notEqual((await node.pod('stubborn')).metadata.deletionTimestamp, undefined);
    await node.lab.kube.delete(podKind, key, { gracePeriodSeconds: 1 });
    await until('its end', async () => (await node.lab.kube.get(podKind, key)) === undefined);
  });

  test('a container starts again when its image is changed, but not with an image that nobody has', async () => {
    const set = async (image: string) => {
      const { spec } = await node.pod('gated');
      const containers = [{ ...spec.containers[0], image }];
      await node.lab.kube.patch(podKind, { namespace, name: 'gated' }, { spec: { containers } });
    };
    await set('no/such');
    await node.event(
      'gated',
      'Failed',
      /^Error: spec\.containers\[0\]\.image: image "no\/such" is not in the lab's table/,
    );
    await set('nginx');
    await node.event('gated', 'Killing', /^Container main definition changed, will be restarted$/);
    await until('nginx', async () => (await node.pod('gated')).status?.containerStatuses?.[0]?.image === 'nginx');
    await until('its start', async () => (await node.state('gated')).running !== undefined);
  });

  test('kubectl debug looks into a pod that runs', { skip: skipWithoutKubectl() }, async () => {
    const kubectl = new Kubectl(join(node.lab.dir, 'kubeconfig'));
    const debug = ['-n', namespace, 'debug', 'grpc', '--image=debian', '-c', 'debugger', '--target=main', '--'];
    const { code, stderr } = await kubectl.run([...debug, 'sh', '-c', 'hostname; exit 4']);
    assert.equal(code, 0, stderr);
    const state = async () => {
      const all = (await node.pod('grpc')).status?.['ephemeralContainerStatuses'] as readonly ContainerStatus[];
      return (all?.[0]?.state ?? {}) as ContainerStateFields;
    };
    await until('its end', async () => (await state()).terminated?.exitCode === 4);
    assert.equal((await kubectl.run(['-n', namespace, 'logs', 'grpc', '-c', 'debugger'])).stdout, 'grpc\n');
    assert.equal((await node.condition('grpc', 'Ready'))?.status, 'True');
  });

  test('a Job runs its pods to success, and gives up on those that fail', async () => {
    const template = (script: string) => ({
      spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'debian', command: sh(script) }] },
    });
    const job = (name: string, spec: object) =>
      node.lab.kube.create(jobKind, { apiVersion: 'batch/v1', kind: 'Job', metadata: { name, namespace }, spec });
    await job('work', { completions: 3, parallelism: 2, template: template('true') });
    await job('vain', { backoffLimit: 0, template: template('exit 9') });
    const status = async (name: string) =>
      (await node.lab.kube.get(jobKind, { namespace, name }))?.['status'] as JobStatus;
    const has = (s: JobStatus, type: string) => s?.conditions?.some((c) => c.type === type && c.status === 'True');
    await until('success', async () => has(await status('work'), 'Complete'));
    assert.equal((await status('work')).succeeded, 3);
    await until('failure', async () => has(await status('vain'), 'Failed'));
    assert.equal((await status('vain')).failed, 1);
  });

  test('what a node cannot do is told by name, and the pod is not run without it', async () => {
    // Created beside `lab apply`, which refuses it first.
    const container = { volumeDevices: [{ name: 'x', devicePath: '/dev/x' }] };
    await node.lab.kube.create(podKind, podObject('asking', {}, container));
    await until(
      'the refusal',
      async () => (await node.state('asking')).waiting?.reason === 'CreateContainerConfigError',
    );
    assert.match(
      (await node.state('asking')).waiting?.message ?? '',
      /^spec\.containers\[0\]\.volumeDevices: a lab does not/,
    );
    await node.event(
      'asking',
      'Failed',
      /^Error: spec\.containers\[0\]\.volumeDevices: a lab does not honour this field/,
    );
  });
});
