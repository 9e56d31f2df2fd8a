/** The node for a pod. Pure. */
import type { Node, Pod } from '../../../../common/kube/kinds/core.ts';
import { obstacle, preference, type Resources, unsupported } from './fit.ts';

export type Placement =
  | { readonly kind: 'node'; readonly name: string }
  /** `message` as kubectl describe shows it. */
  | { readonly kind: 'none'; readonly message: string };

export interface Loads {
  used(node: string): Resources;
  siblings(node: string, owner: string): number;
}

/** The one it likes most, then the one with the fewest of its siblings, then with the fewest pods. */
export function place(pod: Pod, nodes: Iterable<Node>, loads: Loads): Placement {
  const unknown = unsupported(pod.spec);
  if (unknown !== undefined) return { kind: 'none', message: unknown };
  const owner = pod.metadata.ownerReferences?.find((o) => o.controller)?.uid ?? '';
  const reasons = new Map<string, number>();
  let total = 0;
  let best: { readonly name: string; readonly score: readonly number[] } | undefined;
  for (const node of nodes) {
    total++;
    const { name } = node.metadata;
    const why = obstacle(pod.spec, node, loads.used(name));
    if (why !== undefined) {
      reasons.set(why, (reasons.get(why) ?? 0) + 1);
      continue;
    }
    const score = [-preference(pod.spec, node), loads.siblings(name, owner), loads.used(name)['pods'] ?? 0];
    if (best === undefined || isLess(score, best.score)) best = { name, score };
  }
  if (best !== undefined) return { kind: 'node', name: best.name };
  if (total === 0) return { kind: 'none', message: 'no nodes available to schedule pods' };
  const counted = [...reasons].map(
    ([why, n]) => `${n} ${why.startsWith('Insufficient') || why.startsWith('Too') ? '' : 'node(s) '}${why}`,
  );
  return { kind: 'none', message: `0/${total} nodes are available: ${counted.sort().join(', ')}.` };
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}
