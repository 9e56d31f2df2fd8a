/**
 * May new connections of a pod to an address go from pod to pod, past this proxy (the same-node fast path). Pure: what it cannot prove
 * is answered with no, for the proxy decides those. It asks the code that enforces, as the destination's proxy would be asked.
 */
import type { Compat } from '../../common/core/compat.ts';
import { assertNever } from '../../common/core/errors.ts';
import { formatSocketAddr, isIpv6, type SocketAddr } from '../../common/core/net.ts';
import { identityOf } from '../../common/mesh/address.ts';
import { resolveOutbound } from '../../common/mesh/outbound.ts';
import { isEmptyMatch } from '../../common/mesh/policy-match.ts';
import { type MeshReader, policyKey } from '../../common/mesh/store.ts';
import type { AuthorizationPolicy, Workload } from '../../common/mesh/types.ts';
import { policyDenial } from './decide-inbound.ts';

/** One end, as the proxy that serves it knows it. */
export interface DirectEnd {
  readonly workload: Workload;
  readonly ownPorts: ReadonlySet<number>;
}

export interface DirectQuestion {
  readonly source: DirectEnd;
  readonly target: SocketAddr;
  /** The pod of this node that the mesh knows as this workload; undefined: there is none in the mesh on this node. */
  readonly served: (workload: Workload) => DirectEnd | undefined;
  readonly network: string;
  readonly compat: Compat;
  /** Certificates may be revoked here, which only a handshake looks at. */
  readonly revocation: boolean;
}

export type DirectDecision =
  | { readonly kind: 'direct'; readonly destination: Workload }
  | { readonly kind: 'proxied'; readonly reason: string };

export function decideDirect(store: MeshReader, q: DirectQuestion): DirectDecision {
  const source = q.source.workload;
  if (q.revocation) return proxied('certificates may be revoked, which only a handshake sees');
  // What is drawn by lot is drawn for each connection.
  let drawn = false;
  const random = () => {
    drawn = true;
    return 0;
  };
  const { target, network, compat } = q;
  const route = resolveOutbound(store, { source, target, network, compat, random, illegalPorts: q.source.ownPorts });
  switch (route.kind) {
    case 'refused':
      return proxied(route.reason);
    case 'passthrough':
    case 'plain':
      return proxied(`${formatSocketAddr(target)} is not in the mesh`);
    case 'waypoint':
    case 'gateway':
      return proxied(`there is a ${route.kind} in between`);
    case 'hostname':
      return proxied(`${route.hostname} has to be looked up`);
    case 'hbone':
      break;
    default:
      return assertNever(route);
  }
  const { workload } = route;
  // Each connection to a service may go to another endpoint.
  if (route.service) return proxied(`service ${route.service.namespace}/${route.service.hostname} is balanced`);
  if (drawn || route.dial.ip !== target.ip || route.authority !== formatSocketAddr(target)) {
    return proxied('its way is chosen for each connection');
  }
  return toPod(store, q, workload);
}

function toPod(store: MeshReader, q: DirectQuestion, workload: Workload): DirectDecision {
  const source = q.source.workload;
  const destination = q.served(workload);
  if (!destination || workload.node === '' || workload.node !== source.node) {
    return proxied(`${nameOf(workload)} is not on this node`);
  }
  if (source.uid === workload.uid) return proxied('it is the pod itself');
  if (destination.ownPorts.has(q.target.port)) return proxied(`port ${q.target.port} is the proxy's`);
  const reason = unlike(source) ?? unlike(workload) ?? waypointOf(store, workload);
  if (reason !== undefined) return proxied(reason);
  return governed(store, q, workload);
}

/** What is no plain pod of the mesh is left to the proxy. */
function unlike(w: Workload): string | undefined {
  if (w.tunnelProtocol !== 'HBONE') return `${nameOf(w)} takes plain TCP`;
  if (w.networkMode !== 'STANDARD') return `${nameOf(w)} uses the network of its node`;
  if (w.nativeTunnel) return `${nameOf(w)} speaks HBONE itself`;
  if (w.applicationTunnel) return `${nameOf(w)} is told the client's address by its proxy`;
  return undefined;
}

/** Also one of a service that it stands behind: whoever put it there wants to see what comes. */
function waypointOf(store: MeshReader, workload: Workload): string | undefined {
  if (workload.waypoint) return `${nameOf(workload)} is behind a waypoint`;
  for (const key of workload.services.keys()) {
    const service = store.service(key);
    if (!service) return `service ${key}, which ${nameOf(workload)} stands behind, is not known`;
    if (service.waypoint || service.weightedWaypoints.length > 0) return `service ${key} is behind a waypoint`;
  }
  return undefined;
}

function governed(store: MeshReader, q: DirectQuestion, workload: Workload): DirectDecision {
  const { policies, missing } = store.policiesFor(workload);
  if (missing.length > 0) return proxied(`policy ${missing.join(', ')} has not arrived`);
  for (const policy of policies) {
    const reason = unprovable(policy);
    if (reason !== undefined) return proxied(`policy ${policyKey(policy)} ${reason}`);
  }
  const source = q.source.workload;
  const family = source.addresses.filter((ip) => isIpv6(ip) === isIpv6(q.target.ip));
  if (family.length === 0) return proxied(`${nameOf(source)} has no address of this family`);
  const { compat } = q;
  const question = { local: workload, identity: identityOf(source), ownPorts: q.source.ownPorts, compat };
  for (const ip of family) {
    const denied = policyDenial(store, { ...question, source: ip }, q.target);
    if (denied !== undefined) return proxied(denied);
  }
  return { kind: 'direct', destination: workload };
}

/** What a direct connection does not keep, or nobody could tell of it. */
function unprovable(policy: AuthorizationPolicy): string | undefined {
  if (policy.dryRun) return 'is tried, which needs every connection';
  for (const match of policy.groups.flatMap((g) => g.rules).flatMap((r) => r.matches)) {
    if (isEmptyMatch(match)) return 'asks for what only L7 sees';
    // Of which STRICT is made: it wants mutual TLS on the wire, not only to know who calls.
    if (match.notPrincipals.some((p) => p.kind === 'presence')) return 'wants mutual TLS (STRICT)';
  }
  return undefined;
}

function nameOf(w: Workload): string {
  return `${w.namespace}/${w.name}`;
}

function proxied(reason: string): DirectDecision {
  return { kind: 'proxied', reason };
}
