/** The kubelets of a lab as an API server sees them: logs, exec, attach and connections to ports of real pods. */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, test } from 'node:test';
import type { Fd } from '../../common/core/brand.ts';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { nodeKind, podKind } from '../../common/kube/kinds/core.ts';
import type { LogOptions, ProcessOptions } from '../../common/kube/kubelet/requests.ts';
import { until } from '../../common/testing/until.ts';
import { httpKubelet } from '../../istiod/apiserver/kubelet/http-kubelet.ts';
import type { Kubelet } from '../../istiod/apiserver/kubelet/kubelet.ts';
import type { ApiObject } from '../../istiod/apiserver/objects.ts';
import { type Credentials, loadCredentials } from '../../istiod/apiserver/pki/credentials.ts';
import { checkout } from '../../lab/config.ts';
import { Lab, type LabApi } from '../../lab/index.ts';
import { labPaths, netnsName, netnsPath } from '../../lab/names.ts';
import { closeFd, openNetns, socketsInNetns } from '../../native/index.ts';
import { labName } from '../harness/lab-name.ts';
import { skipUnless } from '../harness/require.ts';
import { namespace } from './manifests.ts';

const needed = skipUnless('root', 'program:ip', 'program:nft', 'program:nsenter');
const name = labName('kubelet');
const manifests = `
apiVersion: v1
kind: Namespace
metadata: { name: ${namespace} }
---
apiVersion: v1
kind: Pod
metadata: { name: talker, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 1
  securityContext: { runAsUser: 1234 }
  containers:
    - name: main
      image: debian
      command: [sh, -c, 'echo began; echo trouble > /dev/stderr; mkfifo /tmp/in; while :; do cat /tmp/in; done']
      env: [{ name: MINE, value: set }]
      volumeMounts: [{ name: tmp, mountPath: /tmp }]
  volumes: [{ name: tmp, emptyDir: {} }]
---
apiVersion: v1
kind: Pod
metadata: { name: server, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: echo
      image: aquifer/echo
      readinessProbe: { tcpSocket: { port: 8080 } }
      securityContext: { capabilities: { drop: [ALL], add: [NET_BIND_SERVICE, CAP_CHOWN] } }
---
apiVersion: v1
kind: Pod
metadata: { name: crashing, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: main, image: debian, command: [sh, -c, 'echo run; exit 3'] }]
---
apiVersion: v1
kind: Pod
metadata: { name: asker, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  securityContext: { runAsUser: 1234 }
  containers:
    - name: main
      image: debian
      stdin: true
      stdinOnce: true
      command: [sh, -c, 'while read word; do echo got $word; done < /dev/stdin; echo over']
---
apiVersion: v1
kind: Pod
metadata: { name: terminal, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: main, image: debian, stdin: true, tty: true, command: [bash, --norc] }]
---
apiVersion: v1
kind: Pod
metadata: { name: filtered, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 1
  securityContext: { seccompProfile: { type: RuntimeDefault } }
  containers:
    - name: main
      image: debian
      command: [sh, -c, 'exec 2>&1; grep ^Seccomp: /proc/self/status; setarch -R true; echo done; sleep infinity']
      securityContext: { runAsUser: 1234, capabilities: { drop: [ALL] } }
    - name: unconfined
      image: debian
      command: [sh, -c, 'exec 2>&1; grep ^Seccomp: /proc/self/status; setarch -R echo changed; echo done; sleep infinity']
      securityContext: { seccompProfile: { type: Unconfined } }
---
apiVersion: v1
kind: Pod
metadata: { name: sixth, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: aquifer/echo
      command:
        - ${checkout}/scripts/pinned-node
        - -e
        - "require('node:net').createServer((s) => s.end('six')).listen({ host: '::', port: 6666, ipv6Only: true })"
      # It reads what it is sent: to close before would reset the connection, which ends the server.
      readinessProbe: { exec: { command: [bash, -c, 'exec 3<>/dev/tcp/::1/6666; grep -q six <&3'] } }
`;

const logOptions: LogOptions = {
  follow: false,
  previous: false,
  timestamps: false,
  tail: undefined,
  limit: undefined,
  since: undefined,
  stream: 'All',
};
const output: ProcessOptions = { stdin: false, stdout: true, stderr: true, tty: false };

describe('kubelets of a lab', { skip: needed }, () => {
  let lab: LabApi;
  let credentials: Credentials;
  const relays: Server[] = [];
  const never = new AbortController().signal;

  before(async () => {
    lab = await Lab.up({ name, nodes: 1, mesh: false, manifests: [manifests] });
    // Its server's own, and another certificate of its CA.
    const dataDir = labPaths(name).api;
    credentials = await loadCredentials({ dataDir, addresses: [], clock: systemClock, log: silentLogger });
    await until('the pods', async () => (await Promise.all(['talker', 'server'].map(ready))).every((r) => r), 20_000);
  });
  after(async () => {
    for (const relay of relays) relay.close();
    await Lab.down(name);
  });

  async function ready(pod: string): Promise<boolean> {
    const object = await lab.kube.get(podKind, { namespace, name: pod });
    return object?.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true;
  }

  async function ref(pod: string) {
    const object = await lab.kube.get(podKind, { namespace, name: pod });
    return { namespace, name: pod, uid: object!.metadata.uid };
  }

  /** The node's kubelet through a door in the lab's control-plane host, where its API server will be. */
  async function kubelet(): Promise<Kubelet> {
    const node = await lab.kube.get(nodeKind, { name: 'node-1' });
    const object = structuredClone(node) as unknown as ApiObject & {
      status: { addresses: unknown; daemonEndpoints: unknown };
    };
    const { daemonEndpoints } = object.status as { daemonEndpoints: { kubeletEndpoint: { Port: number } } };
    const relay = createServer({ allowHalfOpen: true }, (socket) => {
      const netns = openNetns(netnsPath(netnsName(name, 'cp')));
      const [fd] = socketsInNetns(netns, { family: 4, type: 'stream' }, 1) as [Fd];
      closeFd(netns);
      const far = new Socket({ fd, allowHalfOpen: true });
      far.connect({ host: '172.18.0.11', port: daemonEndpoints.kubeletEndpoint.Port });
      for (const [from, to] of [
        [socket, far],
        [far, socket],
      ] as const) {
        pipeline(from, to).catch(() => undefined);
      }
    });
    relays.push(relay);
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    object.status.addresses = [{ type: 'InternalIP', address: '127.0.0.1' }];
    object.status.daemonEndpoints = { kubeletEndpoint: { Port: (relay.address() as AddressInfo).port } };
    return httpKubelet(object, credentials);
  }

  async function run(command: readonly string[], options: ProcessOptions, stdin = '') {
    const node = await kubelet();
    const { channels, close } = await node.run(
      { kind: 'exec', pod: await ref('talker'), container: 'main', command, options },
      never,
    );
    channels.stdin.end(stdin);
    const [stdout, stderr, status] = await Promise.all(
      [channels.stdout, channels.stderr, channels.status].map((c) => text(c)),
    );
    close();
    return { stdout, stderr, status: JSON.parse(status!) as { status: string; details?: object } };
  }

  test('exec runs as the container: its user, variables, files and exit code', async () => {
    const { stdout, stderr, status } = await run(
      ['sh', '-c', 'id -u; echo $MINE; hostname; cat; echo e > /dev/stderr; exit 5'],
      { ...output, stdin: true },
      'in\n',
    );
    assert.equal(stdout, '1234\nset\ntalker\nin\n');
    assert.equal(stderr, 'e\n');
    assert.deepEqual(status.details, { causes: [{ reason: 'ExitCode', message: '5' }] });
  });

  test('exec with a terminal has one, also for a user that is not root', async () => {
    const { stdout } = await run(['sh', '-c', 'test -t 0 && tty && : < $(tty) && echo mine'], {
      stdin: true,
      stdout: true,
      stderr: false,
      tty: true,
    });
    assert.match(stdout!, /^\/dev\/pts\/\d+\r\nmine\r\n/);
  });

  test('logs are followed while attach sees the same', async () => {
    const node = await kubelet();
    const pod = await ref('talker');
    const over = new AbortController();
    const log = await node.logs(
      { kind: 'logs', pod, container: 'main', options: { ...logOptions, follow: true } },
      over.signal,
    );
    let seen = '';
    const reading = (async () => {
      for await (const chunk of log) seen += String(chunk);
    })().catch(() => undefined);
    await until('what came before', () => seen === 'began\ntrouble\n');
    const attached = await node.run({ kind: 'attach', pod, container: 'main', options: output }, over.signal);
    let shown = '';
    attached.channels.stdout.on('data', (chunk) => {
      shown += String(chunk);
    });
    await until('the new line, to both', async () => {
      await run(['sh', '-c', 'echo later > /tmp/in'], output);
      return seen.endsWith('later\n') && shown.endsWith('later\n');
    });
    over.abort();
    await reading;
    assert.equal(
      await text(
        await node.logs({ kind: 'logs', pod, container: 'main', options: { ...logOptions, stream: 'Stderr' } }, never),
      ),
      'trouble\n',
    );
  });

  /** What an attach shows, and what it is given. */
  async function attach(pod: string, options: ProcessOptions) {
    const node = await kubelet();
    const request = { kind: 'attach', pod: await ref(pod), container: 'main', options } as const;
    const { channels, close } = await node.run(request, never);
    const seen = { text: '' };
    channels.stdout.on('data', (chunk) => {
      seen.text += String(chunk);
    });
    return { channels, close, seen };
  }

  test('attach gives a container its input, which ends with the first who gave it', async () => {
    const { channels, close, seen } = await attach('asker', { ...output, stdin: true });
    channels.stdin.write('one\n');
    await until('the answer', () => seen.text === 'got one\n');
    channels.stdin.end('two\n');
    await until('the end', () => seen.text === 'got one\ngot two\nover\n');
    assert.deepEqual(JSON.parse(await text(channels.status)), { metadata: {}, status: 'Success' });
    close();
    await until('its success', async () => {
      const object = await lab.kube.get(podKind, { namespace, name: 'asker' });
      return object?.status?.phase === 'Succeeded';
    });
  });

  test("attach to a container's terminal, of the size that the user has; one after another", async () => {
    const options = { stdin: true, stdout: true, stderr: false, tty: true };
    const first = await attach('terminal', options);
    first.channels.resize.write('{"Width":91,"Height":17}');
    await until('the size', async () => {
      first.channels.stdin.write('stty size\n');
      return first.seen.text.includes('17 91');
    });
    first.close();
    const second = await attach('terminal', options);
    second.channels.stdin.write('echo again $((40 + 2)); tty\n');
    await until('the same shell', () => /again 42\r\n\/dev\/pts\/\d+/.test(second.seen.text));
    second.close();
  });

  test('attach with input to a container that has none is refused', async () => {
    await assert.rejects(attach('talker', { ...output, stdin: true }), /the container has no stdin/);
    await assert.rejects(attach('asker', { ...output, stderr: false, tty: true }), /does not run|no terminal/);
  });

  test('logs: the last lines, those since a time, the first bytes, with times', async () => {
    const node = await kubelet();
    const pod = await ref('talker');
    const read = async (options: Partial<LogOptions>) =>
      text(await node.logs({ kind: 'logs', pod, container: 'main', options: { ...logOptions, ...options } }, never));
    const whole = await read({ timestamps: true });
    const [first, second] = whole.split('\n');
    assert.match(first!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z began$/);
    assert.match(second!, / trouble$/);
    assert.equal(await read({ limit: 4 }), 'bega');
    const lines = (await read({})).split('\n');
    assert.equal(await read({ tail: 1 }), `${lines.at(-2)}\n`);
    assert.equal(await read({ tail: 0 }), '');
    assert.equal(await read({ since: Date.now() + 60_000 }), '');
    assert.equal(await read({ since: Date.parse(first!.split(' ')[0]!) }), await read({}));
  });

  test('a port where a pod listens by IPv6 alone', async () => {
    await until('the pod', () => ready('sixth'));
    const node = await kubelet();
    const { channels, close } = await node.dial({ kind: 'dial', pod: await ref('sixth'), port: 6666 }, never);
    assert.equal(await text(channels.stdout), 'six');
    close();
  });

  test('logs of a run before, and of one that was not', async () => {
    const node = await kubelet();
    const restarts = async () =>
      (await lab.kube.get(podKind, { namespace, name: 'crashing' }))?.status?.containerStatuses?.[0]?.restartCount ?? 0;
    await until('a restart', async () => (await restarts()) >= 1);
    const request = { kind: 'logs', container: 'main', options: { ...logOptions, previous: true } } as const;
    assert.equal(await text(await node.logs({ ...request, pod: await ref('crashing') }, never)), 'run\n');
    await assert.rejects(
      node.logs({ ...request, pod: await ref('talker') }, never),
      /previous terminated container "main" in pod "talker" not found/,
    );
    const gone = { namespace, name: 'talker', uid: 'another' };
    await assert.rejects(node.logs({ ...request, pod: gone }, never), /pod talker does not run on this node/);
  });

  test('a container has the capabilities that its manifest leaves it', async () => {
    const { stdout } = await lab.exec({ namespace, name: 'server' }, [
      'grep',
      '-E',
      'CapBnd|CapEff',
      '/proc/self/status',
    ]);
    // CHOWN is bit 0, NET_BIND_SERVICE bit 10 (linux/capability.h).
    assert.equal(stdout.replaceAll(/\s+/g, ' ').trim(), 'CapEff: 0000000000000401 CapBnd: 0000000000000401');
  });

  test("RuntimeDefault refuses what containerd's profile refuses; a container may be without", async () => {
    const node = await kubelet();
    const pod = await ref('filtered');
    const said = (container: string) =>
      until('the last line', async () => {
        const log = await text(await node.logs({ kind: 'logs', pod, container, options: logOptions }, never));
        return log.endsWith('done\n') && log;
      });
    assert.match(await said('main'), /^Seccomp:\t2\nsetarch: .*Operation not permitted\ndone\n$/);
    assert.equal(await said('unconfined'), 'Seccomp:\t0\nchanged\ndone\n');
  });

  test('an image that no lab has is told as kubelet does', async () => {
    await lab.kube.create(podKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'imageless', namespace },
      spec: { containers: [{ name: 'main', image: 'no/such:image' }] },
    });
    const waitingFor = async () => {
      const pod = await lab.kube.get(podKind, { namespace, name: 'imageless' });
      const state = pod?.status?.containerStatuses?.[0]?.state as { waiting?: { reason?: string } } | undefined;
      return state?.waiting?.reason;
    };
    await until('the reason', async () => (await waitingFor()) === 'ErrImagePull');
    await until('that it will be tried again', async () => (await waitingFor()) === 'ImagePullBackOff');
  });

  test("a port of the pod's loopback, and one where nobody listens", async () => {
    const node = await kubelet();
    const pod = await ref('server');
    const { channels, close } = await node.dial({ kind: 'dial', pod, port: 8080 }, never);
    channels.stdin.end('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    assert.match(await text(channels.stdout), /^HTTP\/1\.1 200 OK/);
    close();
    await assert.rejects(node.dial({ kind: 'dial', pod, port: 1 }, never), /ECONNREFUSED/);
  });
});
