/** What LimitRanges fill in and refuse. Pure. */
import type { Container, PodSpec } from '../../../../common/kube/kinds/core.ts';
import { parseQuantity } from '../../../../common/kube/quantity.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';

type Amounts = Readonly<Record<string, string>>;

interface Limit {
  readonly type: string;
  readonly min?: Amounts;
  readonly max?: Amounts;
  readonly default?: Amounts;
  readonly defaultRequest?: Amounts;
  readonly maxLimitRequestRatio?: Amounts;
}

export interface LimitRange extends KubeObject {
  readonly spec?: { readonly limits?: readonly Limit[] };
}

export interface Resources {
  readonly requests?: Amounts;
  readonly limits?: Amounts;
}

export function resourcesOf(container: Container): Resources {
  return (container['resources'] as Resources | undefined) ?? {};
}

function limitsOf(ranges: readonly LimitRange[], type: string): readonly Limit[] {
  return ranges.flatMap((r) => r.spec?.limits ?? []).filter((l) => l.type === type);
}

/** With what the ranges give containers that say nothing. */
export function withDefaults(container: Container, ranges: readonly LimitRange[]): Container {
  let { requests = {}, limits = {} } = resourcesOf(container);
  for (const limit of limitsOf(ranges, 'Container')) {
    requests = { ...limit.defaultRequest, ...requests };
    limits = { ...limit.default, ...limits };
  }
  const resources = {
    ...(container['resources'] as object | undefined),
    ...(Object.keys(requests).length === 0 ? {} : { requests }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  };
  return Object.keys(resources).length === 0 ? container : { ...container, resources };
}

/** What is wrong with a pod, in Kubernetes' words. */
export function podProblems(spec: PodSpec, ranges: readonly LimitRange[]): readonly string[] {
  const all = [...spec.containers, ...(spec.initContainers ?? [])];
  const pod: Resources = { requests: sums(spec, 'requests'), limits: sums(spec, 'limits') };
  return [
    ...limitsOf(ranges, 'Container').flatMap((limit) => all.flatMap((c) => problems(limit, resourcesOf(c)))),
    ...limitsOf(ranges, 'Pod').flatMap((limit) => problems(limit, pod)),
  ];
}

/** What is wrong with a claim. */
export function claimProblems(resources: Resources, ranges: readonly LimitRange[]): readonly string[] {
  // A claim has no limits: what it asks for is both.
  const both = { requests: resources.requests ?? {}, limits: resources.requests ?? {} };
  return limitsOf(ranges, 'PersistentVolumeClaim').flatMap((limit) => problems(limit, both));
}

function problems({ type, min = {}, max = {}, maxLimitRequestRatio = {} }: Limit, own: Resources): readonly string[] {
  const { requests = {}, limits = {} } = own;
  const value = (amounts: Amounts, name: string) =>
    amounts[name] === undefined ? undefined : parseQuantity(amounts[name]);
  const found: string[] = [];
  for (const [name, bound] of Object.entries(min)) {
    const [least, request, limit] = [parseQuantity(bound) ?? 0, value(requests, name), value(limits, name)];
    const text = `minimum ${name} usage per ${type} is ${bound}`;
    if (request === undefined) found.push(`${text}.  No request is specified`);
    else if (request < least) found.push(`${text}, but request is ${requests[name]}`);
    else if (limit !== undefined && limit < least) found.push(`${text}, but limit is ${limits[name]}`);
  }
  for (const [name, bound] of Object.entries(max)) {
    const [most, request, limit] = [parseQuantity(bound) ?? 0, value(requests, name), value(limits, name)];
    const text = `maximum ${name} usage per ${type} is ${bound}`;
    if (limit === undefined) found.push(`${text}.  No limit is specified`);
    else if (limit > most) found.push(`${text}, but limit is ${limits[name]}`);
    else if (request !== undefined && request > most) found.push(`${text}, but request is ${requests[name]}`);
  }
  for (const [name, bound] of Object.entries(maxLimitRequestRatio)) {
    const [most, request, limit] = [parseQuantity(bound) ?? 0, value(requests, name) ?? 0, value(limits, name) ?? 0];
    const text = `${name} max limit to request ratio per ${type} is ${bound}`;
    if (request === 0) found.push(`${text}, but no request is specified or request is 0`);
    else if (limit === 0) found.push(`${text}, but no limit is specified or limit is 0`);
    else if (limit / request > most) found.push(`${text}, but provided ratio is ${(limit / request).toFixed(6)}`);
  }
  return found;
}

/** Of the containers together; of init containers, which run alone, where one has more. */
export function sums(spec: PodSpec, which: 'requests' | 'limits'): Amounts {
  const total = new Map<string, number>();
  const amounts = (c: Container) => Object.entries(resourcesOf(c)[which] ?? {});
  for (const container of spec.containers)
    for (const [name, text] of amounts(container)) total.set(name, (total.get(name) ?? 0) + (parseQuantity(text) ?? 0));
  for (const container of spec.initContainers ?? [])
    for (const [name, text] of amounts(container))
      total.set(name, Math.max(total.get(name) ?? 0, parseQuantity(text) ?? 0));
  return Object.fromEntries([...total].map(([name, n]) => [name, formatAmount(n)]));
}

/** `250m`, `3`, `1536Mi`: whole numbers of the largest unit that divides it. */
export function formatAmount(n: number): string {
  const thousandths = Math.round(n * 1000);
  if (thousandths % 1000 !== 0) return `${thousandths}m`;
  const whole = thousandths / 1000;
  const unit = ['Ti', 'Gi', 'Mi', 'Ki'].find((_, i) => whole > 0 && whole % 2 ** (10 * (4 - i)) === 0);
  return unit === undefined ? String(whole) : `${whole / (parseQuantity(`1${unit}`) ?? 1)}${unit}`;
}
