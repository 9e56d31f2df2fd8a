/** The status of a CustomResourceDefinition: whether it has its names, and whether it is served. Pure. */
import { isDeepStrictEqual } from 'node:util';
import type { Condition } from '../../../common/kube/kinds/core.ts';
import type { CustomResourceDefinition, DefinitionStatus } from '../../../common/kube/kinds/extension.ts';
import { timestamp } from '../../../common/kube/timestamp.ts';
import { isTrue } from './definition.ts';
import type { Decision } from './names.ts';

export type StatusChange = { readonly kind: 'none' } | { readonly kind: 'set'; readonly status: DefinitionStatus };

/** `now`: ms since the epoch. */
export function statusFor(definition: CustomResourceDefinition, decision: Decision, now: number): StatusChange {
  const { spec, status = {}, metadata } = definition;
  const served = isTrue(definition, 'Established');
  let conditions = [...(status.conditions ?? [])];
  const set = (type: string, value: boolean, reason: string, message: string) => {
    conditions = withCondition(conditions, { type, status: value ? 'True' : 'False', reason, message }, now);
  };
  if (decision.kind === 'accepted') {
    set('NamesAccepted', true, 'NoConflicts', 'no conflicts found');
    set('Established', true, 'InitialNamesAccepted', 'the initial names have been accepted');
  } else {
    set('NamesAccepted', false, decision.reason, decision.message);
    // What is served goes on under the names that it has.
    if (!served) set('Established', false, 'NotAccepted', 'not all names are accepted');
  }
  if (metadata.deletionTimestamp !== undefined) {
    set('Terminating', true, 'InstanceDeletionInProgress', 'CustomResource deletion is in progress');
  }
  const acceptedNames = decision.kind === 'accepted' ? spec.names : (status.acceptedNames ?? { plural: '', kind: '' });
  const next: DefinitionStatus = { ...status, conditions, acceptedNames };
  return isDeepStrictEqual(next, status) ? { kind: 'none' } : { kind: 'set', status: next };
}

/** The time of the last change stays while the condition's status does. */
function withCondition(conditions: readonly Condition[], wanted: Condition, now: number): Condition[] {
  const i = conditions.findIndex((c) => c.type === wanted.type);
  const old = conditions[i];
  const since = old?.status === wanted.status ? old.lastTransitionTime : timestamp(now);
  const next = { ...wanted, lastTransitionTime: since ?? timestamp(now) };
  return i < 0 ? [...conditions, next] : conditions.with(i, next);
}
