/** The objects of a cluster, as commands look at them. */
import { describeError, MeshError } from '../common/core/errors.ts';
import { deploymentKind } from '../common/kube/kinds/apps.ts';
import { namespaceKind, podKind, secretKind, serviceKind } from '../common/kube/kinds/core.ts';
import { kindName } from '../common/kube/names.ts';
import { customKinds } from '../common/kube/schema/table.ts';
import type { Kind, KubeObject, KubeSource } from '../common/kube/types.ts';

export interface ClusterObjects {
  readonly objects: readonly KubeObject[];
  /** Kinds that were read in full. */
  readonly complete: ReadonlySet<string>;
  /** What could not be read. */
  readonly problems: readonly string[];
}

const analyzed: readonly Kind[] = [
  namespaceKind,
  podKind,
  serviceKind,
  secretKind,
  deploymentKind,
  ...customKinds.map((c) => c.kind),
];

/** A kind that the server does not have has no objects. MeshError where the server is not reached. */
export async function readCluster(
  source: Pick<KubeSource, 'list'>,
  kinds: readonly Kind[] = analyzed,
): Promise<ClusterObjects> {
  const { signal } = new AbortController();
  const complete = new Set<string>();
  const problems: string[] = [];
  const lists = await Promise.all(
    kinds.map(async (kind) => {
      try {
        const { items } = await source.list(kind, signal);
        complete.add(kindName(kind));
        return items;
      } catch (e) {
        if (!(e instanceof MeshError)) throw e;
        if (e.code === 'NOT_FOUND') complete.add(kindName(kind));
        else if (e.code === 'API_UNAVAILABLE') throw e;
        else
          problems.push(
            `${kindName(kind)} cannot be read, and what refers to them is not checked: ${describeError(e)}`,
          );
        return [];
      }
    }),
  );
  return { objects: lists.flat(), complete, problems };
}
