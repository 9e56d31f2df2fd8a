/** One resource as proxies get it, of the workload API or of Envoy's, with what it was made of. */
import { createHash } from 'node:crypto';
import { addressTypeUrl, authorizationTypeUrl, encodeAddress, encodeAuthorization } from '../../common/api/index.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { MeshAddress, AuthorizationPolicy as MeshPolicy } from '../../common/mesh/types.ts';
import type { EndpointSet } from '../envoy/inputs.ts';
import type { EnvoyType } from '../envoy/types.ts';
import type { Labels } from './selector.ts';

export type TypeUrl = typeof addressTypeUrl | typeof authorizationTypeUrl | EnvoyType;

/** An object of Kubernetes as it was when a result was made of it. */
export interface ObjectRef extends ObjectName {
  readonly resourceVersion: string;
  /** 0 where the object has none. */
  readonly generation: number;
}

export interface ObjectName {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

export interface Resource {
  readonly type: TypeUrl;
  /** Primary name (ambient-wire 3.6). */
  readonly name: string;
  readonly aliases: readonly string[];
  /** Hash of `bytes`: equal over restarts. */
  readonly version: string;
  readonly bytes: Uint8Array;
  /** What on-demand clients subscribe by. */
  readonly node: string;
  readonly services: readonly string[];
  /** Of what a workload is made of: DestinationRules choose by them. Not on the wire. */
  readonly labels?: Labels | undefined;
  /** Of what is behind a gateway to another network, in their stead. */
  readonly members?: readonly EndpointSet[] | undefined;
  /** `namespace/name` of the waypoint before a workload itself. Not on the wire either: there it is an address. */
  readonly waypoint?: string | undefined;
  /** What it was made of; first the object that it stands for, where there is one. */
  readonly inputs: readonly ObjectRef[];
}

export function resourceOfAddress(
  address: MeshAddress,
  inputs: readonly (KubeObject | undefined)[],
  more: Pick<Resource, 'labels' | 'members' | 'waypoint'> = {},
): Resource {
  const bytes = encodeAddress(address);
  const isWorkload = address.kind === 'workload';
  return {
    type: addressTypeUrl,
    name: isWorkload ? address.uid : `${address.namespace}/${address.hostname}`,
    aliases: aliasesOf(address),
    version: hash(bytes),
    bytes,
    node: isWorkload ? address.node : '',
    services: isWorkload ? [...address.services.keys()] : [],
    ...(more.labels && { labels: more.labels }),
    ...(more.members && { members: more.members }),
    ...(more.waypoint !== undefined && { waypoint: more.waypoint }),
    inputs: refs(inputs),
  };
}

export function resourceOfPolicy(policy: MeshPolicy, inputs: readonly KubeObject[]): Resource {
  const bytes = encodeAuthorization(policy);
  return {
    type: authorizationTypeUrl,
    name: `${policy.namespace}/${policy.name}`,
    aliases: [],
    version: hash(bytes),
    bytes,
    node: '',
    services: [],
    inputs: refs(inputs),
  };
}

export function resourceOfEnvoy(
  type: EnvoyType,
  name: string,
  bytes: Uint8Array,
  inputs: readonly ObjectRef[],
): Resource {
  return { type, name, aliases: [], version: hash(bytes), bytes, node: '', services: [], inputs };
}

/** A key by which objects are told apart here. */
export function objectKey({ kind, namespace = '', name }: ObjectName): string {
  return `${kind}/${namespace}/${name}`;
}

function aliasesOf(address: MeshAddress): readonly string[] {
  if (address.kind === 'service') {
    return address.addresses.map((a) => `${a.network}/${a.ip}${a.length === undefined ? '' : `/${a.length}`}`);
  }
  // The pods on a node's own network all have the node's address.
  if (address.networkMode === 'HOST_NETWORK') return [];
  return address.addresses.map((ip) => `${address.network}/${ip}`);
}

/**
 * One for each object in memory: most results share their inputs. Not of kinds with an object for each endpoint, which few results share:
 * see memo.ts for what entries of a WeakMap cost.
 */
const known = new WeakMap<KubeObject, ObjectRef>();
const unshared: ReadonlySet<string> = new Set(['Pod', 'EndpointSlice', 'WorkloadEntry']);

function refs(objects: readonly (KubeObject | undefined)[]): readonly ObjectRef[] {
  return [...new Set(objects)].flatMap((o) => (o === undefined ? [] : refOf(o)));
}

/** As the object is now. */
export function refOf(object: KubeObject): ObjectRef {
  const isShared = !unshared.has(object.kind);
  const found = isShared ? known.get(object) : undefined;
  if (found !== undefined) return found;
  const { name, namespace, resourceVersion, generation = 0 } = object.metadata;
  const ref = {
    kind: object.kind,
    ...(namespace === undefined ? {} : { namespace }),
    name,
    resourceVersion,
    generation,
  };
  if (isShared) known.set(object, ref);
  return ref;
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}
