/** Carries out claims: takes and gives back ownership. */
import type { Kind, KubeObject } from '../../../../common/kube/types.ts';
import { unlessGone, type Writer } from '../runtime/writer.ts';
import { type Claims, controllerRef } from './claim.ts';

/** Resolves with all that the owner has afterwards. */
export async function carryOut<T extends KubeObject>(
  writer: Writer,
  kind: Kind,
  owner: KubeObject,
  { own, adopt, release }: Claims<T>,
): Promise<readonly T[]> {
  for (const object of adopt) {
    await change(writer, kind, object, (refs) =>
      refs.some((r) => r.controller) ? refs : [...refs, controllerRef(owner)],
    );
  }
  for (const object of release) {
    await change(writer, kind, object, (refs) => refs.filter((r) => r.uid !== owner.metadata.uid));
  }
  return [...own, ...adopt];
}

type Refs = readonly ReturnType<typeof controllerRef>[];

function change(writer: Writer, kind: Kind, object: KubeObject, next: (refs: Refs) => Refs): Promise<void> {
  const { namespace = '', name, uid } = object.metadata;
  return unlessGone(() =>
    writer.update(kind, { namespace, name, uid }, ({ metadata }) => {
      const refs = metadata.ownerReferences ?? [];
      const wanted = next(refs);
      if (wanted.length === refs.length) return 'unchanged';
      metadata.ownerReferences = [...wanted];
      return 'changed';
    }),
  );
}
