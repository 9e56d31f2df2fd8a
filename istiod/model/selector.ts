import { assertNever } from '../../common/core/errors.ts';
import type { LabelSelector } from '../../common/kube/kinds/apps.ts';

/** Label selectors of equality, as Services and policies use them. */
export type Labels = Readonly<Record<string, string>>;

/** An empty selector matches everything. */
export function selects(selector: Labels, labels: Labels | undefined): boolean {
  return Object.entries(selector).every(
    ([k, v]) => labels !== undefined && Object.hasOwn(labels, k) && labels[k] === v,
  );
}

/** With expressions too. No selector at all selects nothing. */
export function selectsLabels(selector: LabelSelector | undefined, labels: Labels = {}): boolean {
  if (!selector) return false;
  return (
    selects(selector.matchLabels ?? {}, labels) &&
    (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value);
        case 'NotIn':
          return value === undefined || !values.includes(value);
        case 'Exists':
          return value !== undefined;
        case 'DoesNotExist':
          return value === undefined;
        default:
          return assertNever(operator);
      }
    })
  );
}
