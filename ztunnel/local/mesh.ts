/**
 * The mesh from a file instead of istiod (`LOCAL_XDS_PATH`, `LOCAL_XDS`), in the YAML of Istio's ztunnel (ambient-wire 6.6). Two
 * things differ: `uid` must be there, since entries without one would replace each other, and an absent `trustDomain` is the
 * proxy's own instead of an empty one, for which nobody could get a certificate.
 */
import { readFileSync } from 'node:fs';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { type Cidr, type Ip, type Port, parseCidr, parseIp } from '../../common/core/net.ts';
import type { MeshBatch } from '../../common/mesh/store.ts';
import type {
  AuthorizationPolicy,
  GatewayAddress,
  LbScope,
  LoadBalancing,
  Locality,
  NetworkAddress,
  PolicyMatch,
  PortMapping,
  Service,
  StringMatch,
  WeightedWaypoint,
  Workload,
} from '../../common/mesh/types.ts';
import type { LocalMesh } from '../config/control-plane.ts';
import {
  boolean,
  type Field,
  integer,
  isEmptyList,
  list,
  mapping,
  optional,
  type Place,
  parsed,
  type Reader,
  readYaml,
  record,
  required,
  tagOf,
  text,
  word,
  wrong,
} from './fields.ts';

/** MeshError CONFIG when the file cannot be read, or with all that is wrong in it, each with line and field. */
export function readLocalMesh(source: LocalMesh, trustDomain: string): MeshBatch {
  if (source.kind === 'text') return parseLocalMesh(source.text, 'LOCAL_XDS', trustDomain);
  let content: string;
  try {
    content = readFileSync(source.path, 'utf8');
  } catch (cause) {
    throw new MeshError('CONFIG', `LOCAL_XDS_PATH: ${describeError(cause)}`, { cause });
  }
  return parseLocalMesh(content, source.path, trustDomain);
}

/** `name` is how mistakes call the text. */
export function parseLocalMesh(content: string, name: string, trustDomain: string): MeshBatch {
  const document = record({
    workloads: optional(list(workload(trustDomain)), []),
    services: optional(list(service), []),
    policies: optional(list(policy), []),
  });
  const { workloads, services, policies } = readYaml(content, name, document);
  return { addresses: [...services, ...workloads], policies };
}

const word16 = integer(0, 0xffff);
const port = integer(1, 0xffff);
const noText: Field<string> = optional(text, '');
const ip: Reader<Ip> = parsed(parseIp, 'an IP address');
const cidr: Reader<Cidr> = parsed(parseCidr, 'an IP address or CIDR');

/** Of `network/IP`; the network may be empty. */
function parseNetworkAddress(value: string): NetworkAddress | undefined {
  const slash = value.indexOf('/');
  const address = slash < 0 ? undefined : parseIp(value.slice(slash + 1));
  return address === undefined ? undefined : { network: value.slice(0, slash), ip: address };
}

const vip = parsed(parseNetworkAddress, 'network/IP; for the default network /IP');

const cidrVip: Reader<NetworkAddress> = (place) => {
  const read = record({ network: required(text), cidr: required(cidr) });
  const range = read(place);
  return { network: range.network, ...range.cidr };
};

function parseDestination(value: string): GatewayAddress['destination'] | undefined {
  const address = parseNetworkAddress(value);
  if (address) return { kind: 'address', ...address };
  const m = /^([^/]+)\/([^/]+)$/.exec(value);
  return m ? { kind: 'hostname', namespace: m[1]!, hostname: m[2]! } : undefined;
}

const gateway: Reader<GatewayAddress> = (place) => {
  const read = record({
    destination: required(parsed(parseDestination, 'network/IP or namespace/hostname')),
    hboneMtlsPort: required(port),
  });
  const { destination, hboneMtlsPort } = read(place);
  return { destination, hboneMtlsPort: hboneMtlsPort as Port };
};

/** Service port: target port. */
const ports: Reader<readonly PortMapping[]> = mapping((key, value) => {
  const servicePort = /^\d{1,5}$/.test(key) ? Number(key) : 0;
  if (servicePort < 1 || servicePort > 0xffff) throw wrong(value, 'a port as the key');
  return { servicePort, targetPort: word16(value) };
});

const locality: Reader<Locality> = record({ region: required(text), zone: required(text), subzone: required(text) });

const workloadTypes = {
  deployment: 'deployment',
  cronjob: 'cronjob',
  pod: 'pod',
  job: 'job',
  '': 'deployment',
} as const;

function workload(trustDomain: string): Reader<Workload> {
  const read = record({
    uid: required(text),
    name: noText,
    namespace: required(text),
    serviceAccount: noText,
    trustDomain: optional(text, trustDomain),
    workloadIps: required(list(ip)),
    hostname: noText,
    node: noText,
    protocol: optional(word({ TCP: 'NONE', HBONE: 'HBONE' } as const), 'NONE'),
    networkMode: optional(word({ Standard: 'STANDARD', HostNetwork: 'HOST_NETWORK' } as const), 'STANDARD'),
    network: noText,
    clusterId: noText,
    workloadName: noText,
    workloadType: optional(word(workloadTypes), 'deployment'),
    canonicalName: noText,
    canonicalRevision: noText,
    nativeTunnel: optional(boolean, false),
    capacity: optional(integer(0, 0xffff_ffff), 1),
    status: optional(word({ Healthy: 'HEALTHY', Unhealthy: 'UNHEALTHY' } as const), 'HEALTHY'),
    locality: optional(locality, { region: '', zone: '', subzone: '' }),
    authorizationPolicies: optional(list(text), []),
    applicationTunnel: optional(
      record({
        protocol: required(word({ NONE: 'NONE', PROXY: 'PROXY' } as const)),
        port: optional(word16, 0),
      }),
      undefined,
    ),
    waypoint: optional<GatewayAddress | undefined>(gateway, undefined),
    networkGateway: optional<GatewayAddress | undefined>(gateway, undefined),
    services: required(mapping((key, value) => [serviceName(key, value), ports(value)] as const)),
  });
  return (place) => {
    const { workloadIps, protocol, services, applicationTunnel, waypoint, networkGateway, ...same } = read(place);
    return {
      kind: 'workload',
      ...same,
      addresses: workloadIps,
      tunnelProtocol: protocol,
      services: new Map(services),
      ...(applicationTunnel && { applicationTunnel }),
      ...(waypoint && { waypoint }),
      ...(networkGateway && { networkGateway }),
    };
  };
}

function serviceName(key: string, value: Place): string {
  if (!/^[^/]+\/[^/]+$/.test(key)) throw wrong(value, 'namespace/hostname as the key');
  return key;
}

const scopes = {
  Region: 'REGION',
  Zone: 'ZONE',
  Subzone: 'SUBZONE',
  Node: 'NODE',
  Cluster: 'CLUSTER',
  Network: 'NETWORK',
} as const satisfies Record<string, LbScope>;

const loadBalancer: Reader<LoadBalancing> = (place) => {
  const read = record({
    routingPreferences: required(list(word(scopes))),
    mode: required(
      word({
        Standard: 'UNSPECIFIED_MODE',
        Strict: 'STRICT',
        Failover: 'FAILOVER',
        Passthrough: 'PASSTHROUGH',
      } as const),
    ),
    healthPolicy: required(word({ OnlyHealthy: 'ONLY_HEALTHY', AllowAll: 'ALLOW_ALL' } as const)),
  });
  const { routingPreferences, ...same } = read(place);
  return { routingPreference: routingPreferences, ...same };
};

const weightedWaypoint: Reader<WeightedWaypoint> = (place) => {
  const read = record({ destination: required(gateway), weight: required(integer(0, 0xffff_ffff)) });
  const { destination, weight } = read(place);
  return { waypoint: destination, weight };
};

const service: Reader<Service> = (place) => {
  const read = record({
    name: required(text),
    namespace: required(text),
    hostname: required(text),
    vips: required(list(vip)),
    cidrVips: optional(list(cidrVip), []),
    ports: required(ports),
    subjectAltNames: optional(list(text), []),
    waypoint: optional<GatewayAddress | undefined>(gateway, undefined),
    weightedWaypoints: optional(list(weightedWaypoint), []),
    loadBalancer: optional<LoadBalancing | undefined>(loadBalancer, undefined),
    ipFamilies: optional(word({ IPv4: 'IPV4_ONLY', IPv6: 'IPV6_ONLY', Dual: 'DUAL' } as const), 'AUTOMATIC'),
    canonical: optional(boolean, false),
    visibility: optional(word({ Public: 'PUBLIC', Namespace: 'NAMESPACE' } as const), 'PUBLIC'),
  });
  const { vips, cidrVips, waypoint, loadBalancer: loadBalancing, ...same } = read(place);
  return {
    kind: 'service',
    ...same,
    addresses: [...vips, ...cidrVips],
    ...(waypoint && { waypoint }),
    ...(loadBalancing && { loadBalancing }),
  };
};

/** `!Exact x`, `!Prefix x`, `!Suffix x`, `!Presence []`. */
const stringMatch: Reader<StringMatch> = (place) => {
  switch (tagOf(place)) {
    case 'Exact':
      return { kind: 'exact', value: text(place) };
    case 'Prefix':
      return { kind: 'prefix', value: text(place) };
    case 'Suffix':
      return { kind: 'suffix', value: text(place) };
    case 'Presence':
      if (isEmptyList(place)) return { kind: 'presence' };
  }
  throw wrong(place, '!Exact TEXT, !Prefix TEXT, !Suffix TEXT or !Presence []');
};

const strings = optional(list(stringMatch), []);
const cidrs = optional(list(cidr), []);
const portList = optional(list(word16), []);
const accounts = optional(list(record({ namespace: required(text), serviceAccount: required(text) })), []);

const match: Reader<PolicyMatch> = record({
  namespaces: strings,
  notNamespaces: strings,
  principals: strings,
  notPrincipals: strings,
  sourceIps: cidrs,
  notSourceIps: cidrs,
  destinationIps: cidrs,
  notDestinationIps: cidrs,
  destinationPorts: portList,
  notDestinationPorts: portList,
  serviceAccounts: accounts,
  notServiceAccounts: accounts,
});

const policy: Reader<AuthorizationPolicy> = (place) => {
  const read = record({
    name: required(text),
    namespace: required(text),
    scope: required(word({ Global: 'GLOBAL', Namespace: 'NAMESPACE', WorkloadSelector: 'WORKLOAD_SELECTOR' } as const)),
    action: required(word({ Allow: 'ALLOW', Deny: 'DENY' } as const)),
    dryRun: required(boolean),
    rules: required(list(list(list(match)))),
  });
  const { rules, ...same } = read(place);
  return { ...same, groups: rules.map((group) => ({ rules: group.map((matches) => ({ matches })) })) };
};
