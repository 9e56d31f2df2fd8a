/** ControllerRevisions: the templates that a DaemonSet or StatefulSet has had, as kubectl rollout history and undo read them. */
import type { PodTemplate } from '../../../../common/kube/kinds/apps.ts';
import { controllerRevisionKind } from '../../../../common/kube/schema/workloads.ts';
import type { Kind, KubeObject } from '../../../../common/kube/types.ts';
import { templateHash } from '../deployments/template.ts';
import { controllerRef } from '../replicas/claim.ts';
import { type Cluster, controllerOf, type Desk } from '../runtime/cluster.ts';
import type { ControllerRevision } from '../types.ts';

/** On pods and revisions. */
export const revisionLabel = 'controller-revision-hash';

type Owner = KubeObject & {
  readonly spec: { readonly template: PodTemplate; readonly revisionHistoryLimit?: number };
};

export interface Revisions {
  /** The hash of the present template, whose revision is made or becomes the newest. */
  present(owner: Owner): Promise<string>;
  templateOf(owner: Owner, hash: string): PodTemplate | undefined;
  /** Removes the oldest beyond the limit; those of `used` hashes stay. */
  forget(owner: Owner, used: ReadonlySet<string>): Promise<void>;
}

export function revisionsOf(cluster: Cluster, { writer }: Desk): Revisions {
  const all = cluster.collection(controllerRevisionKind as Kind<ControllerRevision>);
  const ofOwner = all.index(controllerOf);
  const hashOf = (r: ControllerRevision) => r.metadata.labels?.[revisionLabel] ?? '';
  return {
    async present(owner) {
      const { namespace = '', name, uid } = owner.metadata;
      const hash = templateHash(owner.spec.template, 0);
      const own = ofOwner(uid);
      const highest = Math.max(0, ...own.filter((r) => hashOf(r) !== hash).map((r) => r.revision));
      const found = own.find((r) => hashOf(r) === hash);
      if (found === undefined) {
        const labels = { ...owner.spec.template.metadata?.labels, [revisionLabel]: hash };
        await writer.create(controllerRevisionKind, {
          metadata: { name: `${name}-${hash}`, namespace, labels, ownerReferences: [controllerRef(owner)] },
          data: { spec: { template: { ...owner.spec.template, $patch: 'replace' } } },
          revision: highest + 1,
        });
      } else if (found.revision < highest) {
        await writer.update(controllerRevisionKind, { namespace, name: found.metadata.name }, (object) => {
          object['revision'] = highest + 1;
          return 'changed';
        });
      }
      return hash;
    },
    templateOf(owner, hash) {
      const found = ofOwner(owner.metadata.uid).find((r) => hashOf(r) === hash);
      const data = found?.data as
        | { readonly spec?: { readonly template?: PodTemplate & { $patch?: string } } }
        | undefined;
      if (data?.spec?.template === undefined) return undefined;
      const { $patch: _patch, ...template } = data.spec.template;
      return template;
    },
    async forget(owner, used) {
      const old = ofOwner(owner.metadata.uid).filter((r) => !used.has(hashOf(r)));
      const sorted = [...old].sort((a, b) => a.revision - b.revision);
      const limit = owner.spec.revisionHistoryLimit ?? 10;
      for (const { metadata } of sorted.slice(0, Math.max(0, sorted.length - limit))) {
        await writer.delete(controllerRevisionKind, { namespace: metadata.namespace ?? '', name: metadata.name });
      }
    },
  };
}
