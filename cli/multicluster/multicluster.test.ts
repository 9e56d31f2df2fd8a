import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig, parseRemoteKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { namespaceKind, type Secret, secretKind, serviceAccountKind } from '../../common/kube/kinds/core.ts';
import { startTestServer } from '../../istiod/apiserver/testing/client.ts';
import { wantedClusters } from '../../istiod/remote/secrets.ts';
import { aquifer } from '../testing/run.ts';
import { remoteSecret, tokenSecretOf } from './remote-secret.ts';

const namespace = 'istio-system';
const account = 'istio-reader-service-account';

test('the Secret is one that istiod follows, and reads with the token of the account', async () => {
  await using api = await startTestServer();
  const { kubeconfig } = api.server;
  const kube = createKubeClient({ access: loadKubeconfig(kubeconfig) });
  try {
    await kube.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    const none = await aquifer(['create-remote-secret', '--name', 'east'], { kubeconfig });
    assert.equal(none.code, 1);
    assert.match(none.err, /there is no ServiceAccount istio-system\/istio-reader-service-account: install chart base/);
    const metadata = { name: account, namespace };
    await kube.create(serviceAccountKind, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    await api.client.ask('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      method: 'POST',
      body: {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'reader' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
        subjects: [{ kind: 'ServiceAccount', name: account, namespace }],
      },
    });
    const made = await aquifer(['create-remote-secret', '--name', 'east'], { kubeconfig });
    assert.equal(made.code, 0, made.err);
    assert.match(made.err, /this machine alone/);
    const { stringData, ...object } = parse(made.out) as Secret;
    const data = Object.fromEntries(
      Object.entries(stringData!).map(([id, text]) => [id, Buffer.from(text).toString('base64')]),
    );
    const followed = wantedClusters([{ ...object, data }], 'west').clusters.get('east')!;
    assert.equal(followed.secret, 'istio-system/istio-remote-secret-east');
    const far = createKubeClient({ access: parseRemoteKubeconfig('it', followed.text) });
    assert.equal((await far.get(namespaceKind, { name: namespace }))?.metadata.name, namespace);
    far.close();

    const again = await aquifer(
      ['create-remote-secret', '--server', 'https://east.example:6443', '--tls-server-name', 'api'],
      { kubeconfig },
    );
    const system = await kube.get(namespaceKind, { name: 'kube-system' });
    const [[id, text]] = Object.entries((parse(again.out) as Secret).stringData!) as [[string, string]];
    assert.equal(id, system?.metadata.uid);
    const access = parseRemoteKubeconfig('it', text);
    assert.deepEqual([access.server.href, access.serverName], ['https://east.example:6443/', 'api']);
    const tokens = (await kube.list(secretKind, new AbortController().signal)).items.filter((s) =>
      s.type?.includes('token'),
    );
    assert.deepEqual(
      tokens.map((s) => s.metadata.name),
      [`${account}-istio-remote-secret-token`],
      'one token, however often it is asked for',
    );
    const wrong = await aquifer(['create-remote-secret', '--secret-name', 'none'], { kubeconfig });
    assert.match(wrong.err, /Secret istio-system\/none has no token of ServiceAccount/);
  } finally {
    kube.close();
  }
});

test('a token of another account is not taken', () => {
  const secret = (name: string, of: string, type = 'kubernetes.io/service-account-token'): Secret => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, uid: name, resourceVersion: '1', annotations: { 'kubernetes.io/service-account.name': of } },
    type,
  });
  const all = [secret('c', 'a'), secret('b', 'a'), secret('a', 'other'), secret('a', 'a', 'Opaque')];
  assert.equal(tokenSecretOf(all, 'a')?.metadata.name, 'b');
  const made = remoteSecret({ name: 'x', server: 'https://x', tlsServerName: undefined, ca: 'CA', token: 't' }, 'ns');
  assert.deepEqual(made.metadata, {
    name: 'istio-remote-secret-x',
    namespace: 'ns',
    labels: { 'istio/multiCluster': 'true' },
    annotations: { 'networking.istio.io/cluster': 'x' },
  });
});
