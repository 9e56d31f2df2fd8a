/**
 * Third stage, pure: may a connection to a pod go on, and where to. No I/O, no clock. Only a `forward` carries a permit.
 */
import { authorize } from '../../common/authz/l4.ts';
import type { Compat } from '../../common/core/compat.ts';
import { formatSocketAddr, type Ip, isLoopback, type SocketAddr } from '../../common/core/net.ts';
import { parseAuthority } from '../../common/hbone/headers.ts';
import { resolveInbound } from '../../common/mesh/inbound.ts';
import type { MeshReader } from '../../common/mesh/store.ts';
import type { Identity, Workload } from '../../common/mesh/types.ts';
import { type Denial, denied } from './denial.ts';
import type { Permit } from './permit.ts';

export type InboundDecision =
  | {
      readonly kind: 'forward';
      /** The pod's address and the app's port. */
      readonly target: SocketAddr;
      /** The app takes a PROXY header and is told this destination. */
      readonly announce?: SocketAddr;
      readonly permit: Permit;
    }
  | Denial;

export interface InboundQuestion {
  /** This pod's workload. */
  readonly local: Workload;
  readonly source: Ip;
  /** Proved by TLS; undefined for plain text. */
  readonly identity: Identity | undefined;
  readonly ownPorts: ReadonlySet<number>;
  readonly compat: Compat;
}

/** What a CONNECT asks for. */
export interface TunnelCall {
  /** As the peer sent it. */
  readonly authority: string;
  /** The pod's address that the connection came to. */
  readonly destination: Ip;
  /** The proxy's own NETWORK. */
  readonly network: string;
}

export function decideTunnel(store: MeshReader, q: InboundQuestion, call: TunnelCall, permit: Permit): InboundDecision {
  const { destination, network } = call;
  const authority = parseAuthority(call.authority);
  if (!authority) return { ...denied('PROTOCOL', 'authority is neither ip:port nor hostname:port'), status: 400 };
  if (isLoopback(destination)) return denied('LOOP', `CONNECT to loopback address ${destination}`);
  const { local, ownPorts: illegalPorts } = q;
  const clientNamespace = q.identity?.namespace ?? local.namespace;
  const route = resolveInbound(store, { local, authority, destination, network, clientNamespace, illegalPorts });
  if (route.kind === 'refused') return { ...denied('PROTOCOL', route.reason), status: route.status };
  const decision = authorized(store, q, route.target, permit);
  return decision.kind === 'forward' && route.announce ? { ...decision, announce: route.announce } : decision;
}

/** Plain text that was meant for the pod; `destination` is where it was going. */
export function decidePlaintext(
  store: MeshReader,
  q: InboundQuestion,
  destination: SocketAddr,
  permit: Permit,
): InboundDecision {
  if (isLoopback(destination.ip) || q.ownPorts.has(destination.port)) {
    return denied('LOOP', `${formatSocketAddr(destination)} is a port of the proxy itself`);
  }
  return authorized(store, q, destination, permit);
}

/** What the policies of now say, for first decisions and for every push after it. */
export function policyDenial(store: MeshReader, q: InboundQuestion, target: SocketAddr): string | undefined {
  const connection = { source: q.source, identity: q.identity, destination: target };
  const decision = authorize(connection, store.policiesFor(store.workload(q.local.uid) ?? q.local), q.compat);
  return decision.kind === 'deny' ? decision.explanation : undefined;
}

function authorized(store: MeshReader, q: InboundQuestion, target: SocketAddr, permit: Permit): InboundDecision {
  const reason = policyDenial(store, q, target);
  if (reason === undefined) return { kind: 'forward', target, permit };
  return { kind: 'deny', cause: { kind: 'policy', flag: 'DENY' }, reason, status: 401 };
}
