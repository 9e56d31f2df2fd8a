/**
 * Who leads, from a Lease (coordination.k8s.io/v1) and from when it was seen to change: clocks of different machines are never compared.
 * Times and rules are those of client-go, so that others' tools read the Lease rightly.
 */
import type { KubeObject } from '../../common/kube/types.ts';

export interface Lease extends KubeObject {
  readonly spec?: {
    /** Empty: given back. */
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    /** RFC 3339 with microseconds. */
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export interface Observed {
  readonly lease: Lease;
  /** Monotonic ms at which this version of it was first seen. */
  readonly since: number;
}

/** Seconds after the last renewal that others may take it. */
export const leaseDuration = 15;
/** Ms after its last renewal that a leader stops by itself: before others may begin. */
export const renewDeadline = 10_000;

export type Claim =
  | { readonly kind: 'create' }
  | { readonly kind: 'update'; readonly spec: NonNullable<Lease['spec']>; readonly resourceVersion: string }
  /** Somebody else leads. */
  | { readonly kind: 'wait' };

export function claim(observed: Observed | undefined, me: string, now: number, wall: number): Claim {
  if (observed === undefined) return { kind: 'create' };
  const { spec = {}, metadata } = observed.lease;
  const { holderIdentity: holder = '', leaseDurationSeconds: seconds = leaseDuration, leaseTransitions = 0 } = spec;
  const { resourceVersion } = metadata;
  if (holder === me)
    return {
      kind: 'update',
      spec: { ...freshSpec(me, wall), acquireTime: spec.acquireTime ?? microTime(wall), leaseTransitions },
      resourceVersion,
    };
  if (holder !== '' && now - observed.since < seconds * 1000) return { kind: 'wait' };
  return { kind: 'update', spec: { ...freshSpec(me, wall), leaseTransitions: leaseTransitions + 1 }, resourceVersion };
}

/** Of a Lease that is taken now. */
export function freshSpec(me: string, wall: number): NonNullable<Lease['spec']> {
  const time = microTime(wall);
  return {
    holderIdentity: me,
    leaseDurationSeconds: leaseDuration,
    acquireTime: time,
    renewTime: time,
    leaseTransitions: 0,
  };
}

function microTime(wall: number): string {
  return new Date(wall).toISOString().replace('Z', '000Z');
}
