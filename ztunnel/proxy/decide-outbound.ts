/**
 * Third stage, pure: may a pod's connection go on, and where to. No I/O, no clock; randomness is handed in. Only a `forward`
 * carries a permit.
 */
import type { Compat } from '../../common/core/compat.ts';
import type { Ip, SocketAddr } from '../../common/core/net.ts';
import { type OutboundRoute, resolveOutbound } from '../../common/mesh/outbound.ts';
import type { MeshReader } from '../../common/mesh/store.ts';
import type { Service, Workload } from '../../common/mesh/types.ts';
import { type Denial, denied } from './denial.ts';
import { Permit } from './permit.ts';

export type OutboundForward = Exclude<OutboundRoute, { kind: 'hostname' | 'refused' }>;

export type OutboundDecision =
  | { readonly kind: 'forward'; readonly route: OutboundForward; readonly permit: Permit }
  /** Undecided until DNS has told the address; `at` goes on with it. */
  | {
      readonly kind: 'resolve';
      readonly hostname: string;
      readonly preferIpv6: boolean;
      readonly workload: Workload;
      readonly service?: Service;
      readonly at: (ip: Ip) => OutboundDecision;
    }
  | Denial;

export interface OutboundQuestion {
  readonly source: Workload;
  readonly target: SocketAddr;
  readonly network: string;
  readonly ownPorts: ReadonlySet<number>;
  readonly compat: Compat;
  readonly random: () => number;
}

export function decideOutbound(store: MeshReader, q: OutboundQuestion, permit = new Permit()): OutboundDecision {
  return decided(resolveOutbound(store, { ...q, illegalPorts: q.ownPorts }), permit);
}

function decided(route: OutboundRoute, permit: Permit): OutboundDecision {
  switch (route.kind) {
    case 'refused':
      return denied(route.code, route.reason, route);
    case 'hostname':
      return { ...route, kind: 'resolve', at: (ip) => decided(route.at(ip), permit) };
    default:
      return { kind: 'forward', route, permit };
  }
}
