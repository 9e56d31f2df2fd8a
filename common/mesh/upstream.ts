/** Who takes a connection: an endpoint of a service or a workload itself, and at which of its addresses. */
import { type Ip, isIpv6, type Port } from '../core/net.ts';
import { workloadIp, workloadName } from './address.ts';
import { balance, type PortRule } from './balance.ts';
import { type MeshReader, serviceKey } from './store.ts';
import type { MeshAddress, Service, Workload } from './types.ts';

export interface Upstream {
  readonly workload: Workload;
  /** The service that it was chosen from. */
  readonly service: Service | undefined;
  /** Where it listens for what was asked. */
  readonly port: Port;
}

export type Selection =
  | { readonly kind: 'chosen'; readonly upstream: Upstream }
  | { readonly kind: 'none'; readonly reason: string };

export function selectUpstream(
  store: MeshReader,
  address: MeshAddress,
  port: number,
  source: Workload,
  random: () => number,
  rule: PortRule,
): Selection {
  if (address.kind === 'workload') {
    return { kind: 'chosen', upstream: { workload: address, service: undefined, port: port as Port } };
  }
  const balanced = balance(address, store.endpoints(address), port, source, random, rule);
  if (balanced.kind === 'none') return balanced;
  const { workload, targetPort } = balanced;
  return { kind: 'chosen', upstream: { workload, service: address, port: targetPort as Port } };
}

export type Location =
  | { readonly kind: 'ip'; readonly ip: Ip }
  /** Only DNS knows. */
  | { readonly kind: 'hostname'; readonly hostname: string; readonly preferIpv6: boolean }
  | { readonly kind: 'none'; readonly reason: string };

/** `original` is the address that the app asked for: its family is preferred. */
export function locate({ workload, service }: Upstream, original: Ip): Location {
  const ip = workloadIp(workload, service, original);
  if (ip !== undefined) return { kind: 'ip', ip };
  if (workload.addresses.length === 0 && workload.hostname !== '') {
    return { kind: 'hostname', hostname: workload.hostname, preferIpv6: isIpv6(original) };
  }
  const allowed = service ? ` of a family that service ${serviceKey(service)} allows` : '';
  return { kind: 'none', reason: `${workloadName(workload)} has no address${allowed}` };
}
