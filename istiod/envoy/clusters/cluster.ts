/** A cluster for a port of a service: CDS. */
import { type Typed, typeUrl } from '../../../common/envoy/codec.ts';
import type { AssignmentPlan } from '../endpoints/assignment.ts';
import type { MeshFacts, MeshPort, MeshService } from '../inputs.ts';
import type { EnvoyProxy } from '../proxy.ts';
import { ads, durationOf, type Message, statPrefix } from '../values.ts';
import { limitless } from './limits.ts';
import { protocolOptions } from './protocol.ts';
import { internalUpstream, rawBuffer } from './transport.ts';

export interface ClusterPlan {
  readonly name: string;
  readonly service: MeshService;
  readonly port: MeshPort;
  /** How it is spoken to. */
  readonly kind: 'tcp' | 'http';
}

export interface NamedCluster extends Typed {
  readonly name: string;
}

/** A cluster, and the endpoints that go with it by EDS; undefined where it finds them otherwise. */
export interface MadeCluster {
  readonly cluster: NamedCluster;
  readonly assignment: AssignmentPlan | undefined;
}

export function makeCluster(facts: MeshFacts, proxy: EnvoyProxy, plan: ClusterPlan): MadeCluster {
  const { name, service, port, kind } = plan;
  const options = kind === 'http' ? protocolOptions(port.protocol) : undefined;
  const cluster: NamedCluster & Message = {
    '@type': typeUrl('envoy.config.cluster.v3.Cluster'),
    name,
    alt_stat_name: statPrefix(name),
    type: 'EDS',
    eds_cluster_config: { eds_config: ads },
    connect_timeout: durationOf(facts.connectTimeout),
    lb_policy: 'LEAST_REQUEST',
    circuit_breakers: limitless,
    ...(options && { typed_extension_protocol_options: options }),
    ...(proxy.kind === 'waypoint' && { transport_socket: internalUpstream(rawBuffer) }),
  };
  return {
    cluster,
    assignment: { name, service, port: port.number, labels: {}, balancing: { kind: 'even' } },
  };
}
