/** Which objects an owner has: its own that it still selects, and those of nobody that it selects. Pure. */
import type { LabelSelector } from '../../../../common/kube/kinds/apps.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';
import type { OwnerReference } from '../../objects.ts';
import { matchesSelector } from '../../selectors/objects.ts';

export interface Claims<T> {
  readonly own: readonly T[];
  /** To be made its own. */
  readonly adopt: readonly T[];
  /** Its own, but not selected any more: to be let go. */
  readonly release: readonly T[];
}

/** `owned` have the owner as their controller, `orphans` have none. One that is being deleted adopts nothing. */
export function claims<T extends KubeObject>(
  owner: KubeObject & { readonly spec: { readonly selector: LabelSelector } },
  owned: readonly T[],
  orphans: readonly T[],
): Claims<T> {
  const { selector } = owner.spec;
  const selected = (o: T) => matchesSelector(selector, o.metadata.labels);
  const alive = owner.metadata.deletionTimestamp === undefined;
  return {
    own: owned.filter(selected),
    release: alive ? owned.filter((o) => !selected(o)) : [],
    adopt: alive
      ? orphans.filter(
          (o) =>
            o.metadata.namespace === owner.metadata.namespace &&
            o.metadata.deletionTimestamp === undefined &&
            selected(o),
        )
      : [],
  };
}

/** The reference by which an owner controls what it made. */
export function controllerRef({ apiVersion, kind, metadata }: KubeObject): OwnerReference {
  const { name, uid } = metadata;
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}
