/** Writes one condition into an object's status (ambient-wire 9.3), and leaves those of others as they are. */
import type { Clock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Condition } from '../../common/kube/kinds/core.ts';
import type { Kind, KubeObject, KubeSource } from '../../common/kube/types.ts';

/** What node proxies make of an AuthorizationPolicy. */
export const ztunnelAccepted = 'ZtunnelAccepted';
/** Whether a Service is behind the waypoint that is named for it. */
export const waypointBound = 'istio.io/WaypointBound';

export interface WantedCondition {
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

export interface WithConditions extends KubeObject {
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/** The conditions as they should be, without the type where nothing is wanted; undefined when they are so already. */
export function conditionsFor(
  object: WithConditions,
  type: string,
  wanted: WantedCondition | undefined,
  now: string,
): readonly Condition[] | undefined {
  const conditions = object.status?.conditions ?? [];
  const before = conditions.find((c) => c.type === type);
  const others = conditions.filter((c) => c.type !== type);
  if (!wanted) return before ? others : undefined;
  const generation = object.metadata.generation ?? 1;
  const same =
    before?.status === wanted.status &&
    before.reason === wanted.reason &&
    before.message === wanted.message &&
    before.observedGeneration === generation;
  if (same) return undefined;
  const lastTransitionTime = before?.status === wanted.status ? (before.lastTransitionTime ?? now) : now;
  return [...others, { type, ...wanted, observedGeneration: generation, lastTransitionTime }];
}

export interface ConditionWriter {
  readonly source: KubeSource;
  readonly clock: Clock;
  readonly log: Logger;
}

/** `failed`: it has to be tried again, from the object as it is then. */
export async function writeCondition<T extends WithConditions>(
  { source, clock, log }: ConditionWriter,
  kind: Kind<T>,
  object: T,
  type: string,
  wanted: WantedCondition | undefined,
): Promise<'unchanged' | 'written' | 'failed'> {
  const conditions = conditionsFor(object, type, wanted, new Date(clock.wall()).toISOString());
  if (conditions === undefined) return 'unchanged';
  const { name, namespace = 'default', resourceVersion } = object.metadata;
  try {
    const options = { subresource: 'status', resourceVersion } as const;
    await source.patch(kind, { namespace, name }, { status: { conditions } }, options);
    return 'written';
  } catch (e) {
    // Somebody changed or removed it meanwhile; that change brings us here again.
    if (e instanceof MeshError && (e.code === 'CONFLICT' || e.code === 'NOT_FOUND')) return 'failed';
    const what = `${kind.kind} ${namespace}/${name}`;
    log.warn('cannot write a condition', { object: what, condition: type, error: describeError(e) });
    return 'failed';
  }
}
