/**
 * Resources of the workload API between bytes and domain objects. Decoding rejects what ztunnel rejects (ambient-wire
 * 3.2) and, in policies, everything that would have to be guessed: a policy half understood is worse than the last good one.
 */
import { type Cidr, type Ip, ipFromBytes, ipToBytes, isIpv6, type Port } from '../core/net.ts';
import type {
  ApplicationTunnel,
  AuthorizationPolicy,
  GatewayAddress,
  LoadBalancing,
  MeshAddress,
  NetworkAddress,
  PolicyMatch,
  PortMapping,
  Service,
  ServiceAccountMatch,
  StringMatch,
  Workload,
  WorkloadType,
} from '../mesh/types.ts';
import {
  addressMessage,
  authorizationMessage,
  type Encodable,
  enums,
  type PbApplicationTunnel,
  type PbAuthorization,
  type PbCidr,
  type PbEnum,
  type PbGatewayAddress,
  type PbLoadBalancing,
  type PbMatch,
  type PbMessage,
  type PbNetworkAddress,
  type PbPort,
  type PbService,
  type PbStringMatch,
  type PbWorkload,
} from './messages.ts';

/** `rejected` goes back to the control plane in a NACK, so the reason names field and value. */
export type Decoded<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'rejected'; readonly reason: string };

/** A resource may have this many bytes; larger ones are rejected unread. An object of Kubernetes has at most 1.5 MiB. */
export const maxResourceBytes = 4 * 1024 * 1024;

/** Bytes of an `Address` that holds the workload. */
export function encodeWorkload(w: Workload): Uint8Array {
  return addressMessage.encode({ workload: workloadToPb(w) });
}

/** Bytes of an `Address` that holds the service. */
export function encodeService(s: Service): Uint8Array {
  return addressMessage.encode({ service: serviceToPb(s) });
}

export function encodeAddress(a: MeshAddress): Uint8Array {
  return a.kind === 'workload' ? encodeWorkload(a) : encodeService(a);
}

export function encodeAuthorization(p: AuthorizationPolicy): Uint8Array {
  return authorizationMessage.encode(policyToPb(p));
}

/** Never throws. */
export function decodeAddress(bytes: Uint8Array): Decoded<MeshAddress> {
  return decode(bytes, addressMessage, (a) => {
    if (a.type === 'workload') return workloadFromPb(a.workload!);
    if (a.type === 'service') return serviceFromPb(a.service!);
    throw new Rejection('Address has neither a workload nor a service');
  });
}

/** Never throws. */
export function decodeAuthorization(bytes: Uint8Array): Decoded<AuthorizationPolicy> {
  return decode(bytes, authorizationMessage, policyFromPb);
}

class Rejection extends Error {}

function decode<Pb, T>(bytes: Uint8Array, message: PbMessage<Pb>, read: (pb: Pb) => T): Decoded<T> {
  if (bytes.length > maxResourceBytes) {
    return {
      kind: 'rejected',
      reason: `${bytes.length} bytes are more than the ${maxResourceBytes} a resource may have`,
    };
  }
  let pb: Pb;
  try {
    pb = message.decode(bytes);
  } catch (e) {
    return { kind: 'rejected', reason: `not a valid protobuf message: ${e instanceof Error ? e.message : String(e)}` };
  }
  try {
    return { kind: 'ok', value: read(pb) };
  } catch (e) {
    if (e instanceof Rejection) return { kind: 'rejected', reason: e.message };
    throw e;
  }
}

function enumName<Name extends string>(field: string, type: PbEnum<Name>, value: number): Name {
  const name = type.name(value);
  if (name === undefined) throw new Rejection(`${field}: value ${value} is unknown`);
  return name;
}

const workloadTypes = {
  DEPLOYMENT: 'deployment',
  CRONJOB: 'cronjob',
  POD: 'pod',
  JOB: 'job',
} as const satisfies Record<string, WorkloadType>;

const workloadTypeNumbers = {
  deployment: enums.workloadType.number('DEPLOYMENT'),
  cronjob: enums.workloadType.number('CRONJOB'),
  pod: enums.workloadType.number('POD'),
  job: enums.workloadType.number('JOB'),
} as const satisfies Record<WorkloadType, number>;

const defaultTrustDomain = 'cluster.local';
const defaultServiceAccount = 'default';
const defaultClusterId = 'Kubernetes';
const defaultCapacity = 1;

function workloadFromPb(pb: PbWorkload): Workload {
  const tunnelProtocol = enumName('tunnel_protocol', enums.tunnelProtocol, pb.tunnelProtocol);
  if (tunnelProtocol === 'LEGACY_ISTIO_MTLS') {
    throw new Rejection('tunnel_protocol: LEGACY_ISTIO_MTLS is not supported; use HBONE or NONE');
  }
  return {
    kind: 'workload',
    uid: pb.uid,
    name: pb.name,
    namespace: pb.namespace,
    addresses: pb.addresses.map((bytes) => ip('addresses', bytes)),
    hostname: pb.hostname,
    network: pb.network,
    tunnelProtocol,
    trustDomain: pb.trustDomain || defaultTrustDomain,
    serviceAccount: pb.serviceAccount || defaultServiceAccount,
    ...(pb.waypoint && { waypoint: gatewayFromPb('waypoint', pb.waypoint) }),
    ...(pb.networkGateway && { networkGateway: gatewayFromPb('network_gateway', pb.networkGateway) }),
    node: pb.node,
    canonicalName: pb.canonicalName,
    canonicalRevision: pb.canonicalRevision,
    workloadType: workloadTypes[enumName('workload_type', enums.workloadType, pb.workloadType)],
    workloadName: pb.workloadName,
    nativeTunnel: pb.nativeTunnel,
    ...(pb.applicationTunnel && { applicationTunnel: tunnelFromPb(pb.applicationTunnel) }),
    services: new Map(
      Object.entries(pb.services).map(([key, list]) => {
        if (!key.includes('/')) throw new Rejection(`services: key "${key}" is not namespace/hostname`);
        return [key, portsFromPb(list.ports)];
      }),
    ),
    authorizationPolicies: pb.authorizationPolicies,
    status: enumName('status', enums.status, pb.status),
    clusterId: pb.clusterId || defaultClusterId,
    locality: {
      region: pb.locality?.region ?? '',
      zone: pb.locality?.zone ?? '',
      subzone: pb.locality?.subzone ?? '',
    },
    networkMode: enumName('network_mode', enums.networkMode, pb.networkMode),
    capacity: pb.capacity?.value ?? defaultCapacity,
  };
}

function workloadToPb(w: Workload): Encodable<PbWorkload> {
  return {
    uid: w.uid,
    name: w.name,
    namespace: w.namespace,
    addresses: w.addresses.map(ipToBytes),
    hostname: w.hostname,
    network: w.network,
    tunnelProtocol: enums.tunnelProtocol.number(w.tunnelProtocol),
    trustDomain: w.trustDomain === defaultTrustDomain ? '' : w.trustDomain,
    serviceAccount: w.serviceAccount,
    ...(w.waypoint && { waypoint: gatewayToPb(w.waypoint) }),
    ...(w.networkGateway && { networkGateway: gatewayToPb(w.networkGateway) }),
    node: w.node,
    canonicalName: w.canonicalName,
    canonicalRevision: w.canonicalRevision,
    workloadType: workloadTypeNumbers[w.workloadType],
    workloadName: w.workloadName,
    nativeTunnel: w.nativeTunnel,
    ...(w.applicationTunnel && {
      applicationTunnel: {
        protocol: enums.tunnel.number(w.applicationTunnel.protocol),
        port: w.applicationTunnel.port,
      },
    }),
    services: Object.fromEntries([...w.services].map(([key, ports]) => [key, { ports: ports.map(portToPb) }])),
    authorizationPolicies: w.authorizationPolicies,
    status: enums.status.number(w.status),
    clusterId: w.clusterId,
    ...((w.locality.region || w.locality.zone || w.locality.subzone) && { locality: w.locality }),
    networkMode: enums.networkMode.number(w.networkMode),
    ...(w.capacity !== defaultCapacity && { capacity: { value: w.capacity } }),
  };
}

function serviceFromPb(pb: PbService): Service {
  return {
    kind: 'service',
    name: pb.name,
    namespace: pb.namespace,
    hostname: pb.hostname,
    addresses: pb.addresses.map((a) => networkAddressFromPb('addresses', a)),
    ports: portsFromPb(pb.ports),
    subjectAltNames: pb.subjectAltNames,
    ...(pb.waypoint && { waypoint: gatewayFromPb('waypoint', pb.waypoint) }),
    weightedWaypoints: pb.weightedWaypoints.map((w) => {
      if (!w.destination) throw new Rejection('weighted_waypoints: an entry has no destination');
      return { waypoint: gatewayFromPb('weighted_waypoints', w.destination), weight: w.weight };
    }),
    ...(pb.loadBalancing && { loadBalancing: loadBalancingFromPb(pb.loadBalancing) }),
    ipFamilies: enumName('ip_families', enums.ipFamilies, pb.ipFamilies),
    canonical: pb.canonical,
    visibility: enums.visibility.name(pb.visibility) ?? 'PUBLIC',
    ...(pb.ingressUseWaypoint && { ingressUseWaypoint: true }),
  };
}

function serviceToPb(s: Service): Encodable<PbService> {
  return {
    name: s.name,
    namespace: s.namespace,
    hostname: s.hostname,
    addresses: s.addresses.map(networkAddressToPb),
    ports: s.ports.map(portToPb),
    subjectAltNames: s.subjectAltNames,
    ...(s.waypoint && { waypoint: gatewayToPb(s.waypoint) }),
    weightedWaypoints: s.weightedWaypoints.map((w) => ({ destination: gatewayToPb(w.waypoint), weight: w.weight })),
    ...(s.loadBalancing && {
      loadBalancing: {
        routingPreference: s.loadBalancing.routingPreference.map(enums.lbScope.number),
        mode: enums.lbMode.number(s.loadBalancing.mode),
        healthPolicy: enums.healthPolicy.number(s.loadBalancing.healthPolicy),
      },
    }),
    ipFamilies: enums.ipFamilies.number(s.ipFamilies),
    canonical: s.canonical,
    visibility: enums.visibility.number(s.visibility),
    ...(s.ingressUseWaypoint && { ingressUseWaypoint: true }),
  };
}

function loadBalancingFromPb(pb: PbLoadBalancing): LoadBalancing {
  return {
    routingPreference: pb.routingPreference.map((value) => {
      const scope = enumName('load_balancing.routing_preference', enums.lbScope, value);
      if (scope === 'UNSPECIFIED_SCOPE') {
        throw new Rejection('load_balancing.routing_preference: UNSPECIFIED_SCOPE is not a scope');
      }
      return scope;
    }),
    mode: enumName('load_balancing.mode', enums.lbMode, pb.mode),
    healthPolicy: enumName('load_balancing.health_policy', enums.healthPolicy, pb.healthPolicy),
  };
}

function tunnelFromPb(pb: PbApplicationTunnel): ApplicationTunnel {
  return { protocol: enumName('application_tunnel.protocol', enums.tunnel, pb.protocol), port: port16(pb.port) };
}

function gatewayFromPb(field: string, pb: PbGatewayAddress): GatewayAddress {
  const hboneMtlsPort = port16(pb.hboneMtlsPort) as Port;
  if (pb.destination === 'hostname') {
    const { namespace, hostname } = pb.hostname!;
    return { destination: { kind: 'hostname', namespace, hostname }, hboneMtlsPort };
  }
  if (pb.destination === 'address') {
    return { destination: { kind: 'address', ...networkAddressFromPb(field, pb.address!) }, hboneMtlsPort };
  }
  throw new Rejection(`${field}: neither hostname nor address is given`);
}

function gatewayToPb(g: GatewayAddress): Encodable<PbGatewayAddress> {
  const d = g.destination;
  return d.kind === 'hostname'
    ? { hostname: { namespace: d.namespace, hostname: d.hostname }, hboneMtlsPort: g.hboneMtlsPort }
    : { address: networkAddressToPb(d), hboneMtlsPort: g.hboneMtlsPort };
}

function networkAddressFromPb(field: string, pb: PbNetworkAddress): NetworkAddress {
  const { ip, length } = prefix(field, pb.address, pb.length ?? pb.address.length * 8);
  return { network: pb.network, ip, ...(length < (isIpv6(ip) ? 128 : 32) && { length }) };
}

function networkAddressToPb(a: NetworkAddress): Encodable<PbNetworkAddress> {
  return { network: a.network, address: ipToBytes(a.ip), ...(a.length !== undefined && { length: a.length }) };
}

/** The last mapping of a service port counts, as in a map. What it speaks is only a hint: an unknown value is none. */
function portsFromPb(ports: readonly PbPort[]): readonly PortMapping[] {
  const byServicePort = new Map(ports.map((p) => [port16(p.servicePort), p]));
  return [...byServicePort].map(([servicePort, p]) => {
    const appProtocol = enums.appProtocol.name(p.appProtocol) ?? 'UNKNOWN';
    return { servicePort, targetPort: port16(p.targetPort), ...(appProtocol !== 'UNKNOWN' && { appProtocol }) };
  });
}

function portToPb({ servicePort, targetPort, appProtocol }: PortMapping): Encodable<PbPort> {
  return { servicePort, targetPort, ...(appProtocol && { appProtocol: enums.appProtocol.number(appProtocol) }) };
}

function port16(value: number): number {
  return value & 0xffff;
}

function ip(field: string, bytes: Uint8Array): Ip {
  const address = ipFromBytes(bytes);
  if (address === undefined) throw new Rejection(`${field}: an IP address has 4 or 16 bytes, not ${bytes.length}`);
  return address;
}

function prefix(field: string, bytes: Uint8Array, length: number): Cidr {
  const address = ip(field, bytes);
  // An IPv4-mapped address was folded to IPv4; its prefix counts from the last 32 bits.
  const folded = bytes.length === 16 && !isIpv6(address) ? 96 : 0;
  if (length > bytes.length * 8 || length < folded) {
    throw new Rejection(
      `${field}: prefix length ${length} of ${address} is not between ${folded} and ${bytes.length * 8}`,
    );
  }
  return { ip: address, length: length - folded };
}

function policyFromPb(pb: PbAuthorization): AuthorizationPolicy {
  return {
    name: pb.name,
    namespace: pb.namespace,
    scope: enumName('scope', enums.scope, pb.scope),
    action: enumName('action', enums.action, pb.action),
    groups: pb.groups.map((g) => ({ rules: g.rules.map((r) => ({ matches: r.matches.map(matchFromPb) })) })),
    dryRun: pb.dryRun,
  };
}

function policyToPb(p: AuthorizationPolicy): Encodable<PbAuthorization> {
  return {
    name: p.name,
    namespace: p.namespace,
    scope: enums.scope.number(p.scope),
    action: enums.action.number(p.action),
    groups: p.groups.map((g) => ({ rules: g.rules.map((r) => ({ matches: r.matches.map(matchToPb) })) })),
    dryRun: p.dryRun,
  };
}

function matchFromPb(pb: PbMatch): PolicyMatch {
  return {
    namespaces: pb.namespaces.map((m) => stringFromPb('namespaces', m)),
    notNamespaces: pb.notNamespaces.map((m) => stringFromPb('not_namespaces', m)),
    principals: pb.principals.map((m) => stringFromPb('principals', m)),
    notPrincipals: pb.notPrincipals.map((m) => stringFromPb('not_principals', m)),
    sourceIps: pb.sourceIps.map((c) => prefix('source_ips', c.address, c.length)),
    notSourceIps: pb.notSourceIps.map((c) => prefix('not_source_ips', c.address, c.length)),
    destinationIps: pb.destinationIps.map((c) => prefix('destination_ips', c.address, c.length)),
    notDestinationIps: pb.notDestinationIps.map((c) => prefix('not_destination_ips', c.address, c.length)),
    destinationPorts: pb.destinationPorts,
    notDestinationPorts: pb.notDestinationPorts,
    serviceAccounts: pb.serviceAccounts.map(serviceAccountFromPb),
    notServiceAccounts: pb.notServiceAccounts.map(serviceAccountFromPb),
  };
}

function matchToPb(m: PolicyMatch): Encodable<PbMatch> {
  return {
    namespaces: m.namespaces.map(stringToPb),
    notNamespaces: m.notNamespaces.map(stringToPb),
    principals: m.principals.map(stringToPb),
    notPrincipals: m.notPrincipals.map(stringToPb),
    sourceIps: m.sourceIps.map(cidrToPb),
    notSourceIps: m.notSourceIps.map(cidrToPb),
    destinationIps: m.destinationIps.map(cidrToPb),
    notDestinationIps: m.notDestinationIps.map(cidrToPb),
    destinationPorts: m.destinationPorts,
    notDestinationPorts: m.notDestinationPorts,
    serviceAccounts: m.serviceAccounts,
    notServiceAccounts: m.notServiceAccounts,
  };
}

function stringFromPb(field: string, pb: PbStringMatch): StringMatch {
  switch (pb.matchType) {
    case 'exact':
      return { kind: 'exact', value: pb.exact! };
    case 'prefix':
      return { kind: 'prefix', value: pb.prefix! };
    case 'suffix':
      return { kind: 'suffix', value: pb.suffix! };
    case 'presence':
      return { kind: 'presence' };
    default:
      throw new Rejection(`${field}: a match is none of exact, prefix, suffix and presence`);
  }
}

function stringToPb(m: StringMatch): Encodable<PbStringMatch> {
  return m.kind === 'presence' ? { presence: {} } : { [m.kind]: m.value };
}

function cidrToPb(c: Cidr): Encodable<PbCidr> {
  return { address: ipToBytes(c.ip), length: c.length };
}

function serviceAccountFromPb({ namespace, serviceAccount }: ServiceAccountMatch): ServiceAccountMatch {
  return { namespace, serviceAccount };
}
