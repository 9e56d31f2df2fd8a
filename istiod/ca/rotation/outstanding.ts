/**
 * Who has not got yet what a step of a rotation needs. A certificate and the roots beside it are all that a proxy is ever told of roots
 * (ambient-wire 4), and it asks again only at half its life: so what each proxy holds is the acknowledgement.
 */

import { formatSpiffe } from '../../../common/identity/spiffe.ts';
import type { Pod } from '../../../common/kube/kinds/core.ts';
import { type Holding, holdingKey } from './holding.ts';

export interface MeshView {
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, Pod>;
  /** `namespace/name` of the accounts of node proxies. */
  readonly trustedAccounts: ReadonlySet<string>;
  readonly trustDomain: string;
  /** Ms since the epoch. */
  readonly now: number;
  /** Ms that an answer is given to arrive: who did not get it has asked again by then. */
  readonly settle: number;
}

export interface Outstanding {
  /** `namespace/name`. */
  readonly pod: string;
  readonly identity: string;
  readonly why: 'has none that is known' | 'has one from before' | 'got it just now';
}

/** `good`: what a certificate must be for the step. What is unknown counts as missing. */
export function outstanding(
  holdings: Iterable<Holding>,
  view: MeshView,
  good: (holding: Holding) => boolean,
): readonly Outstanding[] {
  const { pods, now, settle } = view;
  const held = new Map<string, Holding>();
  for (const h of holdings) if (h.notAfter > now) held.set(holdingKey(h), h);
  const missing: Outstanding[] = [];
  const look = (pod: string, identity: string, holding: Holding | undefined): void => {
    const why =
      holding === undefined
        ? 'has none that is known'
        : !good(holding)
          ? 'has one from before'
          : now - holding.issuedAt < settle
            ? 'got it just now'
            : undefined;
    if (why !== undefined) missing.push({ pod, identity, why });
  };
  for (const [pod, uid, identities] of nodeProxies(view)) {
    for (const identity of identities) look(pod, identity, held.get(holdingKey({ uid, identity })));
  }
  for (const h of held.values()) {
    const pod = pods.get(h.pod);
    if (h.machine) look(h.pod, h.identity, h);
    else if (h.own && pod?.metadata.uid === h.uid && lives(pod)) look(h.pod, h.identity, h);
  }
  return missing;
}

/** Each node proxy with the identities that it serves: those of captured pods of its node. */
function* nodeProxies({
  pods,
  trustedAccounts,
  trustDomain,
}: MeshView): Iterable<readonly [string, string, Set<string>]> {
  const byNode = new Map<string, Set<string>>();
  for (const pod of pods.values()) {
    const { namespace = '' } = pod.metadata;
    const { nodeName = '', serviceAccountName: serviceAccount = 'default' } = pod.spec;
    if (nodeName === '' || !lives(pod) || !isCaptured(pod)) continue;
    const identities = byNode.get(nodeName) ?? new Set<string>();
    byNode.set(nodeName, identities.add(formatSpiffe({ trustDomain, namespace, serviceAccount })));
  }
  for (const [name, pod] of pods) {
    const account = `${pod.metadata.namespace}/${pod.spec.serviceAccountName ?? 'default'}`;
    if (!trustedAccounts.has(account) || !lives(pod)) continue;
    yield [name, pod.metadata.uid, byNode.get(pod.spec.nodeName ?? '') ?? new Set()];
  }
}

function lives({ status }: Pod): boolean {
  return status?.phase !== 'Failed' && status?.phase !== 'Succeeded';
}

/** What node proxies hold certificates for: pods whose traffic they take, and those that speak HBONE themselves. */
function isCaptured({ metadata: { annotations, labels } }: Pod): boolean {
  return (
    annotations?.['ambient.istio.io/redirection'] === 'enabled' ||
    labels?.['networking.istio.io/tunnel']?.includes('http') === true
  );
}
