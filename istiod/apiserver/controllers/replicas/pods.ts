/** Pods that controllers make of a template, and which of them go first. Pure. */
import type { PodTemplate } from '../../../../common/kube/kinds/apps.ts';
import type { Pod } from '../../../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';
import { conditionOf } from '../runtime/conditions.ts';
import { isReady } from '../runtime/pod-state.ts';
import { deletionCost } from '../runtime/slim.ts';
import type { Draft } from '../runtime/writer.ts';
import { controllerRef } from './claim.ts';

/** `name` empty: generated from the owner's. `labels` are added to the template's. */
export function podOf(
  owner: KubeObject,
  template: PodTemplate,
  { name, labels }: { readonly name?: string; readonly labels?: Readonly<Record<string, string>> } = {},
): Draft {
  const { namespace = '' } = owner.metadata;
  const { metadata = {}, spec } = template;
  return {
    metadata: {
      ...(name === undefined ? { generateName: `${owner.metadata.name}-` } : { name }),
      namespace,
      labels: { ...metadata.labels, ...labels },
      ...(metadata.annotations === undefined ? {} : { annotations: { ...metadata.annotations } }),
      ownerReferences: [controllerRef(owner)],
    },
    spec,
  };
}

const phases: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

/** The first so many of those that can best be missed: what serves nobody before what serves, the youngest before the oldest. */
export function leastNeeded(pods: readonly Pod[], count: number): readonly Pod[] {
  const perNode = new Map<string, number>();
  for (const { spec } of pods) perNode.set(spec.nodeName ?? '', (perNode.get(spec.nodeName ?? '') ?? 0) + 1);
  const ranked = pods.map((pod) => ({ pod, rank: rankOf(pod, perNode.get(pod.spec.nodeName ?? '') ?? 0) }));
  ranked.sort((a, b) => {
    for (let i = 0; i < a.rank.length; i++) if (a.rank[i] !== b.rank[i]) return a.rank[i]! - b.rank[i]!;
    return 0;
  });
  return ranked.slice(0, count).map((r) => r.pod);
}

/** Compared from left to right; the smaller goes first. */
function rankOf(pod: Pod, neighbours: number): readonly number[] {
  const { metadata, spec, status } = pod;
  const cost = Number(metadata.annotations?.[deletionCost] ?? 0);
  const ready = isReady(pod);
  const since = ready ? time(conditionOf(status?.conditions, 'Ready')?.lastTransitionTime) : 0;
  const restarts = (status?.containerStatuses ?? []).reduce((n, c) => Math.max(n, c.restartCount), 0);
  return [
    spec.nodeName ? 1 : 0,
    phases[status?.phase ?? 'Pending'] ?? 0,
    ready ? 1 : 0,
    Number.isInteger(cost) ? cost : 0,
    -neighbours,
    -since,
    -restarts,
    -time(metadata.creationTimestamp),
  ];
}

function time(text: string | null | undefined): number {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? 0 : ms;
}
