/** What ResourceQuotas count. Pure. */
import type { PodSpec, Service } from '../../../../common/kube/kinds/core.ts';
import { parseQuantity } from '../../../../common/kube/quantity.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';
import { formatAmount, resourcesOf, sums } from './ranges.ts';

export interface ResourceQuota extends KubeObject {
  readonly spec?: {
    readonly hard?: Readonly<Record<string, string>>;
    readonly scopes?: readonly string[];
    readonly scopeSelector?: {
      readonly matchExpressions?: readonly {
        readonly scopeName: string;
        readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
        readonly values?: readonly string[];
      }[];
    };
  };
  readonly status?: object;
}

/** By the names that quotas have for it. */
export type Usage = Readonly<Record<string, number>>;

/** Resources that a quota counts by their own name; all by `count/NAME.GROUP`. */
export const countedByName = [
  'pods',
  'services',
  'configmaps',
  'secrets',
  'persistentvolumeclaims',
  'replicationcontrollers',
  'resourcequotas',
];

/** `count/deployments.apps`, `count/pods`. */
export function countName({ group, resource }: { readonly group: string; readonly resource: string }): string {
  return `count/${resource}${group === '' ? '' : `.${group}`}`;
}

/** A pod that has not ended. */
export function podUsage(spec: PodSpec): Usage {
  const usage: Record<string, number> = { pods: 1, 'count/pods': 1 };
  for (const [name, text] of Object.entries(sums(spec, 'requests'))) {
    usage[`requests.${name}`] = parseQuantity(text) ?? 0;
    if (['cpu', 'memory', 'ephemeral-storage'].includes(name)) usage[name] = parseQuantity(text) ?? 0;
  }
  for (const [name, text] of Object.entries(sums(spec, 'limits'))) usage[`limits.${name}`] = parseQuantity(text) ?? 0;
  return usage;
}

export function serviceUsage({ spec }: Service): Usage {
  const ports = spec.ports?.length ?? 0;
  return {
    services: 1,
    'count/services': 1,
    ...(spec.type === 'NodePort' || spec.type === 'LoadBalancer' ? { 'services.nodeports': ports } : {}),
    ...(spec.type === 'LoadBalancer' ? { 'services.loadbalancers': 1 } : {}),
  };
}

export function claimUsage(claim: KubeObject): Usage {
  const spec = claim['spec'] as { resources?: { requests?: { storage?: string } } } | undefined;
  const storage = parseQuantity(spec?.resources?.requests?.storage ?? '0') ?? 0;
  return { persistentvolumeclaims: 1, 'count/persistentvolumeclaims': 1, 'requests.storage': storage };
}

export function add(a: Usage, b: Usage): Usage {
  const sum: Record<string, number> = { ...a };
  for (const [name, n] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + n;
  return sum;
}

/** Whether the quota counts this pod; without scopes it counts all. */
export function countsPod({ spec = {} }: ResourceQuota, pod: PodSpec): boolean {
  const terms = [
    ...(spec.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' as const, values: [] })),
    ...(spec.scopeSelector?.matchExpressions ?? []),
  ];
  return terms.every(({ scopeName, operator, values = [] }) => {
    if (scopeName === 'PriorityClass') {
      const name = pod['priorityClassName'] as string | undefined;
      if (operator === 'Exists') return name !== undefined;
      if (operator === 'DoesNotExist') return name === undefined;
      return (name !== undefined && values.includes(name)) === (operator === 'In');
    }
    return inScope(scopeName, pod);
  });
}

function inScope(scope: string, pod: PodSpec): boolean {
  const bestEffort = [...pod.containers, ...(pod.initContainers ?? [])].every((c) => {
    const { requests = {}, limits = {} } = resourcesOf(c);
    return ![requests, limits].some((r) => 'cpu' in r || 'memory' in r);
  });
  const ends = pod['activeDeadlineSeconds'] !== undefined;
  switch (scope) {
    case 'BestEffort':
      return bestEffort;
    case 'NotBestEffort':
      return !bestEffort;
    case 'Terminating':
      return ends;
    case 'NotTerminating':
      return !ends;
    default:
      // An unknown scope must not let anything pass uncounted.
      return true;
  }
}

/** Whether a quota counts only pods. */
export function hasScopes({ spec = {} }: ResourceQuota): boolean {
  return (spec.scopes ?? []).length > 0 || (spec.scopeSelector?.matchExpressions ?? []).length > 0;
}

const computed = /^(requests\.|limits\.)?(cpu|memory)$/;

/** Why the quota does not let it in; undefined: it does. `pod`: of a pod, whose containers must say what is counted. */
export function refusal(quota: ResourceQuota, used: Usage, asked: Usage, pod: PodSpec | undefined): string | undefined {
  const hard = Object.entries(quota.spec?.hard ?? {});
  const { name } = quota.metadata;
  if (pod !== undefined) {
    const missing = hard.flatMap(([what]) => {
      if (!computed.test(what)) return [];
      const [kind, amount] = what.startsWith('limits.')
        ? (['limits', what.slice(7)] as const)
        : (['requests', what.replace('requests.', '')] as const);
      const silent = pod.containers.filter((c) => resourcesOf(c)[kind]?.[amount] === undefined);
      return silent.length === 0 ? [] : [`${what} for: ${silent.map((c) => c.name).join(',')}`];
    });
    if (missing.length > 0) return `failed quota: ${name}: must specify ${missing.sort().join('; ')}`;
  }
  const over = hard.filter(
    ([what, limit]) => (asked[what] ?? 0) > 0 && (used[what] ?? 0) + asked[what]! > (parseQuantity(limit) ?? 0),
  );
  if (over.length === 0) return undefined;
  const list = (value: (entry: readonly [string, string]) => string) =>
    over
      .map((e) => `${e[0]}=${value(e)}`)
      .sort()
      .join(',');
  const [requested, present, limited] = [
    list(([what]) => formatAmount(asked[what]!)),
    list(([what]) => formatAmount(used[what] ?? 0)),
    list(([, limit]) => limit),
  ];
  return `exceeded quota: ${name}, requested: ${requested}, used: ${present}, limited: ${limited}`;
}

/** As its status shows it: only what it limits. */
export function shown(quota: ResourceQuota, used: Usage): { readonly hard: object; readonly used: object } {
  const hard = quota.spec?.hard ?? {};
  return { hard, used: Object.fromEntries(Object.keys(hard).map((what) => [what, formatAmount(used[what] ?? 0)])) };
}
