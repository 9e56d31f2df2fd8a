/** The mesh's own objects with what became of each: conditions, and how many proxies have it. Pure. */
import type { Condition } from '../../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import { programmed } from '../../status/programmed.ts';
import type { Place } from '../access.ts';

export interface ObjectView {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  /** `3/3`; absent where no proxy is told of it, or has not been yet. */
  readonly programmed?: string;
  /** False or Unknown for the first condition that is, with its reason. */
  readonly state: 'ok' | 'waiting' | 'wrong';
  readonly conditions: readonly Pick<Condition, 'type' | 'status' | 'reason' | 'message'>[];
}

/** Conditions that are good when they are False. */
const bad = new Set(['PartiallyInvalid', 'Conflicted', 'OverlappingTLSConfig']);

export function objectsOf(all: Iterable<KubeObject>, readable: (place: Place) => boolean): readonly ObjectView[] {
  return [...all]
    .filter((o) => readable(placeOf(o)))
    .map(objectView)
    .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

export function placeOf({ kind, metadata: { namespace } }: KubeObject): Place {
  return namespace === undefined ? { kind } : { kind, namespace };
}

function objectView(object: KubeObject): ObjectView {
  const { apiVersion, kind, metadata } = object;
  const conditions = conditionsOf(object);
  const count = conditions.find((c) => c.type === programmed)?.message?.match(/^\d+\/\d+/)?.[0];
  const wrong = conditions.some((c) => (bad.has(c.type) ? c.status === 'True' : c.status === 'False' && !isWaiting(c)));
  const waiting = conditions.some((c) => c.status === 'Unknown' || isWaiting(c));
  return {
    apiVersion,
    kind,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    generation: metadata.generation ?? 0,
    ...(count !== undefined && { programmed: count }),
    state: wrong ? 'wrong' : waiting ? 'waiting' : 'ok',
    conditions: conditions.map(({ type, status, reason = '', message = '' }) => ({ type, status, reason, message })),
  };
}

function isWaiting({ status, reason }: Condition): boolean {
  return status === 'False' && reason === 'Pending';
}

/** Of a Gateway API route each parent has its own. */
function conditionsOf(object: KubeObject): readonly Condition[] {
  const status = object['status'] as
    | {
        readonly conditions?: readonly Condition[];
        readonly parents?: readonly { readonly conditions?: readonly Condition[] }[];
      }
    | undefined;
  return [...(status?.conditions ?? []), ...(status?.parents ?? []).flatMap((p) => p.conditions ?? [])];
}

function keyOf({ kind, namespace, name }: ObjectView): string {
  return [kind, namespace, name].join('\0');
}
