/** Which node a pod runs on. Pure. */
import type { Pod, PodSpec } from '../../common/kube/kinds/core.ts';

export interface SchedulableNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export type Placement =
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'none'; readonly reason: string };

/** Spreads pods of one owner first, then all pods; the first node wins a tie. */
export function place(
  spec: PodSpec,
  owner: string | undefined,
  nodes: readonly SchedulableNode[],
  pods: Iterable<Pod>,
): Placement {
  if (spec.nodeName !== undefined) {
    if (nodes.some((n) => n.name === spec.nodeName)) return { kind: 'node', name: spec.nodeName };
    return { kind: 'none', reason: `spec.nodeName: there is no node "${spec.nodeName}"; ${known(nodes)}` };
  }
  const wanted = Object.entries(spec.nodeSelector ?? {});
  const fitting = nodes.filter((n) => wanted.every(([k, v]) => n.labels[k] === v));
  const all = [...pods];
  const load = (node: string) => all.filter((p) => p.spec.nodeName === node).length;
  const siblings = (node: string) =>
    owner === undefined ? 0 : all.filter((p) => p.spec.nodeName === node && ownerOf(p) === owner).length;
  const [best] = fitting
    .map((n) => ({ name: n.name, siblings: siblings(n.name), load: load(n.name) }))
    .sort((a, b) => a.siblings - b.siblings || a.load - b.load);
  if (best) return { kind: 'node', name: best.name };
  const selector = wanted.map(([k, v]) => `${k}=${v}`).join(', ');
  return { kind: 'none', reason: `spec.nodeSelector: no node has the labels ${selector}; ${known(nodes)}` };
}

export function ownerOf(pod: Pod): string | undefined {
  const owner = pod.metadata.ownerReferences?.find((o) => o.controller);
  return owner && `${pod.metadata.namespace}/${owner.name}`;
}

function known(nodes: readonly SchedulableNode[]): string {
  return `the lab has ${nodes.map((n) => n.name).join(', ')}`;
}
