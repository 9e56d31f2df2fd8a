/** What a namespace's status says while its content goes. Pure. */
import type { Condition } from '../../../../common/kube/kinds/core.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import { setCondition } from '../runtime/conditions.ts';

export interface Remaining {
  /** `pods`, `deployments.apps`. */
  readonly resource: string;
  readonly count: number;
  /** Those that hold them; with repeats. */
  readonly finalizers: readonly string[];
}

export function deletionConditions(
  old: readonly Condition[],
  remaining: readonly Remaining[],
  failures: readonly string[],
  now: number,
): readonly Condition[] {
  const finalizers = Map.groupBy(
    remaining.flatMap((r) => r.finalizers),
    (f) => f,
  );
  const wanted: Condition[] = [
    failures.length === 0
      ? no(
          'NamespaceDeletionContentFailure',
          'ContentDeleted',
          'All content successfully deleted, may be waiting on finalization',
        )
      : yes('NamespaceDeletionContentFailure', 'ContentDeletionFailed', failures.join(', ')),
    remaining.length === 0
      ? no('NamespaceContentRemaining', 'ContentRemoved', 'All content successfully removed')
      : yes(
          'NamespaceContentRemaining',
          'SomeResourcesRemain',
          `Some resources are remaining: ${remaining.map((r) => `${r.resource} has ${r.count} resource instances`).join(', ')}`,
        ),
    finalizers.size === 0
      ? no('NamespaceFinalizersRemaining', 'ContentHasNoFinalizers', 'All content-preserving finalizers finished')
      : yes(
          'NamespaceFinalizersRemaining',
          'SomeFinalizersRemain',
          `Some content in the namespace has finalizers remaining: ${[...finalizers].map(([f, all]) => `${f} in ${all.length} resource instances`).join(', ')}`,
        ),
  ];
  return wanted.reduce((all, c) => setCondition(all, c, timestamp(now)), old);
}

const yes = (type: string, reason: string, message: string): Condition => ({ type, status: 'True', reason, message });
const no = (type: string, reason: string, message: string): Condition => ({ type, status: 'False', reason, message });
