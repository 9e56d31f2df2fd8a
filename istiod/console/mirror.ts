/** The mesh as its proxies know it, brought up to date when somebody looks: while nobody does, it costs nothing. */
import {
  addressTypeUrl,
  authorizationTypeUrl,
  type Decoded,
  decodeAddress,
  decodeAuthorization,
} from '../../common/api/index.ts';
import type { Clock } from '../../common/core/clock.ts';
import { type MeshReader, MeshStore } from '../../common/mesh/store.ts';
import type { AuthorizationPolicy, MeshAddress } from '../../common/mesh/types.ts';
import type { Catalog } from '../model/catalog.ts';
import type { ObjectName, Resource } from '../model/resource.ts';

/** Ms of decoding before others have a turn. */
const longestTurn = 8;

export type MeshType = typeof addressTypeUrl | typeof authorizationTypeUrl;

export class MeshMirror {
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #store = new MeshStore();
  readonly #seen = {
    [addressTypeUrl]: new Map<string, Resource>(),
    [authorizationTypeUrl]: new Map<string, Resource>(),
  };
  #refreshing: Promise<void> | undefined;

  constructor(catalog: Catalog, clock: Clock) {
    this.#catalog = catalog;
    this.#clock = clock;
  }

  get store(): MeshReader {
    return this.#store;
  }

  /** The object that a workload (by uid), service or policy (`namespace/name`) stands for; undefined: none that anybody could be allowed to read. */
  objectOf(type: MeshType, name: string): ObjectName | undefined {
    return this.#seen[type].get(name)?.inputs[0];
  }

  /** Those who ask while it runs wait for the same. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#run().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #run(): Promise<void> {
    await this.#follow<MeshAddress>(addressTypeUrl, decodeAddress, (addresses, removedAddresses) =>
      this.#store.apply({ addresses, removedAddresses }),
    );
    await this.#follow<AuthorizationPolicy>(authorizationTypeUrl, decodeAuthorization, (policies, removedPolicies) =>
      this.#store.apply({ policies, removedPolicies }),
    );
  }

  async #follow<T>(
    type: MeshType,
    decode: (bytes: Uint8Array) => Decoded<T>,
    apply: (changed: readonly T[], removed: readonly string[]) => void,
  ): Promise<void> {
    const seen = this.#seen[type];
    const now = this.#catalog.resources(type);
    const gone = [...seen.keys()].filter((name) => !now.has(name));
    for (const name of gone) seen.delete(name);
    apply([], gone);
    let began = this.#clock.now();
    for (const resource of [...now.values()]) {
      const before = seen.get(resource.name);
      if (before === resource) continue;
      seen.set(resource.name, resource);
      if (before?.version === resource.version) continue;
      const decoded = decode(resource.bytes);
      if (decoded.kind === 'ok') apply([decoded.value], []);
      if (this.#clock.now() - began < longestTurn) continue;
      await new Promise((resolve) => setImmediate(resolve));
      began = this.#clock.now();
    }
  }
}
