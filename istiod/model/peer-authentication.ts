/**
 * PeerAuthentication to policies of node proxies, which know no mode of mTLS: STRICT is a DENY of plain text
 * (ambient-wire 5.3). DISABLE counts as PERMISSIVE, as in Istio: node proxies never refuse mTLS.
 */
import type { PeerAuthentication } from '../../common/kube/kinds/security.ts';
import { emptyMatch } from '../../common/mesh/policy-match.ts';
import type { AuthorizationPolicy, PolicyMatch } from '../../common/mesh/types.ts';
import { type Labels, selects } from './selector.ts';

/** In the root namespace; there is no Kubernetes object of this name, which the underscore rules out. */
export const staticStrictName = 'istio_converted_static_strict';

export interface PeerScope {
  /** Those of the workload's own namespace. */
  readonly inNamespace: readonly PeerAuthentication[];
  /** Those of the root namespace. */
  readonly inRoot: readonly PeerAuthentication[];
  readonly rootNamespace: string;
}

export interface PeerRequirement {
  /** `namespace/name` of the policy that the workload must list; undefined when plain text is accepted on all ports. */
  readonly policy: string | undefined;
  /** What said so. */
  readonly from: readonly PeerAuthentication[];
}

/** The workload's own PeerAuthentication beats its namespace's, which beats the mesh's; of several of one level the oldest. */
export function peerRequirement(labels: Labels | undefined, scope: PeerScope): PeerRequirement {
  const own = oldest(scope.inNamespace.filter((p) => hasSelector(p) && selects(selectorOf(p), labels)));
  const wide = widePeers(scope);
  const from = [...new Set([own, ...wide])].filter((p) => p !== undefined);
  const ports = own === undefined ? undefined : portPolicy(own, scope);
  if (ports !== undefined) return { policy: `${ports.namespace}/${ports.name}`, from };
  const strict = strictOf(own) ?? inheritsStrict(scope);
  return { policy: strict ? `${scope.rootNamespace}/${staticStrictName}` : undefined, from };
}

/** Sent while there is any PeerAuthentication. */
export function staticStrict(rootNamespace: string): AuthorizationPolicy {
  return plainTextDenied(rootNamespace, staticStrictName, {});
}

/** What workloads of this PeerAuthentication list; undefined unless its ports differ from what it says for the rest. */
export function portPolicy(peer: PeerAuthentication, scope: PeerScope): AuthorizationPolicy | undefined {
  if (!hasSelector(peer)) return undefined;
  const strict = strictOf(peer) ?? inheritsStrict(scope);
  const exceptions = Object.entries(peer.spec?.portLevelMtls ?? {})
    .filter(([, { mode }]) => (strictMode(mode) ?? strict) !== strict)
    .map(([port]) => Number(port))
    .sort((a, b) => a - b);
  if (exceptions.length === 0) return undefined;
  const name = `converted_peer_authentication_${peer.metadata.name}`;
  const ports = strict ? { notDestinationPorts: exceptions } : { destinationPorts: exceptions };
  return plainTextDenied(peer.metadata.namespace ?? 'default', name, ports);
}

export function hasSelector(peer: PeerAuthentication): boolean {
  return Object.keys(selectorOf(peer)).length > 0;
}

function plainTextDenied(namespace: string, name: string, where: Partial<PolicyMatch>): AuthorizationPolicy {
  const match: PolicyMatch = { ...emptyMatch, notPrincipals: [{ kind: 'presence' }], ...where };
  return {
    name,
    namespace,
    scope: 'WORKLOAD_SELECTOR',
    action: 'DENY',
    groups: [{ rules: [{ matches: [match] }] }],
    dryRun: false,
  };
}

function inheritsStrict(scope: PeerScope): boolean {
  const [ofNamespace, ofMesh] = widePeers(scope);
  return strictOf(ofNamespace) ?? strictOf(ofMesh) ?? false;
}

/** Those without selector: the namespace's, the mesh's. */
function widePeers({ inNamespace, inRoot }: PeerScope): readonly (PeerAuthentication | undefined)[] {
  const wide = (all: readonly PeerAuthentication[]) => oldest(all.filter((p) => !hasSelector(p)));
  return [wide(inNamespace), wide(inRoot)];
}

/** undefined: inherited. */
function strictOf(peer: PeerAuthentication | undefined): boolean | undefined {
  return strictMode(peer?.spec?.mtls?.mode);
}

function strictMode(mode: NonNullable<NonNullable<PeerAuthentication['spec']>['mtls']>['mode']): boolean | undefined {
  return mode === undefined || mode === 'UNSET' ? undefined : mode === 'STRICT';
}

function selectorOf(peer: PeerAuthentication): Labels {
  return peer.spec?.selector?.matchLabels ?? {};
}

/** By name where the ages are equal, so that all istiods decide alike. */
function oldest(peers: readonly PeerAuthentication[]): PeerAuthentication | undefined {
  const order = ({ metadata: m }: PeerAuthentication) => `${m.creationTimestamp ?? ''} ${m.name}`;
  return [...peers].sort((a, b) => (order(a) < order(b) ? -1 : 1))[0];
}
