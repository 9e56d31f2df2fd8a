/** Says of claims of volumes why they wait: nothing here makes or binds volumes. */
import type { KubeObject } from '../../../../common/kube/types.ts';
import { type Cluster, claimKind } from '../runtime/cluster.ts';

type Claim = KubeObject & {
  readonly spec?: { readonly volumeName?: string; readonly storageClassName?: string };
  readonly status?: { readonly phase?: string };
};

export function claimController(cluster: Cluster): void {
  const { events } = cluster.desk('persistentvolume-controller');
  cluster.collection<KubeObject>(claimKind).onChange((current, previous) => {
    if (current === undefined || previous !== undefined) return;
    const { spec, status } = current as Claim;
    if (status?.phase === 'Bound' || (spec?.volumeName ?? '') !== '') return;
    const why =
      (spec?.storageClassName ?? '') === ''
        ? 'no persistent volumes available for this claim and no storage class is set'
        : `nothing here provisions volumes of storage class "${spec?.storageClassName}"`;
    events.record(current, { type: 'Normal', reason: 'FailedBinding', message: why });
  });
}
