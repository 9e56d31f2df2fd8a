/** Pods as users call them: `[TYPE/]NAME[.NAMESPACE]`. */
import { MeshError } from '../../common/core/errors.ts';
import { deploymentKind, type LabelSelector } from '../../common/kube/kinds/apps.ts';
import { type Pod, podKind, type Service, serviceKind } from '../../common/kube/kinds/core.ts';
import { daemonSetKind, replicaSetKind, statefulSetKind } from '../../common/kube/schema/workloads.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import { selectsLabels } from '../../istiod/model/selector.ts';
import { UsageError } from '../arguments.ts';
import type { Cluster } from './cluster.ts';

const owners: Readonly<Record<string, Kind>> = {
  deployment: deploymentKind,
  deploy: deploymentKind,
  daemonset: daemonSetKind,
  ds: daemonSetKind,
  statefulset: statefulSetKind,
  sts: statefulSetKind,
  replicaset: replicaSetKind,
  rs: replicaSetKind,
};

export interface PodName {
  /** Lower case, singular or short; `pod` where none is said. */
  readonly type: string;
  readonly name: string;
  /** undefined: none is said. */
  readonly namespace: string | undefined;
}

export function parsePodName(text: string): PodName {
  const slash = text.indexOf('/');
  const type = slash < 0 ? 'pod' : text.slice(0, slash).toLowerCase().replace(/s$/, '');
  const rest = text.slice(slash + 1);
  const dot = rest.lastIndexOf('.');
  // Short names end with an s of their own.
  const known = ['d', 'st', 'r'].includes(type) && slash > 0 ? `${type}s` : type;
  return {
    type: known === 'po' ? 'pod' : known,
    name: dot < 0 ? rest : rest.slice(0, dot),
    namespace: dot < 0 ? undefined : rest.slice(dot + 1),
  };
}

/** The pod, or a running one of the object that is named. MeshError NOT_FOUND, CONFIG. */
export async function findPod(
  { client }: Pick<Cluster, 'client'>,
  text: string,
  defaultNamespace: string,
): Promise<Pod> {
  const { type, name, namespace = defaultNamespace } = parsePodName(text);
  const key = { namespace, name };
  if (type === 'pod') {
    const pod = await client.get<Pod>(podKind, key);
    if (pod !== undefined) return pod;
    throw new MeshError(
      'NOT_FOUND',
      `there is no pod ${namespace}/${name}; kubectl get pods -n ${namespace} lists those there are`,
    );
  }
  const kind = type === 'service' || type === 'svc' ? serviceKind : owners[type];
  if (kind === undefined)
    throw new MeshError(
      'CONFIG',
      `${JSON.stringify(type)} in ${JSON.stringify(text)} is no type; expected pod, service, ${Object.keys(owners).join(', ')}`,
    );
  const owner = await client.get<KubeObject>(kind, key);
  if (owner === undefined) throw new MeshError('NOT_FOUND', `there is no ${kind.kind} ${namespace}/${name}`);
  const [pod] = (await podsWith(client, namespace, selectorOf(owner))).filter(isRunning);
  if (pod === undefined) throw new MeshError('NOT_FOUND', `no pod of ${kind.kind} ${namespace}/${name} runs`);
  return pod;
}

/** `NAME=VALUE,...` of --selector. UsageError. */
export function labelsOf(selector: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    selector.split(',').map((part) => {
      const [key = '', value, ...rest] = part.split('=');
      if (key === '' || value === undefined || rest.length > 0)
        throw new UsageError(`--selector: ${JSON.stringify(part)}: expected NAME=VALUE`);
      return [key, value];
    }),
  );
}

/** Sorted by name. */
export async function podsWith(
  client: Cluster['client'],
  namespace: string,
  selector: LabelSelector | undefined,
): Promise<readonly Pod[]> {
  const { items } = await client.list<Pod>(podKind, new AbortController().signal, { within: { namespace } });
  return items
    .filter((pod) => selector !== undefined && selectsLabels(selector, pod.metadata.labels))
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

export function isRunning(pod: Pod): boolean {
  return pod.status?.phase === 'Running' && pod.metadata.deletionTimestamp === undefined;
}

function selectorOf(owner: KubeObject): LabelSelector | undefined {
  const { selector } = (owner as Service).spec as { readonly selector?: object };
  if (selector === undefined) return undefined;
  return owner.kind === 'Service' ? { matchLabels: selector as Record<string, string> } : (selector as LabelSelector);
}
