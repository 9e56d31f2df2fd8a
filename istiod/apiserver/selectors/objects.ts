/** Selectors of objects (matchLabels, matchExpressions) as requirements. Pure. */
import { assertNever } from '../../../common/core/errors.ts';
import type { LabelSelector } from '../../../common/kube/kinds/apps.ts';
import { type Labels, matchesLabels, type Requirement } from './labels.ts';

/** undefined selects nothing; an empty selector everything. */
export function matchesSelector(selector: LabelSelector | undefined, labels: Labels | undefined): boolean {
  return selector !== undefined && matchesLabels(requirementsOf(selector), labels);
}

export function requirementsOf({ matchLabels = {}, matchExpressions = [] }: LabelSelector): readonly Requirement[] {
  return [
    ...Object.entries(matchLabels).map(([key, value]): Requirement => ({ kind: 'in', key, values: new Set([value]) })),
    ...matchExpressions.map(requirementOf),
  ];
}

export type LabelExpression = NonNullable<LabelSelector['matchExpressions']>[number];

export function requirementOf({ key, operator, values = [] }: LabelExpression): Requirement {
  switch (operator) {
    case 'In':
      return { kind: 'in', key, values: new Set(values) };
    case 'NotIn':
      return { kind: 'not-in', key, values: new Set(values) };
    case 'Exists':
      return { kind: 'exists', key };
    case 'DoesNotExist':
      return { kind: 'absent', key };
    default:
      return assertNever(operator);
  }
}
