/**
 * The image as its users meet it: made anew, then each program from it alone. The lab's kubelet runs what the charts make (rights, users, read-only
 * roots as they are rendered), each container in a chroot of it, so that a file which is missing is missing here.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { version as ownVersion } from '../../common/core/version.ts';
import type { Deployment } from '../../common/kube/kinds/apps.ts';
import { until } from '../../common/testing/until.ts';
import { type Built, buildImage, sbomInImage } from '../../image/build.ts';
import { missingLibraries } from '../../image/debian/install.ts';
import { triple } from '../../image/debian/table.ts';
import { programs } from '../../image/programs.ts';
import { digest, entriesOf } from '../../image/tree.ts';
import { Lab, type LabApi } from '../../lab/index.ts';
import { labPaths } from '../../lab/names.ts';
import { Helm, skipWithoutHelm } from '../harness/helm.ts';
import { Kubectl, kubectlPath, skipWithoutKubectl } from '../harness/kubectl.ts';
import { labName } from '../harness/lab-name.ts';
import { skipUnless } from '../harness/require.ts';
import { mistakesIn } from './cyclonedx.ts';
import { objects, onePod, type Security, waypoint } from './objects.ts';

const charts = join(import.meta.dirname, '../../charts');
const patience = 60_000;
/** Bytes. */
const largest = 200e6;
const time = 1_750_000_000;
const skip =
  skipUnless('ebpf', 'plugin', 'program:ip', 'program:nft', 'program:readelf') ||
  skipWithoutHelm() ||
  skipWithoutKubectl();

describe('the image', { skip }, () => {
  let folder: string;
  let rootfs: string;
  let built: Built;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'aquifer-image-'));
    // Others than root come by.
    chmodSync(folder, 0o755);
    rootfs = join(folder, 'rootfs');
    built = await buildImage({ rootfs, time });
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('is small, and nobody but root can change it or gets rights by it', (t) => {
    t.diagnostic(`${(built.size / 1e6).toFixed(1)} MB (goal 200)`);
    assert.ok(built.size <= largest, `${built.size} bytes`);
    const entries = entriesOf(rootfs);
    const odd = entries.filter(({ mode, kind }) => kind !== 'link' && ((mode & 0o6000) !== 0 || (mode & 0o022) !== 0));
    assert.deepEqual(
      odd.map((e) => e.path),
      ['tmp', 'var/tmp'],
    );
    for (const { name } of programs) assert.ok(existsSync(join(rootfs, 'usr/local/bin', name)), name);
    assert.deepEqual(
      entries.filter(({ path }) => /\.test\.|\/node$/.test(path)).map((e) => e.path),
      ['usr/local/lib/aquifer/node'],
    );
  });

  test('is the same when it is made again', async () => {
    const again = join(folder, 'again');
    assert.equal((await buildImage({ rootfs: again, time })).digest, built.digest);
    rmSync(again, { recursive: true });
    await assert.rejects(buildImage({ rootfs, time }), /is not empty/);
  });

  test('says what is in it', () => {
    const text = readFileSync(join(rootfs, sbomInImage), 'utf8');
    assert.deepEqual(mistakesIn(JSON.parse(text)), []);
    const has = (name: string) => text.includes(`"name": "${name}"`);
    const node = `node-linux-${process.arch}`;
    for (const name of ['libc6', 'libbpf1', 'libnftables1', node, '@grpc/grpc-js', 'yaml', 'aquifer'])
      assert.ok(has(name), name);
    for (const name of ['rolldown', 'typescript', 'fast-check']) assert.ok(!has(name), name);
  });

  test('has every library that something in it is linked with', async () => {
    assert.deepEqual(await missingLibraries(rootfs), []);
    const library = join(rootfs, 'usr/lib', triple, 'libelf.so.1');
    renameSync(library, `${library}.away`);
    try {
      assert.deepEqual(await missingLibraries(rootfs), ['libelf.so.1']);
    } finally {
      renameSync(`${library}.away`, library);
    }
  });

  describe('in a lab', () => {
    let lab: LabApi;
    let kubectl: Kubectl;
    let unused: string;
    before(async () => {
      unused = digest(rootfs);
      lab = await Lab.up({ name: labName('image'), nodes: 2, mesh: false, manifests: [objects] });
      kubectl = new Kubectl(lab.kubeconfig);
    });
    after(() => lab?.down());

    test('ztunnel, cni-agent and istiod, installed by the charts, carry calls', async () => {
      const images = ['istiod', 'cni', 'ztunnel'].flatMap((part) => ['--set', `${part}.image=${rootfs}`]);
      const where = ['-n', 'istio-system', '--create-namespace', '-f', labPaths(lab.name).values];
      const helm = new Helm(lab.kubeconfig);
      await helm.ok(['install', 'ambient', join(charts, 'ambient'), ...where, ...images, '--wait', '--timeout', '90s']);
      await kubectl.ok(['label', 'namespace', 'shop', 'istio.io/dataplane-mode=ambient']);
      await lab.waitReady(patience);
      await lab.waitEnrolled(patience);
      assert.match(await call('/'), /"method":"GET".*200$/s);
      const seen =
        /connection complete.*src\.identity="spiffe:\/\/cluster\.local\/ns\/shop\/sa\/client".*direction="inbound"/;
      await until('both have identities', async () => seen.test(await logs('app=ztunnel')));
      assert.doesNotMatch(await logs('app=ztunnel'), /workers (keep the user|start more slowly)/);
      for (const app of ['ztunnel', 'istio-cni', 'istiod']) await runsFromIt('istio-system', app);
    });

    test('a waypoint that istiod makes of it judges requests', async () => {
      await kubectl.ok(['apply', '-f', '-'], waypoint);
      await kubectl.ok(['wait', '-n', 'shop', '--for=condition=Programmed', 'gtw/waypoint', '--timeout=60s']);
      await until('it refuses', async () => (await call('/admin')).endsWith('403'), patience);
      assert.match(await call('/'), /200$/);
    });

    test('cni-agent redirects by nftables and by iptables', async () => {
      const security = await securityOf('daemonset/istio-cni-node');
      for (const by of [[], ['--iptables']]) {
        const pod = await run(`redirect${by.length}`, ['cni-agent', 'redirect', 'add', ...by], security);
        assert.equal(await pod.end(), 'Succeeded', await pod.output());
      }
    });

    test('aquifer reads files, and asks an istiod that is an API server too', async () => {
      const security = await securityOf('deployment/istiod');
      const data = join(folder, 'data');
      mkdirSync(data);
      chownSync(data, 1337, 1337);
      writeFileSync(join(data, 'bad.yaml'), bad);
      const istiod = await run('istiod', ['istiod', '--standalone', '--data-dir', '/data/istiod'], security, data);
      const version = await run('version', ['aquifer', 'version', '--remote=false'], security);
      const validate = await run('validate', ['aquifer', 'validate', '-f', '/data/bad.yaml'], security, data);
      const noLab = await run('no-lab', ['aquifer', 'lab', 'up'], security);
      assert.deepEqual([await version.end(), await version.output()], ['Succeeded', `client version: ${ownVersion}\n`]);
      assert.equal(await validate.end(), 'Failed');
      assert.match(await validate.output(), /\/data\/bad\.yaml:.*spec\.action/);
      assert.equal(await noLab.end(), 'Failed');
      assert.match(await noLab.output(), /this image has no lab/);
      await until('istiod serves', async () => /serving/.test(await istiod.output()), patience);
      const { pid } = await lab.spawn('default/istiod', ['/bin/sh', '-c', 'read -r _']);
      const kubeconfig = `--kubeconfig=${join(data, 'istiod/kubeconfig')}`;
      const ask = ['--net', `--target=${pid}`, kubectlPath(), kubeconfig, 'get', 'namespaces', '-o', 'name'];
      assert.match(execFileSync('nsenter', ask, { encoding: 'utf8' }), /namespace\/kube-system/);
    });

    test('nothing of it has changed', () => assert.equal(digest(rootfs), unused));

    const logs = (label: string) => kubectl.ok(['logs', '-n', 'istio-system', '-l', label, '--tail=500']);

    /** One of its programs in a pod of its own. */
    async function run(name: string, [program, ...args]: readonly string[], security: Security, data?: string) {
      const command = [`/usr/local/bin/${program}`, ...args];
      await kubectl.ok(['apply', '-f', '-'], onePod({ name, image: rootfs, command, security, data }));
      const phase = () => kubectl.ok(['get', 'pod', name, '-o', 'jsonpath={.status.phase}']);
      return {
        output: () => kubectl.ok(['logs', name]),
        end: () => until(`${name} ends`, async () => /Succeeded|Failed/.exec(await phase())?.[0], patience),
      };
    }

    /** Answer and status. */
    async function call(path: string): Promise<string> {
      const [pod] = await lab.podsOf('shop/client');
      const curl = ['curl', '-s', '-m', '10', '-w', '%{http_code}', `http://web${path}`];
      const { stdout } = await lab.exec({ namespace: 'shop', name: pod!.metadata.name }, curl);
      return stdout;
    }

    /** The programs of the machine are not there, and nothing can be written. */
    async function runsFromIt(namespace: string, app: string): Promise<void> {
      const pods = (await lab.pods()).filter((p) => p.metadata.labels?.['app.kubernetes.io/name'] === app);
      assert.ok(pods.length > 0, app);
      for (const { metadata } of pods) {
        const script = 'command -v ls; echo programs: /usr/bin/*; : > /usr/x';
        const { stdout, stderr } = await lab.exec({ namespace, name: metadata.name }, ['/bin/sh', '-c', script]);
        assert.equal(stdout, 'programs: /usr/bin/dash /usr/bin/prlimit /usr/bin/setpriv /usr/bin/sh\n');
        assert.match(stderr, /Read-only file system/);
      }
    }

    /** As the chart renders it, so that what is tried here is what is installed. */
    async function securityOf(object: string): Promise<Security> {
      const text = await kubectl.ok(['get', object, '-n', 'istio-system', '-o', 'json']);
      const { spec } = (JSON.parse(text) as Deployment).spec.template;
      return { pod: spec['securityContext'] as object, container: spec.containers[0]!['securityContext'] as object };
    }
  });
});

const bad = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: bad }
spec: { action: MAYBE }
`;
