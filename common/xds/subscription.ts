/** One subscribed type: what is known of it, and how its resources reach the store. */
import {
  addressTypeUrl,
  authorizationTypeUrl,
  type Decoded,
  decodeAddress,
  decodeAuthorization,
  type PbAny,
  type PbDeltaResponse,
} from '../api/index.ts';
import { type MeshBatch, type MeshStore, policyKey, serviceKey } from '../mesh/store.ts';

export interface Subscription {
  readonly typeUrl: string;
  /** Version of the last good form of each resource, by its name. */
  readonly versions: ReadonlyMap<string, string>;
  /** A first response has been applied, as far as it was good. */
  readonly applied: boolean;
  /** A first response has been ACKed. */
  acked: boolean;
  /** Applies what decodes, and says why the rest does not; of that the last good form stays. */
  apply(response: PbDeltaResponse): readonly Rejected[];
}

export interface Rejected {
  readonly name: string;
  readonly reason: string;
}

export function addressSubscription(store: MeshStore): Subscription {
  return subscription(
    store,
    addressTypeUrl,
    decodeAddress,
    (a) => (a.kind === 'workload' ? a.uid : serviceKey(a)),
    (addresses, removedAddresses) => ({ addresses, removedAddresses }),
  );
}

export function policySubscription(store: MeshStore): Subscription {
  return subscription(store, authorizationTypeUrl, decodeAuthorization, policyKey, (policies, removedPolicies) => ({
    policies,
    removedPolicies,
  }));
}

function subscription<T>(
  store: MeshStore,
  typeUrl: string,
  decode: (bytes: Uint8Array) => Decoded<T>,
  nameOf: (value: T) => string,
  batch: (values: readonly T[], removed: readonly string[]) => MeshBatch,
): Subscription {
  const versions = new Map<string, string>();
  let applied = false;
  return {
    typeUrl,
    versions,
    get applied() {
      return applied;
    },
    acked: false,
    apply(response) {
      const rejected: Rejected[] = [];
      const values: T[] = [];
      for (const name of response.removedResources) versions.delete(name);
      for (const { name, version, resource } of response.resources) {
        const decoded = decodeResource(name, resource, typeUrl, decode, nameOf);
        if (decoded.kind === 'ok') {
          values.push(decoded.value);
          versions.set(name, version);
        } else rejected.push({ name, reason: decoded.reason });
      }
      store.apply(batch(values, response.removedResources));
      applied = true;
      return rejected;
    },
  };
}

function decodeResource<T>(
  name: string,
  any: PbAny | null,
  typeUrl: string,
  decode: (bytes: Uint8Array) => Decoded<T>,
  nameOf: (value: T) => string,
): Decoded<T> {
  if (any?.type_url !== typeUrl) return { kind: 'rejected', reason: `the body is not a ${typeUrl}` };
  const decoded = decode(any.value);
  // Removal goes by name: what is stored under another one could never be removed again.
  if (decoded.kind === 'ok' && nameOf(decoded.value) !== name) {
    return { kind: 'rejected', reason: `the body is that of "${nameOf(decoded.value)}"` };
  }
  return decoded;
}
