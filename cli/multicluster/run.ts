/** `aquifer remote-clusters` and `aquifer create-remote-secret`, as istioctl's. */
import { millis } from '../../common/core/brand.ts';
import { sleep, systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { namespaceKind, type Secret, secretKind, serviceAccountKind } from '../../common/kube/kinds/core.ts';
import type { ClusterStatus } from '../../istiod/remote/clusters.ts';
import { type Cluster, withCluster } from '../access/cluster.ts';
import { askIstiods } from '../access/istiods.ts';
import { apiAccess } from '../api-access.ts';
import { noOperands, oneOf, readArguments } from '../arguments.ts';
import { print, printAs, tell } from '../print.ts';
import { formatTable } from '../table.ts';
import { clustersOptions, secretOptions } from './options.ts';
import { accountAnnotation, remoteSecret, tokenIn, tokenSecretOf, tokenType } from './remote-secret.ts';

/** Looks until a new Secret has its token, and ms in between. */
const [looks, pause] = [50, millis(100)];

const endless = new AbortController().signal;

export async function runClusters(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('remote-clusters', args, clustersOptions);
  noOperands('remote-clusters', positionals);
  const format = oneOf('--output', values.output, 'table', 'json', 'yaml');
  return withCluster(values, process.env, async (cluster) => {
    const answers = await askIstiods(cluster, '/debug/clusterz', values.revision);
    const rows = answers.flatMap(({ istiod, revision, body }) =>
      (JSON.parse(body) as readonly ClusterStatus[]).map((c) => ({ ...c, istiod, revision })),
    );
    if (format !== 'table') await printAs(format, rows);
    else {
      const lines = rows.map((r) => [r.id, r.secretName, r.syncStatus, r.istiod, r.revision]);
      print(formatTable(['NAME', 'SECRET', 'STATUS', 'ISTIOD', 'REVISION'], lines));
      for (const { id, istiod, error } of rows) if (error !== undefined) tell(`${id} at ${istiod}: ${error}`);
    }
    return 0;
  });
}

export async function runSecret(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('create-remote-secret', args, secretOptions);
  noOperands('create-remote-secret', positionals);
  return withCluster(values, process.env, async (cluster) => {
    const { client, istioNamespace: namespace } = cluster;
    const account = values['service-account'];
    if ((await client.get(serviceAccountKind, { namespace, name: account })) === undefined) {
      const remedy =
        'install chart base, which makes istio-reader-service-account, or name another by --service-account';
      throw new MeshError('NOT_FOUND', `there is no ServiceAccount ${namespace}/${account}: ${remedy}`);
    }
    const server = values.server ?? apiAccess(values, process.env).server.href;
    if (/^https:\/\/(localhost|127\.|\[::1\])/.test(server))
      tell(`${server} is this machine alone: other clusters do not reach it; name another by --server`);
    const found = await tokenOf(cluster, account, values['secret-name']);
    const name = values.name ?? (await client.get(namespaceKind, { name: 'kube-system' }))?.metadata.uid;
    if (name === undefined)
      throw new MeshError('NOT_FOUND', 'there is no Namespace kube-system: name the cluster by --name');
    await printAs(
      'yaml',
      remoteSecret({ name, server, tlsServerName: values['tls-server-name'], ...found }, namespace),
    );
    return 0;
  });
}

async function tokenOf(
  { client, istioNamespace: namespace }: Cluster,
  account: string,
  secretName: string | undefined,
) {
  const known =
    secretName === undefined
      ? tokenSecretOf((await client.list(secretKind, endless, { within: { namespace } })).items, account)
      : await client.get(secretKind, { namespace, name: secretName });
  if (secretName !== undefined && (known === undefined || tokenSecretOf([known], account) === undefined)) {
    const what = `Secret ${namespace}/${secretName} has no token of ServiceAccount ${account}`;
    throw new MeshError('NOT_FOUND', `${what}: expected type ${tokenType} with annotation ${accountAnnotation}`);
  }
  const name = known?.metadata.name ?? `${account}-istio-remote-secret-token`;
  if (known === undefined) {
    await client.create<Secret>(secretKind, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace, annotations: { [accountAnnotation]: account } },
      type: tokenType,
    });
  }
  for (let i = 0; i < looks; i++) {
    const secret = await client.get(secretKind, { namespace, name });
    const found = secret && tokenIn(secret);
    if (found !== undefined) return found;
    await sleep(systemClock, pause, endless);
  }
  throw new MeshError('NOT_FOUND', `Secret ${namespace}/${name} has got no token: does the cluster make them?`);
}
