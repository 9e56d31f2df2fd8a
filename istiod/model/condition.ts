/** Conditions of our types (ambient-wire 9.3) among those of others. */

import type { Clock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Condition } from '../../common/kube/kinds/core.ts';
import type { Kind, KubeObject, KubeSource } from '../../common/kube/types.ts';

/** What node proxies make of an AuthorizationPolicy. */
export const ztunnelAccepted = 'ZtunnelAccepted';
/** Whether a policy with targets reaches a waypoint; of a WorkloadEntry, whether its waypoints send it anything. */
export const waypointAccepted = 'WaypointAccepted';
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

/** The conditions as they should be, without the types for which nothing is wanted; undefined when they are so already. */
export function conditionsFor(
  object: WithConditions,
  wanted: ReadonlyMap<string, WantedCondition | undefined>,
  now: string,
): readonly Condition[] | undefined {
  const present = object.status?.conditions ?? [];
  const generation = object.metadata.generation ?? 1;
  const next = present.filter((c) => !wanted.has(c.type));
  let same = true;
  for (const [type, condition] of wanted) {
    const before = present.find((c) => c.type === type);
    if (condition) next.push(conditionOf(type, condition, before, generation, now));
    same &&= condition ? before !== undefined && says(before, condition, generation) : before === undefined;
  }
  return same ? undefined : next;
}

function says(before: Condition, { status, reason, message }: WantedCondition, generation: number): boolean {
  // Istio's kinds keep the generation as a text, too.
  const observed = Number(before.observedGeneration) === generation;
  return before.status === status && before.reason === reason && before.message === message && observed;
}

function conditionOf(
  type: string,
  wanted: WantedCondition,
  before: Condition | undefined,
  observedGeneration: number,
  now: string,
): Condition {
  const lastTransitionTime = before?.status === wanted.status ? (before.lastTransitionTime ?? now) : now;
  return { type, ...wanted, observedGeneration, lastTransitionTime };
}

export interface ConditionWriter {
  readonly source: KubeSource;
  readonly clock: Clock;
  readonly log: Logger;
}

/** `met`: somebody changed or removed it meanwhile; `failed`: said in the log. Either way it has to be tried again, from the object as it is then. */
export type WriteOutcome = 'unchanged' | 'written' | 'met' | 'failed';

export async function writeConditions<T extends WithConditions>(
  writer: ConditionWriter,
  kind: Kind<T>,
  object: T,
  wanted: ReadonlyMap<string, WantedCondition | undefined>,
): Promise<WriteOutcome> {
  const conditions = conditionsFor(object, wanted, new Date(writer.clock.wall()).toISOString());
  return conditions === undefined ? 'unchanged' : writeStatus(writer, kind, object, { conditions });
}

/** These fields of the status, and no others. */
export async function writeStatus<T extends KubeObject>(
  { source, log }: ConditionWriter,
  kind: Kind<T>,
  object: T,
  status: object,
): Promise<WriteOutcome> {
  const { name, namespace = 'default', resourceVersion } = object.metadata;
  try {
    const options = { subresource: 'status', resourceVersion } as const;
    await source.patch(kind, kind.namespaced ? { namespace, name } : { name }, { status }, options);
    return 'written';
  } catch (e) {
    if (e instanceof MeshError && (e.code === 'CONFLICT' || e.code === 'NOT_FOUND')) return 'met';
    const what = `${kind.kind} ${namespace}/${name}`;
    log.warn('cannot write the status', { object: what, fields: Object.keys(status).join(), error: describeError(e) });
    return 'failed';
  }
}
