/** Which pods of a DaemonSet are to be made and deleted. Pure. */
import type { Node, Pod, PodSpec } from '../../../../common/kube/kinds/core.ts';
import { revisionLabel } from '../revisions/revisions.ts';
import { isActive, isAvailable, isDeleting } from '../runtime/pod-state.ts';
import { matchesNode, type Toleration, taintsOf, tolerates, tolerationsOf } from '../scheduler/fit.ts';

/** Pods of DaemonSets stay on nodes that are in trouble, where they may be what is needed. */
export const ownTolerations: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
];

/** Bound to its node by the scheduler, through this affinity. */
export function specFor(spec: PodSpec, node: string): PodSpec {
  const tolerations = tolerationsOf(spec);
  const added = ownTolerations.filter((t) => !tolerations.some((o) => o.key === t.key && o.effect === t.effect));
  const network = { key: 'node.kubernetes.io/network-unavailable', operator: 'Exists', effect: 'NoSchedule' } as const;
  const affinity = (spec['affinity'] ?? {}) as Record<string, unknown>;
  const nodeAffinity = (affinity['nodeAffinity'] ?? {}) as Record<string, unknown>;
  return {
    ...spec,
    tolerations: [...tolerations, ...added, ...(spec.hostNetwork === true ? [network] : [])],
    affinity: {
      ...affinity,
      nodeAffinity: {
        ...nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }],
        },
      },
    },
  };
}

/** The node that a pod of a DaemonSet is for. */
export function nodeOf({ spec }: Pod): string | undefined {
  if (spec.nodeName) return spec.nodeName;
  const affinity = spec['affinity'] as
    | {
        readonly nodeAffinity?: {
          readonly requiredDuringSchedulingIgnoredDuringExecution?: {
            readonly nodeSelectorTerms?: readonly {
              readonly matchFields?: readonly { readonly values?: readonly string[] }[];
            }[];
          };
        };
      }
    | undefined;
  return affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms?.[0]
    ?.matchFields?.[0]?.values?.[0];
}

/** `run`: a pod may start there; `stay`: one that is there may go on. */
export function placeOn(spec: PodSpec, node: Node): { readonly run: boolean; readonly stay: boolean } {
  if (!matchesNode(spec, node) || (spec.nodeName && spec.nodeName !== node.metadata.name))
    return { run: false, stay: false };
  const tolerations = [...tolerationsOf(spec), ...ownTolerations];
  const against = taintsOf(node).filter((t) => t.effect !== 'PreferNoSchedule' && !tolerates(tolerations, t));
  return { run: against.length === 0, stay: !against.some((t) => t.effect === 'NoExecute') };
}

export interface DaemonPlan {
  /** Nodes. */
  readonly create: readonly string[];
  readonly remove: readonly Pod[];
}

export interface DaemonView {
  readonly nodes: readonly { readonly name: string; readonly run: boolean; readonly stay: boolean }[];
  readonly pods: readonly Pod[];
  /** Of the present template. */
  readonly hash: string;
  /** undefined: OnDelete. */
  readonly rolling: { readonly surge: number; readonly unavailable: number } | undefined;
  readonly minReadySeconds: number;
  /** Ms. */
  readonly now: number;
}

export function planDaemons({ nodes, pods, hash, rolling, minReadySeconds, now }: DaemonView): DaemonPlan {
  const byNode = Map.groupBy(pods, (p) => nodeOf(p) ?? '');
  const available = (p: Pod) => !isDeleting(p) && isAvailable(p, minReadySeconds, now);
  const isNew = (p: Pod) => p.metadata.labels?.[revisionLabel] === hash;
  const create: string[] = [];
  const remove = new Set<Pod>();
  /** Nodes whose only active pod is an old one that serves. */
  const served: { readonly node: string; readonly old: Pod }[] = [];
  let away = 0;
  let surging = 0;
  for (const { name, run, stay } of nodes) {
    const here = byNode.get(name) ?? [];
    byNode.delete(name);
    if (!run && (!stay || here.length === 0)) {
      for (const p of here) if (!isDeleting(p)) remove.add(p);
      continue;
    }
    const active = here.filter(isActive).sort(oldestFirst);
    for (const p of here) if (!isActive(p) && !isDeleting(p)) remove.add(p);
    const fresh = active.filter(isNew);
    const old = active.filter((p) => !isNew(p));
    for (const extra of [...fresh.slice(1), ...old.slice(1)]) remove.add(extra);
    const [newest] = fresh;
    const [oldest] = old;
    if (!active.some(available)) away++;
    if (newest !== undefined && oldest !== undefined) {
      if (available(newest) || !available(oldest)) remove.add(oldest);
      else surging++;
    } else if (active.length === 0) {
      // One that is ending still has the node's ports.
      if (!here.some(isDeleting)) create.push(name);
    } else if (oldest !== undefined && rolling !== undefined) {
      if (available(oldest)) served.push({ node: name, old: oldest });
      else if (rolling.surge > 0) create.push(name);
      else remove.add(oldest);
    }
  }
  for (const [node, left] of byNode) {
    // The node is gone, or never was: what is bound there is cleared with the node.
    if (node !== '' || left.length > 0) for (const p of left) if (!isDeleting(p)) remove.add(p);
  }
  if (rolling !== undefined) {
    if (rolling.surge > 0) create.push(...served.slice(0, Math.max(0, rolling.surge - surging)).map((s) => s.node));
    else for (const { old } of served.slice(0, Math.max(0, rolling.unavailable - away))) remove.add(old);
  }
  return { create, remove: [...remove] };
}

function oldestFirst(a: Pod, b: Pod): number {
  return (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? '');
}
