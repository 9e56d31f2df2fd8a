/** What becomes of an object with owners. Pure. */
import type { OwnerReference } from '../../objects.ts';

export type OwnerState =
  /** Is there and stays, or nobody can say (its kind is not served): it keeps the object. */
  | 'solid'
  /** Is being deleted in the foreground, after its dependents. */
  | 'waiting'
  | 'gone';

export interface Dependent {
  readonly owners: readonly { readonly uid: string; readonly state: OwnerState }[];
  readonly finalizers: readonly string[];
  /** Whether anything has it as its owner. */
  readonly hasDependents: boolean;
  readonly deletionTimestamp: string | undefined;
}

export type Fate =
  | { readonly kind: 'stay' }
  /** The other owners keep it. */
  | { readonly kind: 'drop-owners'; readonly uids: readonly string[] }
  | { readonly kind: 'delete'; readonly propagation: 'Foreground' | 'Background' | 'Orphan' };

export const orphanFinalizer = 'orphan';
export const foregroundFinalizer = 'foregroundDeletion';

export function fateOf({ owners, finalizers, hasDependents, deletionTimestamp }: Dependent): Fate {
  if (deletionTimestamp !== undefined && !finalizers.includes(foregroundFinalizer)) return { kind: 'stay' };
  if (owners.length === 0) return { kind: 'stay' };
  const lost = owners.filter((o) => o.state !== 'solid');
  if (lost.length === 0) return { kind: 'stay' };
  if (lost.length < owners.length) return { kind: 'drop-owners', uids: lost.map((o) => o.uid) };
  if (deletionTimestamp !== undefined) return { kind: 'stay' };
  if (hasDependents && lost.some((o) => o.state === 'waiting')) return { kind: 'delete', propagation: 'Foreground' };
  if (finalizers.includes(orphanFinalizer)) return { kind: 'delete', propagation: 'Orphan' };
  return { kind: 'delete', propagation: finalizers.includes(foregroundFinalizer) ? 'Foreground' : 'Background' };
}

/** Whether a dependent holds an owner that is deleted in the foreground. */
export function blocks(refs: readonly OwnerReference[], ownerUid: string): boolean {
  return refs.some((r) => r.uid === ownerUid && r.blockOwnerDeletion === true);
}
