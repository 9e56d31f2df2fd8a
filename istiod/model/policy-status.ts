/** Writes what node proxies make of an AuthorizationPolicy into its status (ambient-wire 9.3). */
import type { Clock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Condition } from '../../common/kube/kinds/core.ts';
import { type AuthorizationPolicy, authorizationPolicyKind } from '../../common/kube/kinds/security.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import type { AcceptedCondition } from './authorization.ts';

const type = 'ZtunnelAccepted';

/** The conditions as they should be; undefined when they are so already. */
export function conditionsFor(
  policy: AuthorizationPolicy,
  accepted: AcceptedCondition,
  now: string,
): readonly Condition[] | undefined {
  const conditions = policy.status?.conditions ?? [];
  const before = conditions.find((c) => c.type === type);
  const generation = policy.metadata.generation ?? 1;
  const same =
    before?.status === accepted.status &&
    before.reason === accepted.reason &&
    before.message === accepted.message &&
    before.observedGeneration === generation;
  if (same) return undefined;
  const lastTransitionTime = before?.status === accepted.status ? (before.lastTransitionTime ?? now) : now;
  const after: Condition = { type, ...accepted, observedGeneration: generation, lastTransitionTime };
  return [...conditions.filter((c) => c.type !== type), after];
}

export async function writePolicyStatus(
  source: KubeSource,
  policy: AuthorizationPolicy,
  accepted: AcceptedCondition,
  clock: Clock,
  log: Logger,
): Promise<void> {
  const conditions = conditionsFor(policy, accepted, new Date(clock.wall()).toISOString());
  if (conditions === undefined) return;
  const { name, namespace = 'default', resourceVersion } = policy.metadata;
  try {
    const options = { subresource: 'status', resourceVersion } as const;
    await source.patch(authorizationPolicyKind, { namespace, name }, { status: { conditions } }, options);
  } catch (e) {
    // Somebody changed or removed it meanwhile; that change brings us here again.
    if (e instanceof MeshError && (e.code === 'CONFLICT' || e.code === 'NOT_FOUND')) return;
    log.warn('cannot write the status of a policy', { policy: `${namespace}/${name}`, error: describeError(e) });
  }
}
