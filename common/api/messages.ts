/**
 * The wire messages, loaded from protos/*.proto when this module is first imported. `Pb...` types are what protobufjs
 * decodes to: scalars and lists always there, absent messages null. Domain types are common/mesh/types.ts (codec.ts).
 */
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const root = new protobuf.Root().loadSync(
  ['discovery', 'client-status', 'workload', 'security', 'certificate', 'zds'].map((name) =>
    fileURLToPath(new URL(`./protos/${name}.proto`, import.meta.url)),
  ),
);

/** A list to be encoded may be left out where it is empty, a scalar where it has its default, a message where it is absent. */
export type Encodable<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer U)[]
    ? readonly Encodable<U>[]
    : T extends object
      ? { readonly [K in keyof T]?: Encodable<T[K]> | undefined }
      : T;

export interface PbMessage<T> {
  encode(value: Encodable<T>): Buffer;
  /** Throws an Error on bytes that are not this message; nesting deeper than 100 is such. */
  decode(bytes: Uint8Array): T;
}

function message<T>(name: string): PbMessage<T> {
  const type = root.lookupType(name);
  return {
    encode(value) {
      const bytes = type.encode(value as object).finish();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    decode: (bytes) => type.decode(bytes) as unknown as T,
  };
}

export interface PbAny {
  readonly type_url: string;
  readonly value: Uint8Array;
}

export interface PbAddress {
  readonly type?: 'workload' | 'service';
  readonly workload: PbWorkload | null;
  readonly service: PbService | null;
}

export interface PbService {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly addresses: readonly PbNetworkAddress[];
  readonly ports: readonly PbPort[];
  readonly subjectAltNames: readonly string[];
  readonly waypoint: PbGatewayAddress | null;
  readonly loadBalancing: PbLoadBalancing | null;
  readonly ipFamilies: number;
  readonly canonical: boolean;
  readonly ingressUseWaypoint: boolean;
  readonly weightedWaypoints: readonly PbWeightedWaypoint[];
  readonly visibility: number;
}

export interface PbWorkload {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly Uint8Array[];
  readonly hostname: string;
  readonly network: string;
  readonly tunnelProtocol: number;
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly waypoint: PbGatewayAddress | null;
  readonly networkGateway: PbGatewayAddress | null;
  readonly node: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadType: number;
  readonly workloadName: string;
  readonly nativeTunnel: boolean;
  readonly applicationTunnel: PbApplicationTunnel | null;
  readonly services: Readonly<Record<string, PbPortList>>;
  readonly authorizationPolicies: readonly string[];
  readonly status: number;
  readonly clusterId: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subzone: string } | null;
  readonly networkMode: number;
  readonly capacity: { readonly value: number } | null;
}

export interface PbLoadBalancing {
  readonly routingPreference: readonly number[];
  readonly mode: number;
  readonly healthPolicy: number;
}

export interface PbPortList {
  readonly ports: readonly PbPort[];
}

export interface PbPort {
  readonly servicePort: number;
  readonly targetPort: number;
  readonly appProtocol: number;
}

export interface PbApplicationTunnel {
  readonly protocol: number;
  readonly port: number;
}

export interface PbGatewayAddress {
  readonly destination?: 'hostname' | 'address';
  readonly hostname: { readonly namespace: string; readonly hostname: string } | null;
  readonly address: PbNetworkAddress | null;
  readonly hboneMtlsPort: number;
}

export interface PbWeightedWaypoint {
  readonly destination: PbGatewayAddress | null;
  readonly weight: number;
}

export interface PbNetworkAddress {
  readonly network: string;
  readonly address: Uint8Array;
  readonly length?: number | null;
}

export interface PbAuthorization {
  readonly name: string;
  readonly namespace: string;
  readonly scope: number;
  readonly action: number;
  readonly groups: readonly PbGroup[];
  readonly dryRun: boolean;
}

export interface PbGroup {
  readonly rules: readonly PbRules[];
}

export interface PbRules {
  readonly matches: readonly PbMatch[];
}

export interface PbMatch {
  readonly namespaces: readonly PbStringMatch[];
  readonly notNamespaces: readonly PbStringMatch[];
  readonly principals: readonly PbStringMatch[];
  readonly notPrincipals: readonly PbStringMatch[];
  readonly sourceIps: readonly PbCidr[];
  readonly notSourceIps: readonly PbCidr[];
  readonly destinationIps: readonly PbCidr[];
  readonly notDestinationIps: readonly PbCidr[];
  readonly destinationPorts: readonly number[];
  readonly notDestinationPorts: readonly number[];
  readonly serviceAccounts: readonly PbServiceAccountMatch[];
  readonly notServiceAccounts: readonly PbServiceAccountMatch[];
}

export interface PbCidr {
  readonly address: Uint8Array;
  readonly length: number;
}

export interface PbServiceAccountMatch {
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface PbStringMatch {
  readonly matchType?: 'exact' | 'prefix' | 'suffix' | 'presence';
  readonly exact: string | null;
  readonly prefix: string | null;
  readonly suffix: string | null;
  readonly presence: object | null;
}

export interface PbStruct {
  readonly fields: Readonly<Record<string, PbValue>>;
}

export interface PbValue {
  readonly kind?: 'nullValue' | 'numberValue' | 'stringValue' | 'boolValue' | 'structValue' | 'listValue';
  readonly nullValue: number | null;
  readonly numberValue: number | null;
  readonly stringValue: string | null;
  readonly boolValue: boolean | null;
  readonly structValue: PbStruct | null;
  readonly listValue: { readonly values: readonly PbValue[] } | null;
}

export interface PbNode {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: PbStruct | null;
}

export interface PbStatus {
  readonly code: number;
  readonly message: string;
}

export interface PbDeltaRequest {
  readonly node: PbNode | null;
  readonly typeUrl: string;
  readonly resourceNamesSubscribe: readonly string[];
  readonly resourceNamesUnsubscribe: readonly string[];
  readonly initialResourceVersions: Readonly<Record<string, string>>;
  readonly responseNonce: string;
  readonly errorDetail: PbStatus | null;
}

export interface PbDeltaResponse {
  readonly systemVersionInfo: string;
  readonly resources: readonly PbResource[];
  readonly typeUrl: string;
  readonly nonce: string;
  readonly removedResources: readonly string[];
}

export interface PbResource {
  readonly version: string;
  readonly resource: PbAny | null;
  readonly name: string;
  readonly aliases: readonly string[];
}

export interface PbDiscoveryRequest {
  readonly versionInfo: string;
  readonly node: PbNode | null;
  readonly resourceNames: readonly string[];
  readonly typeUrl: string;
  readonly responseNonce: string;
  readonly errorDetail: PbStatus | null;
}

export interface PbDiscoveryResponse {
  readonly versionInfo: string;
  readonly resources: readonly PbAny[];
  readonly typeUrl: string;
  readonly nonce: string;
  readonly controlPlane: { readonly identifier: string } | null;
}

export interface PbTimestamp {
  readonly seconds: number;
  readonly nanos: number;
}

export interface PbClientConfig {
  readonly node: PbNode | null;
  readonly genericXdsConfigs: readonly {
    readonly typeUrl: string;
    readonly lastUpdated: PbTimestamp | null;
    readonly configStatus: number;
    readonly errorState: { readonly lastUpdateAttempt: PbTimestamp | null; readonly details: string } | null;
  }[];
}

export interface PbCertificateRequest {
  readonly csr: string;
  /** Seconds; a Long object where protobufjs decoded it: read it with Number(). */
  readonly validityDuration: number | { toString(): string };
  readonly metadata: PbStruct | null;
}

export interface PbCertificateResponse {
  readonly certChain: readonly string[];
}

export interface PbWorkloadInfo {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface PbZdsHello {
  /** V1 is 1. */
  readonly version: number;
}

export interface PbWorkloadRequest {
  readonly payload?: 'add' | 'del' | 'snapshotSent' | 'keep';
  readonly add: { readonly uid: string; readonly workloadInfo: PbWorkloadInfo | null } | null;
  readonly del: { readonly uid: string } | null;
  readonly snapshotSent: object | null;
  readonly keep: { readonly uid: string } | null;
}

export interface PbWorkloadResponse {
  readonly payload?: 'ack';
  readonly ack: { readonly error: string } | null;
}

export const addressMessage = message<PbAddress>('istio.workload.Address');
export const authorizationMessage = message<PbAuthorization>('istio.security.Authorization');
export const deltaRequestMessage = message<PbDeltaRequest>('envoy.service.discovery.v3.DeltaDiscoveryRequest');
export const deltaResponseMessage = message<PbDeltaResponse>('envoy.service.discovery.v3.DeltaDiscoveryResponse');
export const discoveryRequestMessage = message<PbDiscoveryRequest>('envoy.service.discovery.v3.DiscoveryRequest');
export const discoveryResponseMessage = message<PbDiscoveryResponse>('envoy.service.discovery.v3.DiscoveryResponse');
export const clientConfigMessage = message<PbClientConfig>('envoy.service.status.v3.ClientConfig');
export const certificateRequestMessage = message<PbCertificateRequest>('istio.v1.auth.IstioCertificateRequest');
export const certificateResponseMessage = message<PbCertificateResponse>('istio.v1.auth.IstioCertificateResponse');
export const zdsHelloMessage = message<PbZdsHello>('istio.workload.zds.ZdsHello');
export const workloadRequestMessage = message<PbWorkloadRequest>('istio.workload.zds.WorkloadRequest');
export const workloadResponseMessage = message<PbWorkloadResponse>('istio.workload.zds.WorkloadResponse');

/** Names and numbers of an enum; unknown ones give undefined. */
export interface PbEnum<Name extends string> {
  name(value: number): Name | undefined;
  number(name: Name): number;
}

function enumeration<Name extends string>(path: string): PbEnum<Name> {
  const type = root.lookupEnum(path);
  return {
    name: (value) => type.valuesById[value] as Name | undefined,
    number: (name) => type.values[name]!,
  };
}

export const enums = {
  visibility: enumeration<'PUBLIC' | 'NAMESPACE'>('istio.workload.Service.Visibility'),
  lbScope: enumeration<'UNSPECIFIED_SCOPE' | 'REGION' | 'ZONE' | 'SUBZONE' | 'NODE' | 'CLUSTER' | 'NETWORK'>(
    'istio.workload.LoadBalancing.Scope',
  ),
  lbMode: enumeration<'UNSPECIFIED_MODE' | 'STRICT' | 'FAILOVER' | 'PASSTHROUGH'>('istio.workload.LoadBalancing.Mode'),
  healthPolicy: enumeration<'ONLY_HEALTHY' | 'ALLOW_ALL'>('istio.workload.LoadBalancing.HealthPolicy'),
  tunnel: enumeration<'NONE' | 'PROXY'>('istio.workload.ApplicationTunnel.Protocol'),
  appProtocol: enumeration<'UNKNOWN' | 'HTTP11' | 'HTTP2' | 'GRPC' | 'TCP' | 'TLS'>('istio.workload.AppProtocol'),
  ipFamilies: enumeration<'AUTOMATIC' | 'IPV4_ONLY' | 'IPV6_ONLY' | 'DUAL'>('istio.workload.IPFamilies'),
  networkMode: enumeration<'STANDARD' | 'HOST_NETWORK'>('istio.workload.NetworkMode'),
  status: enumeration<'HEALTHY' | 'UNHEALTHY'>('istio.workload.WorkloadStatus'),
  workloadType: enumeration<'DEPLOYMENT' | 'CRONJOB' | 'POD' | 'JOB'>('istio.workload.WorkloadType'),
  tunnelProtocol: enumeration<'NONE' | 'HBONE' | 'LEGACY_ISTIO_MTLS'>('istio.workload.TunnelProtocol'),
  configStatus: enumeration<'UNKNOWN' | 'SYNCED' | 'NOT_SENT' | 'STALE' | 'ERROR'>(
    'envoy.service.status.v3.ConfigStatus',
  ),
  scope: enumeration<'GLOBAL' | 'NAMESPACE' | 'WORKLOAD_SELECTOR'>('istio.security.Scope'),
  action: enumeration<'ALLOW' | 'DENY'>('istio.security.Action'),
} as const;
