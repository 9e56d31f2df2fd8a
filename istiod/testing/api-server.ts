/** The API server of a test of istiod: one of its own, or the one that TEST_KUBECONFIG names, emptied before. Only for tests. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { MeshError } from '../../common/core/errors.ts';
import { createKubeClient, type KubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { configMapKind, namespaceKind, podKind, secretKind, serviceAccountKind } from '../../common/kube/kinds/core.ts';
import { kindTable } from '../../common/kube/schema/table.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import { until } from '../../common/testing/until.ts';
import { startTestServer, TestClient } from '../apiserver/testing/client.ts';

export interface TestApi extends AsyncDisposable {
  /** As its administrator. */
  readonly client: TestClient;
  /** Path of a file. */
  readonly kubeconfig: string;
}

export async function openTestApi(): Promise<TestApi> {
  const named = process.env['TEST_KUBECONFIG'];
  if (named) return openNamed(named);
  const own = await startTestServer();
  return {
    client: own.client,
    kubeconfig: own.server.kubeconfig,
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  };
}

const ofKubernetes = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];
/** Says that whatever the server has may go. */
const mark = { namespace: 'default', name: 'aquifer-tests-may-empty-this' };
const account = 'aquifer-tests';

async function openNamed(path: string): Promise<TestApi> {
  const access = loadKubeconfig(path);
  const kube = createKubeClient({ access });
  const dir = await mkdtemp(join(tmpdir(), 'aq-named-'));
  try {
    await claim(kube, access.server);
    await empty(kube);
    const config = { server: access.server.origin, ca: access.ca ?? '', token: await tokenOf(kube) };
    const kubeconfig = join(dir, 'kubeconfig');
    await writeFile(kubeconfig, kubeconfigOf(config), { mode: 0o600 });
    const client = new TestClient(config);
    return {
      client,
      kubeconfig,
      async [Symbol.asyncDispose]() {
        client.close();
        await empty(kube).finally(() => kube.close());
        await rm(dir, { recursive: true, force: true });
      },
    };
  } catch (e) {
    kube.close();
    await rm(dir, { recursive: true, force: true });
    throw e;
  }
}

/** Nobody loses a cluster by a wrong variable. */
async function claim(kube: KubeClient, { host }: URL): Promise<void> {
  if ((await kube.get(configMapKind, mark)) !== undefined) return;
  const { items } = await kube.list(namespaceKind, AbortSignal.timeout(30_000));
  const used = items.map((n) => n.metadata.name).filter((n) => !ofKubernetes.includes(n));
  if (used.length > 0) {
    throw new Error(
      `the API server at ${host} has namespaces of somebody (${used.join(', ')}), and these tests delete all that it has: name an empty one, or make the ConfigMap ${mark.namespace}/${mark.name} in it`,
    );
  }
  await kube.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: mark });
}

const more: readonly Kind<KubeObject>[] = [
  serviceAccountKind,
  secretKind,
  configMapKind,
  ...(
    [
      ['coordination.k8s.io', 'v1', 'Lease', 'leases', true],
      ['certificates.k8s.io', 'v1', 'CertificateSigningRequest', 'certificatesigningrequests', false],
      ['certificates.k8s.io', 'v1beta1', 'ClusterTrustBundle', 'clustertrustbundles', false],
    ] as const
  ).map(([group, version, kind, plural, namespaced]) => ({ group, version, kind, plural, namespaced })),
];
/** They would refuse what is to be done when who answers them has gone. */
const webhooks: readonly Kind<KubeObject>[] = (['Validating', 'Mutating'] as const).map((how) => ({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: `${how}WebhookConfiguration`,
  plural: `${how.toLowerCase()}webhookconfigurations`,
  namespaced: false,
}));
/** What comes back by itself, or is needed to go on. */
const stays = ({ kind, metadata: { namespace, name } }: KubeObject): boolean =>
  (kind === 'Pod' ? ofKubernetes.slice(1).includes(namespace ?? '') : (namespace ?? 'default') !== 'default') ||
  (kind === 'Namespace' && ofKubernetes.includes(name)) ||
  (kind === 'Service' && name === 'kubernetes') ||
  (kind === 'EndpointSlice' && name.startsWith('kubernetes')) ||
  (kind === 'ServiceAccount' && (name === 'default' || name === account)) ||
  (kind === 'ConfigMap' && (name === mark.name || name === 'kube-root-ca.crt'));

/** Deletes what tests made; Nodes of machines that are there come again. */
async function empty(kube: KubeClient): Promise<void> {
  await Promise.all(webhooks.map((kind) => deleteAll(kube, kind)));
  // On Nodes that nobody is, nobody ends them either.
  await deleteAll(kube, podKind);
  const kinds = [...kindTable.map((e) => e.kind), ...more];
  await Promise.all(kinds.map((kind) => deleteAll(kube, kind)));
  await until('namespaces of the test before to go', async () =>
    (await kube.list(namespaceKind, AbortSignal.timeout(30_000))).items.every(stays),
  );
}

async function deleteAll(kube: KubeClient, kind: Kind<KubeObject>): Promise<void> {
  try {
    const { items } = await kube.list(kind, AbortSignal.timeout(30_000));
    for (const object of items) {
      if (stays(object)) continue;
      const { namespace, name } = object.metadata;
      await kube.delete(kind, { name, ...(namespace !== undefined && { namespace }) }, { gracePeriodSeconds: 0 });
    }
  } catch (e) {
    // Of kinds that the server does not have there is nothing.
    if (!(e instanceof MeshError && e.code === 'NOT_FOUND')) throw e;
  }
}

/** Of an administrator of the tests': who is named may show a certificate. */
async function tokenOf(kube: KubeClient): Promise<string> {
  const options = { fieldManager: 'test', force: true };
  const metadata = { name: account, namespace: 'default' };
  await kube.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata }, options);
  const rbac = 'rbac.authorization.k8s.io';
  await kube.apply(
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: account },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', ...metadata }],
    },
    options,
  );
  const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 7_200 } };
  const made = await kube.createSubresource(serviceAccountKind, metadata, 'token', asked);
  return (made['status'] as { readonly token: string }).token;
}

function kubeconfigOf({ server, ca, token }: TestClient['config']): string {
  const cluster = { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') };
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user: { token } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
}
