/** What containers of a lab's pods find: volumes of all kinds, users and groups, names, variables. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { configMapKind, podKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { labName } from '../harness/lab-name.ts';
import { skipUnless } from '../harness/require.ts';
import { namespace } from './manifests.ts';
import { OneNode } from './one-node.ts';

const needed = skipUnless('root', 'program:ip', 'program:nft', 'program:nsenter');

const manifests = (dir: string) => `---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: ${namespace} }
data: { greeting: hello, color: blue }
---
apiVersion: v1
kind: Secret
metadata: { name: keys, namespace: ${namespace} }
stringData: { password: hunter2 }
---
apiVersion: v1
kind: Pod
metadata: { name: files, namespace: ${namespace}, labels: { tier: front } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: debian
      command: [sleep, infinity]
      resources: { limits: { memory: 64Mi, cpu: 1500m }, requests: { cpu: 250m } }
      env:
        - { name: NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
        - { name: CPUS, valueFrom: { resourceFieldRef: { resource: limits.cpu } } }
        - { name: ASKED, valueFrom: { resourceFieldRef: { resource: requests.cpu, divisor: 1m } } }
        - { name: MEMORY, valueFrom: { resourceFieldRef: { resource: limits.memory, divisor: 1Mi } } }
      volumeMounts:
        - { name: settings, mountPath: /settings }
        - { name: settings, mountPath: /one, subPath: greeting }
        - { name: chosen, mountPath: /chosen }
        - { name: none, mountPath: /none }
        - { name: facts, mountPath: /facts }
        - { name: scratch, mountPath: /own, subPathExpr: pods/$(NAME) }
        - { name: scratch, mountPath: /scratch }
        - { name: small, mountPath: /small }
  volumes:
    - { name: settings, configMap: { name: settings } }
    - name: chosen
      secret: { secretName: keys, defaultMode: 0400, items: [{ key: password, path: deep/er, mode: 0440 }] }
    - { name: none, configMap: { name: missing, optional: true } }
    - name: facts
      downwardAPI:
        items:
          - { path: labels, fieldRef: { fieldPath: metadata.labels } }
          - { path: memory, resourceFieldRef: { containerName: main, resource: limits.memory } }
    - { name: scratch, emptyDir: {} }
    - { name: small, emptyDir: { sizeLimit: 1Mi } }
---
apiVersion: v1
kind: Pod
metadata: { name: host, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: debian
      command: [sleep, infinity]
      volumeMounts:
        - { name: folder, mountPath: /folder }
        - { name: made, mountPath: /made }
        - { name: file, mountPath: /file, readOnly: true }
        - { name: new, mountPath: /new }
        - { name: socket, mountPath: /socket }
        - { name: any, mountPath: /any }
  volumes:
    - { name: folder, hostPath: { path: ${dir}/folder, type: Directory } }
    - { name: made, hostPath: { path: ${dir}/made, type: DirectoryOrCreate } }
    - { name: file, hostPath: { path: ${dir}/folder/file, type: File } }
    - { name: new, hostPath: { path: ${dir}/new, type: FileOrCreate } }
    - { name: socket, hostPath: { path: ${dir}/socket, type: Socket } }
    - { name: any, hostPath: { path: ${dir}/any } }
---
apiVersion: v1
kind: Pod
metadata: { name: wrong-host, namespace: ${namespace} }
spec:
  containers: [{ name: main, image: debian, command: ["true"], volumeMounts: [{ name: v, mountPath: /v }] }]
  volumes: [{ name: v, hostPath: { path: ${dir}/folder, type: File } }]
---
apiVersion: v1
kind: Pod
metadata: { name: escaping, namespace: ${namespace} }
spec:
  initContainers:
    - { name: first, image: debian, command: [ln, -s, /, /v/link], volumeMounts: [{ name: v, mountPath: /v }] }
  containers:
    - { name: main, image: debian, command: ["true"], volumeMounts: [{ name: v, mountPath: /v, subPath: link/etc }] }
  volumes: [{ name: v, emptyDir: {} }]
---
apiVersion: v1
kind: Pod
metadata: { name: blocked, namespace: ${namespace} }
spec:
  containers: [{ name: main, image: debian, command: ["true"], volumeMounts: [{ name: v, mountPath: /v, subPath: x }] }]
  volumes: [{ name: v, hostPath: { path: ${dir}/folder/file } }]
---
apiVersion: v1
kind: Pod
metadata: { name: waits, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - { name: main, image: debian, command: [sleep, infinity], volumeMounts: [{ name: v, mountPath: /v }] }
  volumes: [{ name: v, configMap: { name: later } }]
---
apiVersion: v1
kind: Pod
metadata: { name: groups, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 0
  securityContext: { runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000, supplementalGroups: [4000], runAsNonRoot: true }
  containers:
    - name: main
      image: debian
      command: [sleep, infinity]
      securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false }
      volumeMounts: [{ name: scratch, mountPath: /scratch }, { name: settings, mountPath: /settings }]
  volumes: [{ name: scratch, emptyDir: {} }, { name: settings, configMap: { name: settings, defaultMode: 0600 } }]
---
apiVersion: v1
kind: Pod
metadata: { name: rooted, namespace: ${namespace} }
spec:
  containers: [{ name: main, image: debian, command: ["true"], securityContext: { runAsNonRoot: true } }]
---
apiVersion: v1
kind: Pod
metadata: { name: named, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 0
  hostname: first
  subdomain: peers
  hostAliases: [{ ip: 192.0.2.7, hostnames: [foo, bar] }]
  dnsConfig: { nameservers: [192.0.2.53], searches: [example.org], options: [{ name: ndots, value: "2" }, { name: edns0 }] }
  securityContext: { sysctls: [{ name: net.ipv4.ip_unprivileged_port_start, value: "80" }] }
  containers: [{ name: main, image: debian, command: [sleep, infinity] }]
---
apiVersion: v1
kind: Pod
metadata: { name: alone, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 0
  dnsPolicy: None
  dnsConfig: { nameservers: [192.0.2.53] }
  automountServiceAccountToken: false
  containers: [{ name: main, image: debian, command: [sleep, infinity] }]
---
apiVersion: v1
kind: Service
metadata: { name: web-ui, namespace: ${namespace} }
spec: { selector: { app: web }, clusterIP: 10.96.7.7, ports: [{ port: 80 }] }
`;

describe('what containers find', { skip: needed }, () => {
  let node: OneNode;
  let dir: string;
  const socket = createServer();

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'aquifer-host-'));
    await mkdir(join(dir, 'folder'));
    await writeFile(join(dir, 'folder/file'), 'of the host');
    await new Promise<void>((resolve) => socket.listen(join(dir, 'socket'), resolve));
    node = await OneNode.up(labName('podfile'), manifests(dir));
    await node.ready('files', 'host', 'groups', 'named', 'alone');
  });
  after(async () => {
    socket.close();
    await node?.down();
    await rm(dir, { recursive: true });
  });

  test('files of ConfigMaps and Secrets, all or some, with their permissions, and none of what may be missing', async () => {
    assert.equal(await node.sh('files', 'cat /settings/greeting /settings/color /one'), 'hellobluehello');
    assert.equal(await node.sh('files', 'cat /chosen/deep/er; stat -L -c %a /chosen/deep/er'), 'hunter2440');
    assert.equal(
      await node.sh('files', 'ls /chosen /none; stat -L -c %a /settings/color'),
      '/chosen:\ndeep\n\n/none:\n644',
    );
  });

  test('a change comes to all files at once, by one link, but not to a subPath', async () => {
    const first = await node.sh('files', 'readlink /settings/..data; readlink /settings/greeting');
    assert.match(first, /^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+\n\.\.data\/greeting$/);
    const key = { namespace, name: 'settings' };
    await node.lab.kube.patch(configMapKind, key, { data: { greeting: 'goodbye', color: null, new: 'n' } });
    await until('the change', async () => (await node.sh('files', 'cat /settings/greeting')) === 'goodbye');
    assert.equal(await node.sh('files', 'ls /settings; cat /one'), 'greeting\nnew\nhello');
    assert.notEqual(await node.sh('files', 'readlink /settings/..data'), first.split('\n')[0]);
    assert.equal(await node.sh('files', 'ls -A /settings | wc -l'), '4');
  });

  test('labels and resources are told in files and variables', async () => {
    assert.equal(await node.sh('files', 'echo $CPUS $ASKED $MEMORY; cat /facts/memory'), '2 250 64\n67108864');
    assert.equal(await node.sh('files', 'cat /facts/labels'), 'tier="front"');
    const key = { namespace, name: 'files' };
    await node.lab.kube.patch(podKind, key, { metadata: { labels: { tier: 'back' } } });
    await until('the label', async () => (await node.sh('files', 'cat /facts/labels')) === 'tier="back"');
  });

  test('a part of a volume by a variable, and a limit to what an emptyDir holds', async () => {
    await node.sh('files', 'echo x > /own/file; test -e /scratch/pods/files/file');
    const { code, stderr } = await node.lab.exec({ namespace, name: 'files' }, [
      ...['dd', 'if=/dev/zero', 'of=/small/file', 'bs=64k', 'count=64'],
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /No space left/);
  });

  test('Services are variables', async () => {
    assert.equal(await node.sh('named', 'echo $WEB_UI_SERVICE_HOST $WEB_UI_PORT'), '10.96.7.7 tcp://10.96.7.7:80');
  });

  test('paths of the machine, of each kind, and what is not there as it should be', async () => {
    assert.equal(await node.sh('host', 'cat /folder/file /file; test -S /socket; ls /any'), 'of the hostof the host');
    await node.sh('host', 'echo out > /made/file; echo out > /new');
    assert.equal(await readFile(join(dir, 'made/file'), 'utf8'), 'out\n');
    assert.equal(await readFile(join(dir, 'new'), 'utf8'), 'out\n');
    assert.equal((await node.lab.exec({ namespace, name: 'host' }, ['sh', '-c', 'echo x > /file'])).code, 2);
    const refusal = /^MountVolume\.SetUp failed for volume "v" : hostPath type check failed: .*\/folder is not a file$/;
    await node.event('wrong-host', 'FailedMount', refusal);
    assert.equal((await node.state('wrong-host')).waiting?.reason, 'ContainerCreating');
  });

  test('a part of a volume does not lead out of it', async () => {
    await node.event('escaping', 'Failed', /^Error: failed to prepare subPath: "link\/etc" leads out of the volume$/);
    // What the machine says is told too.
    await node.event('blocked', 'Failed', /^Error: ENOTDIR: not a directory/);
    assert.equal((await node.state('blocked')).waiting?.reason, 'CreateContainerError');
  });

  test('a pod reaches the API by what it finds: address, token and certificate', async () => {
    const dir = '/var/run/secrets/kubernetes.io/serviceaccount';
    const curl = `curl -sS --cacert ${dir}/ca.crt -H "Authorization: Bearer $(cat ${dir}/token)"`;
    const url =
      'https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/apis/authentication.k8s.io/v1/selfsubjectreviews';
    const review = `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`;
    const answer = await node.sh('named', `${curl} -H 'Content-Type: application/json' -d '${review}' ${url}`);
    const { status } = JSON.parse(answer) as { status: { userInfo: { username: string } } };
    assert.equal(status.userInfo.username, `system:serviceaccount:${namespace}:default`);
  });

  test('a pod waits for a ConfigMap that it cannot do without', async () => {
    await node.event(
      'waits',
      'FailedMount',
      /^MountVolume\.SetUp failed for volume "v" : configmap "later" not found$/,
    );
    assert.equal(await node.phase('waits'), 'Pending');
    const data = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name: 'later' }, data: { a: 'came' } };
    await node.lab.kube.create(configMapKind, data);
    await node.ready('waits');
    assert.equal(await node.sh('waits', 'cat /v/a'), 'came');
  });

  test('users and groups own what they should, and a locked container writes only into its volumes', async () => {
    assert.equal(await node.sh('groups', 'id -u; id -g; id -G'), '1000\n2000\n2000 3000 4000');
    assert.equal(
      await node.sh('groups', 'stat -c "%g %a" /scratch; stat -L -c "%g %a" /settings/greeting'),
      '3000 2777\n3000 640',
    );
    await node.sh('groups', 'echo x > /scratch/file; test "$(stat -c %g /scratch/file)" = 3000; echo > /dev/null');
    for (const path of ['/x', '/etc/x', '/usr/x', '/tmp/x']) {
      const { code, stderr } = await node.lab.exec({ namespace, name: 'groups' }, ['touch', path]);
      assert.equal(code, 1);
      assert.match(stderr, /Read-only file system/);
    }
    assert.match(await node.sh('groups', 'grep NoNewPrivs /proc/self/status'), /1$/);
  });

  test('who would be root and must not is not created', async () => {
    await until(
      'the refusal',
      async () => (await node.state('rooted')).waiting?.reason === 'CreateContainerConfigError',
    );
    const { message } = (await node.state('rooted')).waiting!;
    assert.match(
      message!,
      /^container has runAsNonRoot and image will run as root \(pod: "rooted_t\(.*\)", container: main\)$/,
    );
    await node.event('rooted', 'Failed', /^Error: container has runAsNonRoot/);
  });

  test('names, aliases, resolvers and kernel parameters are the pod’s own', async () => {
    assert.equal(await node.sh('named', 'hostname; hostname -f'), `first\nfirst.peers.${namespace}.svc.cluster.local`);
    assert.equal(await node.sh('named', "getent hosts bar | tr -s ' '"), '192.0.2.7 foo bar');
    const resolv = `search ${namespace}.svc.cluster.local svc.cluster.local cluster.local example.org
nameserver 10.96.0.10
nameserver 192.0.2.53
options ndots:2 edns0`;
    assert.equal(await node.sh('named', 'cat /etc/resolv.conf'), resolv);
    assert.equal(await node.sh('named', 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start'), '80');
    assert.equal(await node.sh('alone', 'cat /etc/resolv.conf'), 'nameserver 192.0.2.53');
    assert.equal(await node.sh('alone', 'ls /var/run/secrets/kubernetes.io 2>/dev/null || echo none'), 'none');
  });

  test('the machine’s own devices are out of reach, but for the usual ones', async () => {
    const devices = await node.sh('files', 'ls /dev; echo x > /dev/null; head -c 1 /dev/zero | wc -c');
    assert.deepEqual(devices.split('\n').slice(0, -1), [
      ...['fd', 'full', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'termination-log', 'tty'],
      ...['urandom', 'zero'],
    ]);
    assert.equal(existsSync('/dev/termination-log'), false);
  });
});
