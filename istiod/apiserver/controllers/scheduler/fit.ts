/** Which nodes a pod may run on, and which it would rather. Pure. */
import type { Node, PodSpec } from '../../../../common/kube/kinds/core.ts';
import { parseQuantity } from '../../../../common/kube/quantity.ts';
import { matchesLabels, type Requirement } from '../../selectors/labels.ts';
import { type LabelExpression, requirementOf } from '../../selectors/objects.ts';

export interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

export interface Toleration {
  readonly key?: string;
  readonly operator?: 'Exists' | 'Equal';
  readonly value?: string;
  readonly effect?: string;
  /** Of NoExecute: how long; absent: for ever. */
  readonly tolerationSeconds?: number;
}

/** Nodes are also chosen by comparing numbers. */
type Expression = Omit<LabelExpression, 'operator'> & { readonly operator: LabelExpression['operator'] | 'Gt' | 'Lt' };

interface Term {
  readonly matchExpressions?: readonly Expression[];
  readonly matchFields?: readonly Expression[];
}

interface Affinity {
  readonly nodeAffinity?: {
    readonly requiredDuringSchedulingIgnoredDuringExecution?: { readonly nodeSelectorTerms?: readonly Term[] };
    readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly {
      readonly weight: number;
      readonly preference: Term;
    }[];
  };
  readonly podAffinity?: { readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly unknown[] };
  readonly podAntiAffinity?: { readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly unknown[] };
}

/** By resource: `cpu` in cores, `memory` in bytes, `pods`. */
export type Resources = Readonly<Record<string, number>>;

export function taintsOf(node: Node): readonly Taint[] {
  const taints = (node.spec as { readonly taints?: readonly Taint[] } | undefined)?.taints ?? [];
  const closed: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };
  const known = taints.some((t) => t.key === closed.key);
  return node.spec?.unschedulable === true && !known ? [...taints, closed] : taints;
}

export function tolerates(tolerations: readonly Toleration[], taint: Taint): boolean {
  return tolerations.some((t) => {
    if (t.effect !== undefined && t.effect !== '' && t.effect !== taint.effect) return false;
    if ((t.key ?? '') === '') return t.operator === 'Exists';
    if (t.key !== taint.key) return false;
    return t.operator === 'Exists' || (t.value ?? '') === (taint.value ?? '');
  });
}

export function tolerationsOf(spec: PodSpec): readonly Toleration[] {
  return (spec['tolerations'] as readonly Toleration[] | undefined) ?? [];
}

/** Sums of what the containers ask for; those of init containers where they are more. */
export function requestsOf(spec: PodSpec): Resources {
  const own = (c: { readonly [field: string]: unknown }) =>
    Object.entries((c['resources'] as { requests?: Record<string, unknown> } | undefined)?.requests ?? {});
  const sums: Record<string, number> = { pods: 1 };
  for (const container of spec.containers) {
    for (const [name, value] of own(container)) sums[name] = (sums[name] ?? 0) + (parseQuantity(value) ?? 0);
  }
  for (const container of spec.initContainers ?? []) {
    for (const [name, value] of own(container)) sums[name] = Math.max(sums[name] ?? 0, parseQuantity(value) ?? 0);
  }
  return sums;
}

/** What a node says it can give; what it does not name is without end. */
export function allocatableOf(node: Node): Resources {
  const status = node.status as { readonly allocatable?: Readonly<Record<string, unknown>> } | undefined;
  return Object.fromEntries(
    Object.entries(status?.allocatable ?? {}).flatMap(([k, v]) => {
      const n = parseQuantity(v);
      return n === undefined ? [] : [[k, n] as const];
    }),
  );
}

/** Why not, as kubectl describe shows it; undefined: it may. `used` are the requests of the pods that are there. */
export function obstacle(spec: PodSpec, node: Node, used: Resources): string | undefined {
  const tolerations = tolerationsOf(spec);
  const taint = taintsOf(node).find((t) => t.effect !== 'PreferNoSchedule' && !tolerates(tolerations, t));
  if (taint !== undefined) return `had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
  if (!matchesNode(spec, node)) return "didn't match Pod's node affinity/selector";
  const free = allocatableOf(node);
  for (const [name, amount] of Object.entries(requestsOf(spec))) {
    if (amount === 0 || !Object.hasOwn(free, name)) continue;
    if ((used[name] ?? 0) + amount <= free[name]!) continue;
    return name === 'pods' ? 'Too many pods' : `Insufficient ${name}`;
  }
  return undefined;
}

/** What this scheduler does not know, and would have to disregard. */
export function unsupported(spec: PodSpec): string | undefined {
  const affinity = (spec['affinity'] ?? {}) as Affinity;
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    if ((affinity[kind]?.requiredDuringSchedulingIgnoredDuringExecution ?? []).length > 0)
      return `spec.affinity.${kind}.requiredDuringSchedulingIgnoredDuringExecution is not supported: use preferredDuringScheduling..., or set spec.nodeName`;
  }
  const spreads = (spec['topologySpreadConstraints'] ?? []) as readonly { readonly whenUnsatisfiable?: string }[];
  return spreads.some((s) => s.whenUnsatisfiable !== 'ScheduleAnyway')
    ? 'spec.topologySpreadConstraints with whenUnsatisfiable DoNotSchedule is not supported: use ScheduleAnyway'
    : undefined;
}

/** nodeSelector and the required part of the node affinity. */
export function matchesNode(spec: PodSpec, node: Node): boolean {
  const labels = node.metadata.labels ?? {};
  if (!Object.entries(spec.nodeSelector ?? {}).every(([k, v]) => labels[k] === v)) return false;
  const affinity = (spec['affinity'] ?? {}) as Affinity;
  const required = affinity.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || (required.nodeSelectorTerms ?? []).some((t) => matchesTerm(t, node));
}

/** The more the rather; taints that would rather keep it away count against it. */
export function preference(spec: PodSpec, node: Node): number {
  const affinity = (spec['affinity'] ?? {}) as Affinity;
  const preferred = affinity.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const liked = preferred.filter((p) => matchesTerm(p.preference, node)).reduce((n, p) => n + p.weight, 0);
  const tolerations = tolerationsOf(spec);
  const disliked = taintsOf(node).filter((t) => t.effect === 'PreferNoSchedule' && !tolerates(tolerations, t));
  return liked - disliked.length * 100;
}

/** An empty term matches nothing. */
function matchesTerm({ matchExpressions = [], matchFields = [] }: Term, { metadata }: Node): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  return (
    matchesLabels(matchExpressions.map(requirement), metadata.labels) &&
    matchesLabels(matchFields.map(requirement), { 'metadata.name': metadata.name })
  );
}

function requirement({ key, operator, values = [] }: Expression): Requirement {
  switch (operator) {
    case 'Gt':
      return { kind: 'greater', key, value: Number(values[0]) };
    case 'Lt':
      return { kind: 'less', key, value: Number(values[0]) };
    default:
      return requirementOf({ key, operator, values });
  }
}
