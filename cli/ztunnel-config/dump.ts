/** A node proxy's config_dump, ours or Istio's, as far as commands show it. Pure. */
import { MeshError } from '../../common/core/errors.ts';
import { isObject } from '../../common/kube/schema/validate.ts';

export interface ZtunnelDump {
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  readonly policies: readonly Policy[];
  readonly certificates: readonly Certificate[];
  readonly workloadState: readonly WorkloadState[];
  /** As it came. */
  readonly whole: object;
}

interface Gateway {
  /** NETWORK/ADDRESS or NAMESPACE/HOSTNAME */
  readonly destination: string;
}

export interface Workload {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly workloadIps?: readonly string[];
  readonly hostname?: string;
  readonly node?: string;
  readonly protocol: string;
  readonly status?: string;
  readonly waypoint?: Gateway;
  readonly serviceAccount?: string;
  readonly trustDomain?: string;
}

export interface Service {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  /** NETWORK/ADDRESS */
  readonly vips?: readonly string[];
  readonly endpoints?: Readonly<Record<string, { readonly workloadUid: string }>>;
  readonly waypoint?: Gateway;
}

export interface Policy {
  readonly name: string;
  readonly namespace: string;
  readonly action: string;
  readonly scope: string;
}

export interface Pem {
  /** Decimal. */
  readonly serialNumber: string;
  /** RFC 3339. */
  readonly validFrom: string;
  readonly expirationTime: string;
}

export interface Certificate {
  readonly identity: string;
  readonly state: string;
  readonly certChain?: readonly Pem[];
  readonly rootCerts?: readonly Pem[];
}

export interface Connection {
  readonly src: string;
  readonly originalDst: string | null;
  readonly actualDst: string;
  readonly protocol: string;
}

export interface WorkloadState {
  readonly info: { readonly name: string; readonly namespace: string };
  readonly connections?: { readonly inbound?: readonly Connection[]; readonly outbound?: readonly Connection[] };
}

/** `from` names the text in errors. MeshError CONFIG. */
export function parseZtunnelDump(from: string, text: string): ZtunnelDump {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch {
    throw new MeshError('CONFIG', `${from}: this is no JSON; expected what a ztunnel's :15000/config_dump says`);
  }
  if (!isObject(whole) || !('workloads' in whole))
    throw new MeshError('CONFIG', `${from}: workloads: missing; expected what a ztunnel's :15000/config_dump says`);
  return {
    workloads: listOf(from, whole, 'workloads'),
    services: listOf(from, whole, 'services'),
    policies: listOf(from, whole, 'policies'),
    certificates: listOf(from, whole, 'certificates'),
    workloadState: listOf(from, whole, 'workloadState'),
    whole,
  };
}

/** Older ones have objects where newer ones have lists. */
function listOf<T>(from: string, whole: Readonly<Record<string, unknown>>, key: string): readonly T[] {
  const value = whole[key] ?? [];
  const items: readonly unknown[] | undefined = Array.isArray(value)
    ? value
    : isObject(value)
      ? Object.values(value)
      : undefined;
  if (items?.every(isObject)) return items as readonly T[];
  throw new MeshError('CONFIG', `${from}: ${key}: expected a list of objects`);
}
