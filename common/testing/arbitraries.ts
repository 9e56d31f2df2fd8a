/** Random domain objects for property tests. Names come from small sets, so that things meet. */
import fc from 'fast-check';
import { type Ip, ipFromBytes, isIpv6, type Port } from '../core/net.ts';
import type {
  AuthorizationPolicy,
  GatewayAddress,
  NetworkAddress,
  PolicyMatch,
  PortMapping,
  Service,
  StringMatch,
  Workload,
} from '../mesh/types.ts';

/** Records with the prototype that object literals have. */
function record<T extends object>(model: { readonly [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

export const anyIp: fc.Arbitrary<Ip> = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map((bytes) => ipFromBytes(bytes)!);

/** Few addresses, half of them in one /24. */
export const fewIps: fc.Arbitrary<Ip> = fc.constantFrom(
  ...(['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.1.1', 'fd00::1', 'fd00::2', 'fd00:1::1'] as Ip[]),
);

export const fewNames = fc.constantFrom('a', 'b', 'c');
const port = fc.integer({ min: 0, max: 65_535 });

/** Service ports are unique, as in a map. */
export const portMappings: fc.Arbitrary<readonly PortMapping[]> = fc.uniqueArray(
  record({
    servicePort: port,
    targetPort: port,
    appProtocol: fc.option(
      fc.constantFrom('HTTP11' as const, 'HTTP2' as const, 'GRPC' as const, 'TCP' as const, 'TLS' as const),
      {
        nil: undefined,
      },
    ),
  }).map(({ appProtocol, ...p }) => (appProtocol ? { ...p, appProtocol } : p)),
  { selector: (p) => p.servicePort, maxLength: 4 },
);

export function networkAddresses(ip: fc.Arbitrary<Ip>): fc.Arbitrary<NetworkAddress> {
  return fc
    .tuple(fc.constantFrom('', 'net-2'), ip, fc.option(fc.nat({ max: 127 }), { nil: undefined }))
    .map(([network, address, length]) => ({
      network,
      ip: address,
      ...(length !== undefined && { length: isIpv6(address) ? length : length % 32 }),
    }));
}

const gateway: fc.Arbitrary<GatewayAddress> = record({
  destination: fc.oneof(
    record({ kind: fc.constant('hostname' as const), namespace: fc.string(), hostname: fc.string() }),
    networkAddresses(anyIp).map((a) => ({ kind: 'address' as const, ...a })),
  ),
  hboneMtlsPort: port.map((p) => p as Port),
});

const text = fc.string({ unit: 'grapheme' });
const textOr = (fallback: string) => text.map((t) => t || fallback);

export const anyWorkload: fc.Arbitrary<Workload> = record({
  kind: fc.constant('workload' as const),
  uid: text,
  name: text,
  namespace: text,
  addresses: fc.array(anyIp, { maxLength: 3 }),
  hostname: text,
  network: text,
  tunnelProtocol: fc.constantFrom('NONE' as const, 'HBONE' as const),
  trustDomain: textOr('cluster.local'),
  serviceAccount: textOr('default'),
  waypoint: fc.option(gateway, { nil: undefined }),
  networkGateway: fc.option(gateway, { nil: undefined }),
  node: text,
  canonicalName: text,
  canonicalRevision: text,
  workloadType: fc.constantFrom('deployment' as const, 'cronjob' as const, 'pod' as const, 'job' as const),
  workloadName: text,
  nativeTunnel: fc.boolean(),
  applicationTunnel: fc.option(record({ protocol: fc.constantFrom('NONE' as const, 'PROXY' as const), port }), {
    nil: undefined,
  }),
  services: fc
    .array(fc.tuple(text, text, portMappings), { maxLength: 3 })
    .map((list) => new Map(list.map(([ns, host, ports]) => [`${ns}/${host}`, ports]))),
  authorizationPolicies: fc.array(text, { maxLength: 3 }),
  status: fc.constantFrom('HEALTHY' as const, 'UNHEALTHY' as const),
  clusterId: textOr('Kubernetes'),
  locality: record({ region: text, zone: text, subzone: text }),
  networkMode: fc.constantFrom('STANDARD' as const, 'HOST_NETWORK' as const),
  capacity: fc.nat({ max: 0xffff_ffff }),
}).map(present);

export const anyService: fc.Arbitrary<Service> = record({
  kind: fc.constant('service' as const),
  name: text,
  namespace: text,
  hostname: text,
  addresses: fc.array(networkAddresses(anyIp), { maxLength: 3 }),
  ports: portMappings,
  subjectAltNames: fc.array(text, { maxLength: 3 }),
  waypoint: fc.option(gateway, { nil: undefined }),
  weightedWaypoints: fc.array(record({ waypoint: gateway, weight: fc.nat({ max: 100 }) }), { maxLength: 2 }),
  loadBalancing: fc.option(
    record({
      routingPreference: fc.array(
        fc.constantFrom(...(['REGION', 'ZONE', 'SUBZONE', 'NODE', 'CLUSTER', 'NETWORK'] as const)),
        { maxLength: 4 },
      ),
      mode: fc.constantFrom(...(['UNSPECIFIED_MODE', 'STRICT', 'FAILOVER', 'PASSTHROUGH'] as const)),
      healthPolicy: fc.constantFrom('ONLY_HEALTHY' as const, 'ALLOW_ALL' as const),
    }),
    { nil: undefined },
  ),
  ipFamilies: fc.constantFrom(...(['AUTOMATIC', 'IPV4_ONLY', 'IPV6_ONLY', 'DUAL'] as const)),
  canonical: fc.boolean(),
  visibility: fc.constantFrom('PUBLIC' as const, 'NAMESPACE' as const),
}).map(present);

export interface PolicyParts {
  readonly text: fc.Arbitrary<string>;
  readonly ip: fc.Arbitrary<Ip>;
  readonly port: fc.Arbitrary<number>;
}

/** Most lists are empty, so that those which are not decide. */
export function policyMatches(parts: PolicyParts): fc.Arbitrary<PolicyMatch> {
  const string: fc.Arbitrary<StringMatch> = fc.oneof(
    record({ kind: fc.constantFrom('exact' as const, 'prefix' as const, 'suffix' as const), value: parts.text }),
    fc.constant({ kind: 'presence' as const }),
  );
  const cidr = fc
    .tuple(parts.ip, fc.nat({ max: 128 }))
    .map(([ip, length]) => ({ ip, length: isIpv6(ip) ? length : length % 33 }));
  const account = record({ namespace: parts.text, serviceAccount: parts.text });
  const some = <T>(one: fc.Arbitrary<T>) =>
    fc.oneof({ weight: 6, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(one, { maxLength: 2 }) });
  return record({
    namespaces: some(string),
    notNamespaces: some(string),
    principals: some(string),
    notPrincipals: some(string),
    sourceIps: some(cidr),
    notSourceIps: some(cidr),
    destinationIps: some(cidr),
    notDestinationIps: some(cidr),
    destinationPorts: some(parts.port),
    notDestinationPorts: some(parts.port),
    serviceAccounts: some(account),
    notServiceAccounts: some(account),
  });
}

/** Policies of any shape over the given values. */
export function policies(parts: PolicyParts): fc.Arbitrary<AuthorizationPolicy> {
  const rule = record({ matches: fc.array(policyMatches(parts), { maxLength: 2 }) });
  return record({
    name: parts.text,
    namespace: parts.text,
    scope: fc.constantFrom('GLOBAL' as const, 'NAMESPACE' as const, 'WORKLOAD_SELECTOR' as const),
    action: fc.constantFrom('ALLOW' as const, 'DENY' as const),
    groups: fc.array(record({ rules: fc.array(rule, { maxLength: 2 }) }), { maxLength: 2 }),
    dryRun: fc.boolean(),
  });
}

export const anyPolicy = policies({ text, ip: anyIp, port: fc.nat({ max: 0xffff_ffff }) });

/** Optional properties are absent, never undefined. */
type Present<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

function present<T extends object>(object: T): Present<T> {
  return Object.fromEntries(Object.entries(object).filter(([, v]) => v !== undefined)) as Present<T>;
}
