/** The mesh's own charts: what they render, what they refuse, what they say, and that an API server takes all of it. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../common/kube/types.ts';
import { startTestServer, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { webhookConfiguration } from '../../istiod/validation/webhook-configuration.ts';
import { chartNames } from '../../scripts/chart-values.ts';
import { charts, generatedFiles } from '../../scripts/generate-charts.ts';
import { Helm, skipWithoutHelm } from '../harness/helm.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';

const golden = join(import.meta.dirname, 'golden');
const user = join(import.meta.dirname, 'istio-user.yaml');
/** Istio has no chart like the last. */
const all = [...chartNames, 'ambient', 'quota'] as const;
type Name = (typeof all)[number];

test('what charts have from the code is what the code says now (scripts/generate-charts.ts)', () => {
  const files = generatedFiles();
  for (const [path, text] of Object.entries(files))
    assert.equal(
      readFileSync(join(charts, path), 'utf8'),
      text,
      `${path}: run scripts/pinned-node scripts/generate-charts.ts`,
    );
  for (const folder of ['base/crds', 'base/files/crds'])
    for (const name of readdirSync(join(charts, folder)))
      assert.ok(`${folder}/${name}` in files, `${folder}/${name} is nobody's`);
});

test('charts have the version of the package', () => {
  const { version } = JSON.parse(readFileSync(join(charts, '../package.json'), 'utf8')) as { version: string };
  for (const name of all) {
    const chart = parse(readFileSync(join(charts, name, 'Chart.yaml'), 'utf8'));
    assert.deepEqual([chart.name, chart.version, chart.appVersion], [name, version, version]);
    for (const dependency of chart.dependencies ?? []) assert.equal(dependency.version, version);
  }
});

describe("the mesh's charts", { skip: skipWithoutHelm() || skipWithoutKubectl() }, () => {
  let server: TestServer;
  let helm: Helm;
  let kubectl: Kubectl;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aquifer-charts-'));
    server = await startTestServer();
    helm = new Helm(server.server.kubeconfig);
    kubectl = new Kubectl(server.server.kubeconfig);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  const space = ['-n', 'istio-system'];
  const template = (name: Name, ...more: readonly string[]) =>
    helm.ok(['template', 'mesh', join(charts, name), ...space, '--kube-version', '1.33.0', ...more]);
  const objects = (text: string) =>
    parseAllDocuments(text).flatMap((d): KubeObject[] => (d.toJS() === null ? [] : [d.toJS() as KubeObject]));
  const noDefinitions = ['--set', 'base.enableCRDTemplates=false'];

  const renderings = [
    ...chartNames.flatMap((name) => [[name, 'default'] as const, [name, 'user', '-f', user] as const]),
    ['quota', 'default'] as const,
    ['quota', 'own', '--set', 'volume.emptyDir.medium=Memory,principals={cluster.local/ns/shop/sa/waypoint}'] as const,
  ];
  for (const [name, title, ...more] of renderings)
    test(`${name} renders as it did (${title}); UPDATE_GOLDEN=1 takes what it renders now`, async () => {
      const definitions = name === 'base' ? noDefinitions : [];
      const text = await template(name, ...more, ...definitions);
      assert.equal(await template(name, ...more, ...definitions), text, 'always the same');
      const file = join(golden, `${name}-${title}.yaml`);
      if (process.env['UPDATE_GOLDEN'] === '1') {
        mkdirSync(golden, { recursive: true });
        writeFileSync(file, text);
      }
      assert.equal(text, readFileSync(file, 'utf8'));
    });

  for (const [name, set, said] of [
    ['base', 'excludedCRDs={a}', /'excludedCRDs' not allowed/],
    ['istiod', 'autoscaleEnable=true', /'autoscaleEnable' not allowed/],
    ['istiod', 'pilot.replicas=2', /\/pilot'.*'replicas' not allowed/],
    ['istiod', 'replicaCount=two', /\/replicaCount'.*integer/],
    ['istiod', 'global.loging.level=info', /\/global'.*'loging' not allowed/],
    ['cni', 'aquifer.capture=iptables', /\/aquifer\/capture'/],
    ['cni', 'ambient.dnsCaptures=true', /\/ambient'.*'dnsCaptures' not allowed/],
    ['ztunnel', 'aquifer.worker=2', /\/aquifer'.*'worker' not allowed/],
    ['ambient', 'ztunel.logLevel=debug', /'ztunel' not allowed/],
    ['ambient', 'ztunnel.loglevel=debug', /ztunnel:[\s\S]*'loglevel' not allowed/],
  ] as const)
    test(`${name} refuses ${set} by name`, async () => {
      const { code, stderr } = await helm.run([
        'template',
        'mesh',
        join(charts, name),
        '--kube-version',
        '1.33.0',
        '--set',
        set,
      ]);
      assert.notEqual(code, 0);
      assert.match(stderr, said);
    });

  test('what has no meaning here is told, and nothing else', async () => {
    const notes = async (name: Name, ...more: readonly string[]) =>
      (
        await helm.ok([
          'install',
          'mesh',
          join(charts, name),
          ...space,
          '--dry-run=client',
          ...noDefinitions.filter(() => name === 'base'),
          ...more,
        ])
      ).split('NOTES:')[1] ?? '';
    assert.doesNotMatch(await notes('istiod'), /no meaning/);
    const said = await notes('istiod', '-f', user);
    assert.match(said, /These values have no meaning here:\n/);
    for (const key of ['profile', 'global.meshID', 'global.proxy.autoInject', 'global.waypoint', 'pilot.traceSampling'])
      assert.match(said, new RegExp(`^  ${key.replaceAll('.', '\\.')}: \\w`, 'm'));
    assert.doesNotMatch(said, /clusterDomain|autoscaleMin|ztunnel:/);
    assert.match(await notes('cni', '-f', user), /^ {2}cni\.repair: /m);
    assert.match(
      await notes('ambient', '--set', 'istiod.traceSampling=1,global.meshID=m'),
      /global\.meshID: [\s\S]*istiod\.traceSampling: /,
    );
  });

  test('an API server takes every object, with everything switched on', async () => {
    await kubectl.ok(['create', 'namespace', 'istio-system']);
    const dry = ['apply', '--server-side', '--dry-run=server', '-f', '-'];
    const everything = [
      '--set',
      'ztunnel.resourceQuotas.enabled=true,cni.resourceQuotas.enabled=true,pilot.aquifer.plainText=true',
    ];
    for (const name of chartNames) {
      const text = await template(name, '-f', user, ...everything, '--no-hooks');
      const out = await kubectl.ok(dry, text);
      assert.equal(out.trim().split('\n').length, objects(text).length, out);
    }
    const hook = await template('cni', '--show-only', 'templates/retire.yaml');
    assert.match(await kubectl.ok(dry, hook), /job.batch\/istio-cni-retire serverside-applied/);
  });

  test('the scopes of objects are told apart', async () => {
    for (const name of chartNames) {
      const kinds = async (scope: string) =>
        objects(await template(name, '--no-hooks', '--set', `global.resourceScope=${scope}`))
          .map((o) => `${o.kind} ${o.metadata.name}`)
          .sort();
      const [every, cluster, namespaced] = await Promise.all(['all', 'cluster', 'namespace'].map(kinds));
      assert.deepEqual([...cluster!, ...namespaced!].sort(), every);
      assert.ok(
        namespaced!.every((o) => !/^(Cluster|CustomResource|ValidatingWebhook)/.test(o)),
        namespaced!.join(),
      );
      assert.ok(
        cluster!.every((o) => /^(Cluster|CustomResource|ValidatingWebhook)/.test(o)),
        cluster!.join(),
      );
    }
  });

  test('webhooks ask about the groups that istiod judges, and a revision has names of its own', async () => {
    const judged = (
      webhookConfiguration({ namespace: 'x', service: 'y' })['webhooks'] as { rules: { apiGroups: string[] }[] }[]
    )[0]!.rules;
    const groups = judged.flatMap((r) => r.apiGroups).sort();
    for (const name of ['base', 'istiod'] as const) {
      const all = objects(await template(name, ...(name === 'base' ? noDefinitions : [])));
      const webhook = all.find((o) => o.kind === 'ValidatingWebhookConfiguration') as unknown as {
        webhooks: { rules: { apiGroups: string[] }[] }[];
      };
      assert.deepEqual(webhook.webhooks[0]!.rules.flatMap((r) => r.apiGroups).sort(), groups);
    }
    const named = objects(await template('istiod', '--set', 'revision=canary')).map((o) => o.metadata.name);
    assert.ok(
      named.every((n) => n.includes('canary')),
      named.join(),
    );
  });

  test('containers have what they need and no more', async () => {
    const texts = await Promise.all([template('istiod'), template('cni'), template('ztunnel')]);
    const pods = texts.flatMap(objects).flatMap((o) => {
      const { template: pod } = ((o as { spec?: unknown }).spec ?? {}) as { template?: { spec: PodSpec } };
      return pod === undefined ? [] : [[`${o.kind} ${o.metadata.name}`, pod.spec] as const];
    });
    assert.equal(pods.length, 4);
    for (const [name, { securityContext: pod, containers, hostNetwork }] of pods) {
      assert.equal(pod.seccompProfile?.type, 'RuntimeDefault', name);
      const [{ securityContext: own }] = containers as readonly [PodSpec['containers'][number]];
      assert.deepEqual(
        [own.readOnlyRootFilesystem, own.capabilities.drop, own.privileged ?? false],
        [true, ['ALL'], false],
        name,
      );
      const onNode = name.startsWith('DaemonSet');
      assert.equal(own.runAsNonRoot ?? pod.runAsNonRoot, !onNode, name);
      assert.equal(own.allowPrivilegeEscalation, onNode, name);
      assert.equal(hostNetwork ?? false, name === 'DaemonSet istio-cni-node', name);
    }
  });
});

interface PodSpec {
  readonly hostNetwork?: boolean;
  readonly securityContext: { readonly runAsNonRoot?: boolean; readonly seccompProfile?: { readonly type: string } };
  readonly containers: readonly {
    readonly securityContext: {
      readonly readOnlyRootFilesystem: boolean;
      readonly allowPrivilegeEscalation: boolean;
      readonly privileged?: boolean;
      readonly runAsNonRoot?: boolean;
      readonly capabilities: { readonly drop: readonly string[] };
    };
  }[];
}
