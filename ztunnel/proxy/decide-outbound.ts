/**
 * Third stage, pure: may a pod's connection go on, and where to. No I/O, no clock; randomness is handed in. Only a `forward`
 * carries a permit.
 */
import type { SocketAddr } from '../../common/core/net.ts';
import { type OutboundRoute, resolveOutbound } from '../../common/mesh/outbound.ts';
import type { MeshReader } from '../../common/mesh/store.ts';
import type { Workload } from '../../common/mesh/types.ts';
import { type Denial, denied } from './denial.ts';
import { Permit } from './permit.ts';

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
