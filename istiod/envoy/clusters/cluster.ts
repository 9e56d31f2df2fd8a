/** A cluster for a port of a service, or for one of its subsets: CDS. */

import { assertNever } from '../../../common/core/errors.ts';
import { type Typed, typeUrl } from '../../../common/envoy/codec.ts';
import type { SecretPlan } from '../credentials.ts';
import type { AssignmentPlan } from '../endpoints/assignment.ts';
import { assignmentNow } from '../endpoints/assignment.ts';
import type { MeshPort, MeshService, MeshView } from '../inputs.ts';
import type { EnvoyProxy } from '../proxy.ts';
import { ads, durationOf, extension, type Message, statPrefix, struct } from '../values.ts';
import { balancer, balancingOf, isPassthrough, passthrough } from './balancer.ts';
import { limits, socketOptions } from './limits.ts';
import { outliers } from './outliers.ts';
import { protocolOptions } from './protocol.ts';
import type { PortPolicy, Subset } from './rules.ts';
import { origination } from './tls.ts';
import { internalUpstream, rawBuffer } from './transport.ts';

export interface ClusterPlan {
  readonly name: string;
  readonly service: MeshService;
  readonly port: MeshPort;
  /** How it is spoken to. */
  readonly kind: 'tcp' | 'http';
  readonly subset: Subset | undefined;
  readonly policy: PortPolicy;
}

export interface NamedCluster extends Typed {
  readonly name: string;
}

/** A cluster, and the endpoints that go with it by EDS; undefined where it finds them otherwise. */
export interface MadeCluster {
  readonly cluster: NamedCluster;
  readonly assignment: AssignmentPlan | undefined;
  /** That its TLS names. */
  readonly secrets: readonly SecretPlan[];
  /** Why nothing goes there though it is asked for. */
  readonly refusal?: string;
}

export function makeCluster(view: MeshView, proxy: EnvoyProxy, plan: ClusterPlan): MadeCluster {
  const { name, service, port, kind, policy, subset } = plan;
  const { facts } = view;
  const tls = origination(view, proxy, policy.tls, service.subjectAltNames);
  const assignment: AssignmentPlan = {
    name,
    service,
    port: port.number,
    labels: subset?.labels ?? {},
    balancing: balancingOf(policy, service, facts),
  };
  const found = tls.kind === 'refused' ? nowhere : discovery(view, proxy, assignment, policy);
  const serverName = tls.kind === 'tls' ? tls.serverName : undefined;
  const sockets = socketOptions(policy);
  const cluster: NamedCluster & Message = {
    '@type': typeUrl('envoy.config.cluster.v3.Cluster'),
    name,
    alt_stat_name: statPrefix(name),
    connect_timeout: durationOf(policy.connectionPool?.tcp?.connectTimeout ?? facts.connectTimeout),
    circuit_breakers: limits(policy),
    ...(sockets && { upstream_connection_options: sockets }),
    ...(policy.outlierDetection && { outlier_detection: outliers(policy.outlierDetection) }),
    ...(kind === 'http' && { typed_extension_protocol_options: protocolOptions(port.protocol, policy, serverName) }),
    ...commonBalancing(policy, assignment),
    ...(tls.kind !== 'refused' && transport(proxy, policy, tls.kind === 'tls' ? tls.socket : rawBuffer)),
    metadata: { filter_metadata: { istio: describe(service, subset) } },
    ...found.fields,
  };
  return {
    cluster,
    assignment: found.byEds ? assignment : undefined,
    secrets: tls.kind === 'tls' ? tls.secrets : [],
    ...(tls.kind === 'refused' && { refusal: tls.reason }),
  };
}

interface Discovery {
  readonly fields: Message;
  readonly byEds: boolean;
}

/** Requests are answered with 503. */
const nowhere: Discovery = { fields: { type: 'STATIC', lb_policy: 'ROUND_ROBIN' }, byEds: false };

function discovery(view: MeshView, proxy: EnvoyProxy, plan: AssignmentPlan, policy: PortPolicy): Discovery {
  const { resolution } = plan.service;
  const isGrpc = proxy.kind === 'client' && proxy.isGrpc;
  if (isPassthrough(policy) || resolution === 'original') return { fields: passthrough, byEds: false };
  switch (resolution) {
    case 'endpoints':
      return {
        fields: { type: 'EDS', eds_cluster_config: { eds_config: ads }, ...balancer(policy, isGrpc) },
        byEds: true,
      };
    case 'dns':
    case 'dns-round-robin':
      return {
        fields: {
          type: resolution === 'dns' ? 'STRICT_DNS' : 'LOGICAL_DNS',
          dns_lookup_family: { ipv4: 'V4_ONLY', ipv6: 'V6_ONLY', both: 'V4_PREFERRED' }[proxy.families],
          dns_refresh_rate: { seconds: 60 },
          // A name that is not there yet, or a server that fails once, shall not cost a minute of 503, which it does with Istio.
          dns_failure_refresh_rate: { base_interval: { seconds: 1 }, max_interval: { seconds: 60 } },
          respect_dns_ttl: true,
          load_assignment: assignmentNow(view, proxy, plan),
          ...balancer(policy, isGrpc),
        },
        byEds: false,
      };
    case 'dynamic-dns':
      // The name that the client gave, which the filter of that name has looked up.
      return {
        fields: {
          lb_policy: 'CLUSTER_PROVIDED',
          cluster_type: extension(
            'envoy.clusters.dynamic_forward_proxy',
            'envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig',
            // Plain text has no certificate to check.
            { dns_cache_config: dnsCache(proxy), allow_insecure_cluster_options: !isTls(policy) },
          ),
        },
        byEds: false,
      };
    default:
      return assertNever(resolution);
  }
}

function isTls({ tls }: PortPolicy): boolean {
  return tls?.mode === 'SIMPLE' || tls?.mode === 'MUTUAL';
}

/** Shared by the cluster and the filter before it, which have to say the same. */
export function dnsCache({ families }: Pick<EnvoyProxy, 'families'>): Message {
  const family = { ipv4: 'V4_ONLY', ipv6: 'V6_ONLY', both: 'V4_PREFERRED' }[families];
  return { name: 'dynamic-dns', dns_lookup_family: family, max_hosts: { value: 1_024 } };
}

function commonBalancing({ outlierDetection }: PortPolicy, { balancing }: AssignmentPlan): Message {
  const isShared = balancing.kind === 'localities' && balancing.distribute.length > 0;
  return {
    common_lb_config: {
      // Endpoints that fail are used rather than none only where somebody says from which share on.
      healthy_panic_threshold: { value: outlierDetection?.minHealthPercent ?? 0 },
      ...(isShared && { locality_weighted_lb_config: {} }),
    },
  };
}

function transport(proxy: EnvoyProxy, { proxyProtocol }: PortPolicy, socket: Message): Message {
  const inner =
    proxyProtocol === undefined
      ? socket
      : extension(
          'envoy.transport_sockets.upstream_proxy_protocol',
          'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport',
          { config: { version: proxyProtocol.version ?? 'V1' }, transport_socket: socket },
        );
  if (proxy.kind === 'waypoint') return { transport_socket: internalUpstream(inner) };
  return inner === rawBuffer ? {} : { transport_socket: inner };
}

/** What metrics say of it. */
function describe({ hostname, name, namespace }: MeshService, subset: Subset | undefined): Message {
  const service = { structValue: struct({ host: hostname, name, namespace }) };
  return {
    fields: {
      services: { listValue: { values: [service] } },
      ...(subset && { subset: { stringValue: subset.name } }),
    },
  };
}
