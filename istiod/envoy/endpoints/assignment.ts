/** The endpoints of a cluster: EDS. */

import { isIpv6 } from '../../../common/core/net.ts';
import { type Typed, typeUrl } from '../../../common/envoy/codec.ts';
import { formatSpiffe } from '../../../common/identity/spiffe.ts';
import type { MeshEndpoint, MeshService, MeshView } from '../inputs.ts';
import { connectOriginate, innerConnectOriginate } from '../names.ts';
import type { EnvoyProxy } from '../proxy.ts';
import { hostPort, internalAddress, type Message, socketAddress, struct } from '../values.ts';
import { type Balancing, balanced } from './balance.ts';

type Labels = Readonly<Record<string, string>>;

/** Whose endpoints, and which of them. */
export interface AssignmentPlan {
  /** Of the cluster. */
  readonly name: string;
  readonly service: MeshService;
  readonly port: number;
  /** Labels that they have; empty: all. */
  readonly labels: Labels;
  readonly balancing: Balancing;
}

/** The whole resource, for EDS. */
export function assignment(view: MeshView, proxy: EnvoyProxy, plan: AssignmentPlan): Typed {
  return { '@type': typeUrl('envoy.config.endpoint.v3.ClusterLoadAssignment'), ...assignmentNow(view, proxy, plan) };
}

/** The same as part of a cluster, whose endpoints may be names. */
export function assignmentNow(view: MeshView, proxy: EnvoyProxy, plan: AssignmentPlan): Message {
  const { service, port, labels } = plan;
  const isByName = service.resolution !== 'endpoints';
  // They are as good as others to who asks for them; Envoy would send nothing to one that is said to be ill.
  const allowsUnhealthy = service.balancing?.healthPolicy === 'ALLOW_ALL';
  const fitting = view
    .endpoints(service)
    .filter((e) => serves(e, port, isByName))
    .flatMap((e) => narrowed(e, labels) ?? [])
    .filter((e) => e.weight > 0)
    .filter((e) => e.isHealthy || allowsUnhealthy)
    .filter((e) => isReached(e, proxy));
  const each = spread(fitting, proxy);
  return {
    cluster_name: plan.name,
    endpoints: balanced(each, proxy, plan.balancing).map(({ locality, priority, weight, endpoints }) => ({
      // gRPC programs want one, also where nobody knows it.
      locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subzone },
      priority,
      load_balancing_weight: { value: weight },
      lb_endpoints: endpoints.map((e) =>
        e.address.kind === 'gateway'
          ? behindGateway(e, e.address, hostPort(service.hostname, port))
          : endpoint(e, e.address, proxy, port),
      ),
    })),
  };
}

function serves({ address, ports }: MeshEndpoint, port: number, isByName: boolean): boolean {
  // What a named port is there, the far end knows.
  if (address.kind === 'gateway') return ports.has(port);
  return (isByName || address.kind === 'ip') && (ports.get(port) ?? 0) > 0;
}

/** Gateways once for each address, which share what is behind: weights of all are multiplied so that the shares are whole (Istio's). */
function spread(all: readonly MeshEndpoint[], proxy: EnvoyProxy): readonly MeshEndpoint[] {
  const reached = all.map((e) => {
    const { address } = e;
    return address.kind !== 'gateway'
      ? [e]
      : address.ips
          .filter((ip) => proxy.families === 'both' || isIpv6(ip) === (proxy.families === 'ipv6'))
          .map((ip) => ({ ...e, uid: `${e.uid} ${ip}`, address: { ...address, ips: [ip] } }));
  });
  const scale = reached.reduce((so, some) => (some.length === 0 ? so : leastCommonMultiple(so, some.length)), 1);
  return reached.flatMap((some) => some.map((e) => ({ ...e, weight: (e.weight * scale) / some.length })));
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (x: number, y: number): number => (y === 0 ? x : divisor(y, x % y));
  return (a / divisor(a, b)) * b;
}

/** Other networks by gateways alone, which a waypoint knows how to pass. */
function isReached({ address, network }: MeshEndpoint, proxy: EnvoyProxy): boolean {
  if (address.kind === 'gateway') return proxy.kind === 'waypoint';
  return network === '' || proxy.network === '' || network === proxy.network;
}

/**
 * What of it has the labels. A gateway weighs as much as those behind it that have them; the far end is asked for the service alone, so
 * it may choose one that has not (Istio's).
 */
function narrowed(e: MeshEndpoint, wanted: Labels): MeshEndpoint | undefined {
  const { address } = e;
  if (address.kind !== 'gateway' || Object.keys(wanted).length === 0)
    return hasLabels(e.labels, wanted) ? e : undefined;
  const members = address.members.filter((m) => hasLabels(m.labels, wanted));
  return { ...e, weight: members.reduce((sum, m) => sum + m.weight, 0) };
}

function hasLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([k, v]) => Object.hasOwn(labels, k) && labels[k] === v);
}

type Address<K> = Extract<MeshEndpoint['address'], { readonly kind: K }>;

/** A tunnel to the service, by its name, within a tunnel to the gateway; one of them for each gateway (ambient-wire 2.3). */
function behindGateway({ weight, network }: MeshEndpoint, { ips, port }: Address<'gateway'>, target: string): Message {
  const at = hostPort(ips[0]!, port);
  return {
    endpoint: { address: internalAddress(innerConnectOriginate, at) },
    load_balancing_weight: { value: weight },
    metadata: {
      filter_metadata: {
        istio: struct({ network, double_hbone: struct({ hbone_target_address: target }) }),
        'envoy.filters.listener.original_dst': struct({ local: at }),
      },
    },
  };
}

function endpoint(e: MeshEndpoint, address: Address<'ip' | 'name'>, proxy: EnvoyProxy, port: number): Message {
  const target = e.ports.get(port)!;
  const ip = address.kind === 'ip' ? address.ip : address.name;
  const at = hostPort(ip, target);
  const isTunnelled = proxy.kind === 'waypoint' && e.isHbone;
  const described = {
    istio: struct({
      workload: [e.workload, e.namespace, e.canonical.name, e.canonical.revision, e.cluster].join(';'),
      // For metrics, which only ours makes.
      ...(proxy.engine === 'aquifer' && { identity: formatSpiffe(e) }),
    }),
    ...(isTunnelled && { 'envoy.filters.listener.original_dst': struct({ local: at }) }),
  };
  return {
    endpoint: { address: isTunnelled ? internalAddress(connectOriginate, at) : socketAddress(ip, target) },
    load_balancing_weight: { value: e.weight },
    ...(proxy.kind === 'waypoint' && { metadata: { filter_metadata: described } }),
  };
}
