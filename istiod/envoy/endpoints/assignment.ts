/** The endpoints of a cluster: EDS. */
import { type Typed, typeUrl } from '../../../common/envoy/codec.ts';
import type { MeshEndpoint, MeshService, MeshView } from '../inputs.ts';
import { connectOriginate } from '../names.ts';
import type { EnvoyProxy } from '../proxy.ts';
import { hostPort, internalAddress, type Message, socketAddress, struct } from '../values.ts';
import { type Balancing, balanced } from './balance.ts';

/** Whose endpoints, and which of them. */
export interface AssignmentPlan {
  /** Of the cluster. */
  readonly name: string;
  readonly service: MeshService;
  readonly port: number;
  /** Labels that they have; empty: all. */
  readonly labels: Readonly<Record<string, string>>;
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
  const allowsUnhealthy = service.balancing?.healthPolicy === 'ALLOW_ALL';
  const fitting = view
    .endpoints(service)
    .filter(
      (e) =>
        (isByName || e.address.kind === 'ip') && (e.ports.get(port) ?? 0) > 0 && e.weight > 0 && hasLabels(e, labels),
    )
    .filter((e) => e.isHealthy || allowsUnhealthy)
    .filter((e) => e.network === '' || proxy.network === '' || e.network === proxy.network);
  return {
    cluster_name: plan.name,
    endpoints: balanced(fitting, proxy, plan.balancing).map(({ locality, priority, weight, endpoints }) => ({
      // gRPC programs want one, also where nobody knows it.
      locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subzone },
      priority,
      load_balancing_weight: { value: weight },
      lb_endpoints: endpoints.map((e) => endpoint(e, proxy, port)),
    })),
  };
}

function hasLabels({ labels }: MeshEndpoint, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([k, v]) => Object.hasOwn(labels, k) && labels[k] === v);
}

function endpoint(e: MeshEndpoint, proxy: EnvoyProxy, port: number): Message {
  const target = e.ports.get(port)!;
  const ip = e.address.kind === 'ip' ? e.address.ip : e.address.name;
  const at = hostPort(ip, target);
  const isTunnelled = proxy.kind === 'waypoint' && e.isHbone;
  const described = {
    istio: struct({ workload: [e.workload, e.namespace, e.labels['app'] ?? '', '', e.cluster].join(';') }),
    ...(isTunnelled && { 'envoy.filters.listener.original_dst': struct({ local: at }) }),
  };
  return {
    endpoint: { address: isTunnelled ? internalAddress(connectOriginate, at) : socketAddress(ip, target) },
    ...(e.isHealthy ? {} : { health_status: 'UNHEALTHY' }),
    load_balancing_weight: { value: e.weight },
    ...(proxy.kind === 'waypoint' && { metadata: { filter_metadata: described } }),
  };
}
