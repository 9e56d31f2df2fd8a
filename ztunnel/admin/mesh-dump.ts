/** The mesh in the JSON of Istio's config_dump, whose keys istioctl reads (ambient-wire 7.3); a file of LOCAL_XDS has the same words. */
import { formatCidr } from '../../common/core/net.ts';
import { type MeshReader, serviceKey } from '../../common/mesh/store.ts';
import type {
  AuthorizationPolicy,
  GatewayAddress,
  LbScope,
  LoadBalancing,
  PolicyMatch,
  PortMapping,
  Service,
  StringMatch,
  Workload,
} from '../../common/mesh/types.ts';

export interface MeshDump {
  readonly workloads: readonly object[];
  readonly services: readonly object[];
  readonly policies: readonly object[];
  /** By service, then by uid of the workload. */
  readonly stagedServices: Readonly<Record<string, object>>;
}

/** Sorted by uid, hostname and name, so that two dumps can be compared. */
export function dumpMesh(store: MeshReader): MeshDump {
  const workloads = store.workloads().toSorted((a, b) => order(a.uid, b.uid));
  const endpoints = endpointsByService(workloads);
  return {
    workloads: workloads.map(dumpWorkload),
    services: store
      .services()
      .toSorted((a, b) => order(a.hostname, b.hostname) || order(a.namespace, b.namespace))
      .map((s) => dumpService(s, endpoints.get(serviceKey(s)) ?? {})),
    policies: store
      .policies()
      .toSorted((a, b) => order(a.namespace, b.namespace) || order(a.name, b.name))
      .map(dumpPolicy),
    stagedServices: Object.fromEntries(store.stagedServices().map((key) => [key, endpoints.get(key) ?? {}])),
  };
}

function order(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

type Endpoints = Record<string, object>;

function endpointsByService(workloads: readonly Workload[]): ReadonlyMap<string, Endpoints> {
  const found = new Map<string, Endpoints>();
  for (const w of workloads) {
    for (const [key, ports] of w.services) {
      const endpoints = found.get(key) ?? {};
      endpoints[w.uid] = { workloadUid: w.uid, port: dumpPorts(ports), status: statuses[w.status] };
      found.set(key, endpoints);
    }
  }
  return found;
}

const statuses = { HEALTHY: 'Healthy', UNHEALTHY: 'Unhealthy' } as const;
const networkModes = { STANDARD: 'Standard', HOST_NETWORK: 'HostNetwork' } as const;
const protocols = { NONE: 'TCP', HBONE: 'HBONE' } as const;

export function dumpWorkload(w: Workload): object {
  return {
    workloadIps: w.addresses,
    ...(w.waypoint && { waypoint: dumpGateway(w.waypoint) }),
    ...(w.networkGateway && { networkGateway: dumpGateway(w.networkGateway) }),
    protocol: protocols[w.tunnelProtocol],
    networkMode: networkModes[w.networkMode],
    uid: w.uid,
    name: w.name,
    namespace: w.namespace,
    // As Istio's does, the fields from here on only where they say something.
    ...said({
      trustDomain: w.trustDomain,
      serviceAccount: w.serviceAccount,
      network: w.network,
      workloadName: w.workloadName,
      workloadType: w.workloadType,
      canonicalName: w.canonicalName,
      canonicalRevision: w.canonicalRevision,
      hostname: w.hostname,
      node: w.node,
    }),
    ...(w.nativeTunnel && { nativeTunnel: true }),
    ...(w.applicationTunnel && { applicationTunnel: w.applicationTunnel }),
    ...(w.authorizationPolicies.length > 0 && { authorizationPolicies: w.authorizationPolicies }),
    status: statuses[w.status],
    clusterId: w.clusterId,
    ...(Object.values(w.locality).some((part) => part !== '') && { locality: w.locality }),
    ...(w.services.size > 0 && { services: [...w.services.keys()] }),
    capacity: w.capacity,
  };
}

function said(texts: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).filter(([, value]) => value !== ''));
}

const ipFamilies = { IPV4_ONLY: 'IPv4', IPV6_ONLY: 'IPv6', DUAL: 'Dual' } as const;
const visibilities = { PUBLIC: 'Public', NAMESPACE: 'Namespace' } as const;

function dumpService(s: Service, endpoints: Endpoints): object {
  const ranges = s.addresses.filter((a) => a.length !== undefined);
  return {
    name: s.name,
    namespace: s.namespace,
    hostname: s.hostname,
    vips: s.addresses.filter((a) => a.length === undefined).map((a) => `${a.network}/${a.ip}`),
    ...(ranges.length > 0 && {
      cidrVips: ranges.map((a) => ({ network: a.network, cidr: `${a.ip}/${a.length}` })),
    }),
    ports: dumpPorts(s.ports),
    endpoints,
    subjectAltNames: s.subjectAltNames,
    ...(s.waypoint && { waypoint: dumpGateway(s.waypoint) }),
    ...(s.weightedWaypoints.length > 0 && {
      weightedWaypoints: s.weightedWaypoints.map(({ waypoint, weight }) => ({
        destination: dumpGateway(waypoint),
        weight,
      })),
    }),
    ...(s.loadBalancing && { loadBalancer: dumpLoadBalancing(s.loadBalancing) }),
    ...(s.ipFamilies !== 'AUTOMATIC' && { ipFamilies: ipFamilies[s.ipFamilies] }),
    canonical: s.canonical,
    visibility: visibilities[s.visibility],
  };
}

function dumpPorts(ports: readonly PortMapping[]): Record<string, number> {
  return Object.fromEntries(ports.map((p) => [p.servicePort, p.targetPort]));
}

function dumpGateway({ destination: d, hboneMtlsPort }: GatewayAddress): object {
  const destination = d.kind === 'address' ? `${d.network}/${d.ip}` : `${d.namespace}/${d.hostname}`;
  return { destination, hboneMtlsPort };
}

const scopes: Readonly<Record<LbScope, string>> = {
  REGION: 'Region',
  ZONE: 'Zone',
  SUBZONE: 'Subzone',
  NODE: 'Node',
  CLUSTER: 'Cluster',
  NETWORK: 'Network',
};
const modes = { UNSPECIFIED_MODE: 'Standard', STRICT: 'Strict', FAILOVER: 'Failover', PASSTHROUGH: 'Passthrough' };
const healthPolicies = { ONLY_HEALTHY: 'OnlyHealthy', ALLOW_ALL: 'AllowAll' } as const;

function dumpLoadBalancing(l: LoadBalancing): object {
  return {
    routingPreferences: l.routingPreference.map((scope) => scopes[scope]),
    mode: modes[l.mode],
    healthPolicy: healthPolicies[l.healthPolicy],
  };
}

const policyScopes = { GLOBAL: 'Global', NAMESPACE: 'Namespace', WORKLOAD_SELECTOR: 'WorkloadSelector' } as const;
const actions = { ALLOW: 'Allow', DENY: 'Deny' } as const;

function dumpPolicy(p: AuthorizationPolicy): object {
  return {
    name: p.name,
    namespace: p.namespace,
    scope: policyScopes[p.scope],
    action: actions[p.action],
    rules: p.groups.map((group) => group.rules.map((rule) => rule.matches.map(dumpMatch))),
    dryRun: p.dryRun,
  };
}

function dumpMatch(m: PolicyMatch): object {
  const lists = {
    namespaces: m.namespaces.map(dumpString),
    notNamespaces: m.notNamespaces.map(dumpString),
    serviceAccounts: m.serviceAccounts,
    notServiceAccounts: m.notServiceAccounts,
    principals: m.principals.map(dumpString),
    notPrincipals: m.notPrincipals.map(dumpString),
    sourceIps: m.sourceIps.map(formatCidr),
    notSourceIps: m.notSourceIps.map(formatCidr),
    destinationIps: m.destinationIps.map(formatCidr),
    notDestinationIps: m.notDestinationIps.map(formatCidr),
    destinationPorts: m.destinationPorts,
    notDestinationPorts: m.notDestinationPorts,
  };
  return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
}

function dumpString(m: StringMatch): object {
  switch (m.kind) {
    case 'exact':
      return { Exact: m.value };
    case 'prefix':
      return { Prefix: m.value };
    case 'suffix':
      return { Suffix: m.value };
    case 'presence':
      return { Presence: [] };
  }
}
