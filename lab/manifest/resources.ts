/** What a container may use, and how the downward API tells it. */
import type { Container } from '../../common/kube/kinds/core.ts';
import { parseQuantity } from '../../common/kube/quantity.ts';
import { limitFields, requestFields } from './fields.ts';
import type { Problems } from './problems.ts';

/** By resource: CPUs, bytes. */
export type Amounts = Readonly<Record<string, number>>;

export interface ResourcePlan {
  readonly limits: Amounts;
  readonly requests: Amounts;
}

interface Resources {
  readonly limits?: Readonly<Record<string, unknown>>;
  readonly requests?: Readonly<Record<string, unknown>>;
}

export function planResources(c: Container, at: string, problems: Problems): ResourcePlan {
  const resources = (c['resources'] ?? {}) as Resources;
  const field = `${at}.resources`;
  problems.check(resources, field, {
    limits: { kind: 'honoured' },
    requests: { kind: 'honoured' },
    claims: { kind: 'refused', because: 'there are no devices to claim', unless: [[]] },
  });
  problems.check(resources.limits, `${field}.limits`, limitFields);
  problems.check(resources.requests, `${field}.requests`, requestFields);
  const amounts = (list: 'limits' | 'requests'): Amounts =>
    Object.fromEntries(
      Object.entries(resources[list] ?? {}).map(([name, value]) => {
        const amount = parseQuantity(value);
        if (amount === undefined) problems.add(`${field}.${list}.${name}`, `"${String(value)}" is not a quantity`);
        return [name, amount ?? 0];
      }),
    );
  const limits = amounts('limits');
  return { limits, requests: { ...limits, ...amounts('requests') } };
}

/** `limits.memory` of a container, in units of `divisor`, rounded up. */
export interface ResourceField {
  /** undefined: of the container itself. */
  readonly container: string | undefined;
  readonly of: 'limits' | 'requests';
  readonly resource: string;
  readonly divisor: number;
}

export function planResourceField(ref: unknown, field: string, problems: Problems): ResourceField {
  const { containerName, resource = '', divisor } = ref as Readonly<Record<string, string | undefined>>;
  problems.only(ref as object, field, ['containerName', 'resource', 'divisor']);
  const [, of, name] = /^(limits|requests)\.(cpu|memory|ephemeral-storage)$/.exec(resource) ?? [];
  if (of === undefined)
    problems.add(`${field}.resource`, `"${resource}" is not limits.cpu, requests.memory or the like`);
  const unit = divisor === undefined ? 1 : parseQuantity(divisor);
  if (unit === undefined || unit < 0) problems.add(`${field}.divisor`, `"${divisor}" is not a quantity`);
  // `0` is what the API server fills in for "not given".
  return {
    container: containerName,
    of: of as 'limits' | 'requests',
    resource: name ?? '',
    divisor: unit || 1,
  };
}

/** A limit that is not given is what the node has. */
export function resourceValue(field: ResourceField, plan: ResourcePlan, allocatable: Amounts): string {
  const own = plan[field.of][field.resource] ?? (field.of === 'limits' ? allocatable[field.resource] : 0) ?? 0;
  // Decimal fractions of CPUs are not exact in binary.
  return String(Math.ceil(Number((own / field.divisor).toPrecision(15))));
}
