/** The annotation by which istiod learns that a pod's capture stands (ambient-wire 6.3 and 9.1). */
import { MeshError } from '../../common/core/errors.ts';
import { keyOf } from '../../common/kube/informer.ts';
import { type Pod, podKind } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import type { Redirection } from './step.ts';

export const redirectionAnnotation = 'ambient.istio.io/redirection';

/** Anything but Istio's two values counts as none, so that it is written over. */
export function redirectionOf(pod: Pod): Redirection {
  const value = pod.metadata.annotations?.[redirectionAnnotation];
  return value === 'enabled' || value === 'pending' ? value : undefined;
}

/** Somebody else writes the same object all the time (its status); more conflicts in a row than this are an error. */
const attempts = 10;

/**
 * Writes the annotation of this very pod: one that was made anew under the same name is never touched. Returns the pod as
 * written, undefined when it is gone. MeshError CONFLICT after ten conflicts, and whatever the source throws.
 */
export async function announce(kube: KubeSource, known: Pod, value: Redirection): Promise<Pod | undefined> {
  const { namespace, name, uid } = known.metadata;
  const key = { ...(namespace !== undefined && { namespace }), name };
  let pod = known;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const { resourceVersion } = pod.metadata;
    try {
      const patch = { metadata: { annotations: { [redirectionAnnotation]: value ?? null } } };
      return await kube.patch(podKind, key, patch, { resourceVersion });
    } catch (e) {
      if (e instanceof MeshError && e.code === 'NOT_FOUND') return undefined;
      if (!(e instanceof MeshError && e.code === 'CONFLICT')) throw e;
    }
    const fresh = await kube.get(podKind, key);
    if (fresh?.metadata.uid !== uid) return undefined;
    if (redirectionOf(fresh) === value) return fresh;
    pod = fresh;
  }
  throw new MeshError('CONFLICT', `pod ${keyOf(key)} changed ${attempts} times while its annotation was being written`);
}
