/** `aquifer check`. */
import { describeError, MeshError } from '../../common/core/errors.ts';
import { version } from '../../common/core/version.ts';
import {
  type ConfigMap,
  configMapKind,
  type Namespace,
  type Node,
  namespaceKind,
  nodeKind,
  podKind,
} from '../../common/kube/kinds/core.ts';
import { customResourceDefinitionKind } from '../../common/kube/kinds/extension.ts';
import { selfSubjectAccessReviewKind } from '../../common/kube/schema/access.ts';
import { customKinds } from '../../common/kube/schema/table.ts';
import { daemonSetKind } from '../../common/kube/schema/workloads.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import { askAdmin } from '../access/admin.ts';
import { type Cluster, withCluster } from '../access/cluster.ts';
import { askIstiods, type IstiodAnswer } from '../access/istiods.ts';
import { labOf } from '../access/lab.ts';
import { noOperands, oneOf, readArguments } from '../arguments.ts';
import { print } from '../print.ts';
import { parseZtunnelDump } from '../ztunnel-config/dump.ts';
import { ztunnels } from '../ztunnel-config/target.ts';
import { checkDefinitions, checkNodes, checkOthers, checkVersion } from './cluster.ts';
import { checkCertificates, checkParts, checkPods, checkPushes, checkRoot, checkSkew, checkWebhook } from './mesh.ts';
import { options } from './options.ts';
import { fail, ok, type Result, report } from './result.ts';

const webhookKind: Kind = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingWebhookConfiguration',
  plural: 'validatingwebhookconfigurations',
  namespaced: false,
};

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('check', args, options);
  noOperands('check', positionals);
  const format = oneOf('--output', values.output, 'text', 'json');
  const results = values.node
    ? (await import('./node.ts')).checkNode()
    : await withCluster(values, process.env, (cluster) => checkCluster(cluster, values.pre === true));
  if (format === 'json') print(JSON.stringify(results, undefined, 2));
  else for (const line of report(results)) print(line);
  return results.some((r) => r.level === 'fail') ? 1 : 0;
}

export async function checkCluster(cluster: Cluster, pre: boolean): Promise<readonly Result[]> {
  const { client, istioNamespace } = cluster;
  let api: Result;
  try {
    api = checkVersion((await client.document('/version')) as Readonly<Record<string, string>>);
  } catch (e) {
    return [fail('api', describeError(e), 'name the cluster: --kubeconfig FILE, --context NAME')];
  }
  const list = async <T extends KubeObject>(kind: Kind<T>, namespace?: string) =>
    (
      await client
        .list(kind, new AbortController().signal, namespace === undefined ? {} : { within: { namespace } })
        .catch(none)
    ).items as readonly T[];
  const [definitions, nodes, pods, daemonSets, cilium, hooks, namespaces] = await Promise.all([
    list(customResourceDefinitionKind),
    list<Node>(nodeKind),
    list(podKind),
    list(daemonSetKind),
    client.get<ConfigMap>(configMapKind, { namespace: 'kube-system', name: 'cilium-config' }).catch(() => undefined),
    list(webhookKind),
    list<Namespace>(namespaceKind),
  ]);
  const names = new Set(definitions.map((d) => d.metadata.name));
  const own = pods.filter((p) => p.metadata.namespace === istioNamespace);
  const isInstalled = !pre && own.some((p) => ['istiod', 'ztunnel'].includes(p.metadata.labels?.['app'] ?? ''));
  const before = [
    api,
    ...(await checkPermissions(cluster, isInstalled)),
    ...checkDefinitions(
      customKinds.map(({ kind }) => `${kind.plural}.${kind.group}`),
      names,
      isInstalled,
    ),
    ...checkNodes(nodes),
    ...checkOthers({ definitions: names, daemonSets, pods, cilium: cilium?.data }),
  ];
  if (!isInstalled) return before;
  const istiodElsewhere = labOf(cluster.kubeconfig) !== undefined;
  const root = await client.get<ConfigMap>(configMapKind, { namespace: istioNamespace, name: 'istio-ca-root-cert' });
  const now = Date.now();
  return [
    ...before,
    ...checkParts({ namespace: istioNamespace, nodes, pods: own, istiodElsewhere }),
    ...checkWebhook(hooks, root?.data?.['root-cert.pem']),
    ...(await checkIstiods(cluster)),
    ...checkRoot(root, istioNamespace, now),
    ...(await checkZtunnels(cluster, now)),
    ...checkPods(pods, new Map(namespaces.map((n) => [n.metadata.name, n]))),
  ];
}

/** What may not be read is told by the check of permissions. */
function none(e: unknown): { readonly items: readonly never[] } {
  if (e instanceof MeshError && (e.code === 'NOT_FOUND' || e.code === 'CONFIG')) return { items: [] };
  throw e;
}

const toInstall: readonly (readonly [verb: string, group: string, resource: string])[] = [
  ['create', '', 'namespaces'],
  ['create', 'apiextensions.k8s.io', 'customresourcedefinitions'],
  ['create', 'rbac.authorization.k8s.io', 'clusterroles'],
  ['create', 'rbac.authorization.k8s.io', 'clusterrolebindings'],
  ['create', 'admissionregistration.k8s.io', 'validatingwebhookconfigurations'],
  ['create', 'apps', 'daemonsets'],
  ['create', 'apps', 'deployments'],
  ['create', '', 'configmaps'],
  ['create', '', 'secrets'],
  ['create', '', 'services'],
  ['create', '', 'serviceaccounts'],
];
const toLook: readonly (readonly [verb: string, group: string, resource: string])[] = [
  ['list', '', 'pods'],
  ['create', '', 'pods/portforward'],
  ['list', '', 'nodes'],
  ['list', '', 'namespaces'],
];

async function checkPermissions({ client, istioNamespace }: Cluster, isInstalled: boolean): Promise<readonly Result[]> {
  const asked = isInstalled ? toLook : [...toInstall, ...toLook];
  const refused: string[] = [];
  for (const [verb, group, path] of asked) {
    const [resource = '', subresource] = path.split('/');
    const review = await client
      .create(selfSubjectAccessReviewKind, {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        metadata: { name: '' },
        spec: {
          resourceAttributes: { verb, group, resource, namespace: istioNamespace, ...(subresource && { subresource }) },
        },
      })
      .catch(() => undefined);
    const status = review?.['status'] as { readonly allowed?: boolean } | undefined;
    if (status?.allowed === false) refused.push(`${verb} ${path}${group === '' ? '' : `.${group}`}`);
  }
  if (refused.length === 0)
    return [ok('permissions', isInstalled ? 'you may see what commands show' : 'you may install')];
  return refused.map((what) =>
    fail('permissions', `you may not ${what}`, 'ask for a role with it; kubectl auth can-i --list shows yours'),
  );
}

async function checkIstiods(cluster: Cluster): Promise<readonly Result[]> {
  try {
    const [versions, pushes, syncs] = await Promise.all([
      askIstiods(cluster, '/version'),
      askIstiods(cluster, '/debug/push_status'),
      askIstiods(cluster, '/debug/syncz'),
    ]);
    const proxies = syncs.flatMap((a) =>
      read<readonly { readonly proxy: string; readonly istio_version: string }[]>(a),
    );
    const rejected = Object.assign({}, ...pushes.map((a) => read<{ readonly rejected?: object }>(a).rejected ?? {}));
    const programs = new Map([
      ['aquifer', version],
      ...versions.map(({ istiod, body }) => [istiod, body.trim().replace(/-.*$/, '')] as const),
      ...proxies.filter((p) => p.istio_version !== '').map((p) => [p.proxy, p.istio_version] as const),
    ]);
    return [...checkSkew(programs), ...checkPushes(rejected, proxies.length)];
  } catch (e) {
    return [fail('parts', describeError(e), `kubectl -n ${cluster.istioNamespace} get pods -l app=istiod`)];
  }
}

function read<T>({ body }: IstiodAnswer): T {
  return JSON.parse(body) as T;
}

async function checkZtunnels(cluster: Cluster, now: number): Promise<readonly Result[]> {
  const all = await ztunnels(cluster);
  const results = await Promise.all(
    all.map(async (pod) => {
      try {
        return checkCertificates(
          pod,
          parseZtunnelDump(pod.metadata.name, await askAdmin(cluster, pod, 15_000, '/config_dump')),
          now,
        );
      } catch (e) {
        return [fail('proxies', describeError(e), `kubectl -n ${cluster.istioNamespace} logs ${pod.metadata.name}`)];
      }
    }),
  );
  return results.flat();
}
