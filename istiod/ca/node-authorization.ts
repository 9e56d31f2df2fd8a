/**
 * Which identities a node's proxy may ask for (ambient-wire 4): those of pods on its own node, so that a broken-in node
 * cannot become a workload that does not run there.
 */
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { WorkloadEntry } from '../../common/kube/kinds/istio/workload-entry.ts';
import type { Identity } from '../../common/mesh/types.ts';
import type { Caller } from '../caller.ts';

export interface NodeAuthorizationInputs {
  readonly caller: Caller;
  readonly requested: Identity;
  readonly trustDomain: string;
  /** `namespace/name` of service accounts: CA_TRUSTED_NODE_ACCOUNTS. */
  readonly trustedAccounts: ReadonlySet<string>;
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, Pod>;
}

export type NodeAuthorization =
  | { readonly kind: 'permit' }
  /** The reason is for istiod's log only. */
  | { readonly kind: 'refuse'; readonly reason: string };

export function authorizeImpersonation(inputs: NodeAuthorizationInputs): NodeAuthorization {
  const { caller, requested, trustDomain, trustedAccounts, pods } = inputs;
  if (!trustedAccounts.has(`${caller.namespace}/${caller.serviceAccount}`)) {
    return refuse('the caller is not in CA_TRUSTED_NODE_ACCOUNTS');
  }
  if (requested.trustDomain !== trustDomain) {
    return refuse(`trust domain ${requested.trustDomain} is not the mesh's, which is ${trustDomain}`);
  }
  const bound = boundPod(caller, pods);
  if (bound.kind === 'refuse') return bound;
  const node = bound.pod.spec.nodeName ?? '';
  if (node === '') return refuse('the pod of the caller is on no node');
  for (const pod of pods.values()) {
    if (pod.spec.nodeName === node && isAlive(pod) && runsAs(pod, requested)) return { kind: 'permit' };
  }
  return refuse(`no pod of ${requested.namespace}/${requested.serviceAccount} runs on node ${node}`);
}

/** A token outlives its pod by up to hours; the pod it is bound to must still be the same one. */
export function boundPod(
  caller: Caller,
  pods: ReadonlyMap<string, Pod>,
): { readonly kind: 'pod'; readonly pod: Pod } | { readonly kind: 'refuse'; readonly reason: string } {
  if (caller.pod === undefined) return refuse('the caller has no token that is bound to a pod');
  const key = `${caller.namespace}/${caller.pod.name}`;
  const pod = pods.get(key);
  if (pod === undefined) return refuse(`pod ${key} does not exist`);
  if (pod.metadata.uid !== caller.pod.uid) return refuse(`pod ${key} is another one than the token was made for`);
  if (!runsAs(pod, caller)) return refuse(`pod ${key} does not run as the token's service account`);
  return { kind: 'pod', pod };
}

/**
 * Whether a machine that is no pod has that account. A certificate renews itself only for such: any other could be renewed with itself
 * for ever, long after its pod and node are gone.
 */
export function isMachine({ namespace, serviceAccount }: Caller, entries: ReadonlyMap<string, WorkloadEntry>): boolean {
  for (const { metadata, spec } of entries.values())
    if (metadata.namespace === namespace && spec.serviceAccount === serviceAccount) return true;
  return false;
}

function isAlive(pod: Pod): boolean {
  return pod.status?.phase !== 'Failed';
}

function runsAs(pod: Pod, account: { readonly namespace: string; readonly serviceAccount: string }): boolean {
  return (
    pod.metadata.namespace === account.namespace &&
    (pod.spec.serviceAccountName ?? 'default') === account.serviceAccount
  );
}

function refuse(reason: string): { readonly kind: 'refuse'; readonly reason: string } {
  return { kind: 'refuse', reason };
}
