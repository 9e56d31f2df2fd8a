/**
 * Third stage, pure: may this connection go on, and where to. No I/O, no clock; randomness is handed in. Only a `forward`
 * carries a permit.
 */
import { authorize } from '../../common/authz/l4.ts';
import type { Compat } from '../../common/core/compat.ts';
import type { ErrorCode, ResponseFlag } from '../../common/core/errors.ts';
import { formatSocketAddr, type Ip, isLoopback, type SocketAddr } from '../../common/core/net.ts';
import { parseAuthority } from '../../common/hbone/headers.ts';
import { type OutboundRoute, proxyPorts, resolveInbound, resolveOutbound } from '../../common/mesh/resolve.ts';
import type { MeshReader } from '../../common/mesh/store.ts';
import type { Identity, Service, Workload } from '../../common/mesh/types.ts';
import { Permit } from './permit.ts';

/** Ports that are never a destination: those of ambient-wire 1.1 and those of the pod's own listeners. */
export function ownPorts(listeners: readonly { readonly port: number }[]): ReadonlySet<number> {
  return new Set([...proxyPorts, ...listeners.map((l) => l.port)]);
}

/** Why a connection ends here. */
export interface Denial {
  readonly kind: 'deny';
  readonly cause: /** `explanation` names policy and rule. */
  { readonly kind: 'policy'; readonly flag: ResponseFlag } | { readonly kind: 'error'; readonly code: ErrorCode };
  readonly reason: string;
  /** Answer to a CONNECT (ambient-wire 1.4). */
  readonly status: 400 | 401 | 503;
  readonly service?: Service;
  readonly workload?: Workload;
}

export type OutboundForward = Extract<OutboundRoute, { kind: 'passthrough' | 'plain' | 'hbone' }>;

export type OutboundDecision =
  | { readonly kind: 'forward'; readonly route: OutboundForward; readonly permit: Permit }
  | Denial;

export interface OutboundQuestion {
  readonly source: Workload;
  readonly target: SocketAddr;
  readonly network: string;
  readonly ownPorts: ReadonlySet<number>;
  readonly random: () => number;
}

export function decideOutbound(store: MeshReader, q: OutboundQuestion, permit = new Permit()): OutboundDecision {
  const route = resolveOutbound(store, { ...q, illegalPorts: q.ownPorts });
  switch (route.kind) {
    case 'refused':
      return denied(route.code, route.reason, route);
    case 'hostname':
      return denied('UNSUPPORTED', `${route.hostname} is known by a DNS name only, which is not supported yet`, route);
    default:
      return { kind: 'forward', route, permit };
  }
}

export type InboundDecision =
  | { readonly kind: 'forward'; readonly target: SocketAddr; readonly permit: Permit }
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

/** `authority` as the peer sent it, `destination` the pod's address that the connection came to. */
export function decideTunnel(
  store: MeshReader,
  q: InboundQuestion,
  authority: string,
  destination: Ip,
  permit: Permit,
): InboundDecision {
  const parsed = parseAuthority(authority);
  if (!parsed) return { ...denied('PROTOCOL', 'authority is neither ip:port nor hostname:port'), status: 400 };
  if (isLoopback(destination)) return denied('LOOP', `CONNECT to loopback address ${destination}`);
  const route = resolveInbound(store, q.local, parsed, destination, q.ownPorts);
  if (route.kind === 'refused') return { ...denied('PROTOCOL', route.reason), status: route.status };
  return authorized(store, q, route.target, permit);
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

function denied(
  code: ErrorCode,
  reason: string,
  about: { readonly service?: Service; readonly workload?: Workload } = {},
): Denial {
  const { service, workload } = about;
  return {
    kind: 'deny',
    cause: { kind: 'error', code },
    reason,
    status: 503,
    ...(service && { service }),
    ...(workload && { workload }),
  };
}
