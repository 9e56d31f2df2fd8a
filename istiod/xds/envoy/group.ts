/** Proxies that are told the same: their resources, made and encoded once for all of them. */
import { encodeEnvoy, type Typed } from '../../../common/envoy/codec.ts';
import { ClientConfiguration } from '../../envoy/client/configuration.ts';
import type { EnvoyProxy } from '../../envoy/proxy.ts';
import type { MadeResource } from '../../envoy/remember.ts';
import { type EnvoyType, servedTypes } from '../../envoy/types.ts';
import { WaypointConfiguration } from '../../envoy/waypoint/configuration.ts';
import type { Catalog } from '../../model/catalog.ts';
import { Memo } from '../../model/envoy/memo.ts';
import type { EnvoyMesh } from '../../model/envoy/mesh-view.ts';
import { MultiMap } from '../../model/graph/multi-map.ts';
import { type ObjectName, type ObjectRef, objectKey, type Resource, resourceOfEnvoy } from '../../model/resource.ts';
import { Feed } from '../feed.ts';
import { Journal } from '../journal.ts';
import type { Made } from '../made.ts';

export interface GroupOptions {
  readonly proxy: EnvoyProxy;
  readonly mesh: EnvoyMesh;
  readonly nonce: () => string;
  /** JSON. */
  readonly controlPlane: string;
  /** Told of what could not be made: what was made before is served on. */
  readonly onFailure: (what: string, error: unknown) => void;
}

/** Names of resources that appeared, changed or vanished, by type. */
export type GroupChange = ReadonlyMap<EnvoyType, ReadonlySet<string>>;

interface Encoded {
  readonly message: Typed;
  /** Lists of what it was made of. */
  readonly objects: readonly (readonly ObjectRef[])[];
  readonly resource: Resource;
}

export class EnvoyGroup implements Catalog {
  readonly feeds: ReadonlyMap<EnvoyType, Feed>;
  readonly #options: GroupOptions;
  readonly #memo: Memo;
  readonly #configuration: WaypointConfiguration | ClientConfiguration;
  readonly #resources = new Map<EnvoyType, Map<string, Resource>>(servedTypes.map((t) => [t, new Map()]));
  readonly #encoded = new Map<EnvoyType, Map<string, Encoded>>(servedTypes.map((t) => [t, new Map()]));
  /** Generation of the newest change of each. */
  readonly #changedAt = new Map<EnvoyType, Map<string, number>>(servedTypes.map((t) => [t, new Map()]));
  #isComplete = false;
  /** Made when it is asked for, and gone with the next change. */
  #byObject: MultiMap<Resource> | undefined;

  constructor(options: GroupOptions, generation: number) {
    this.#options = options;
    const { proxy, mesh, nonce, controlPlane, onFailure } = options;
    this.#memo = new Memo({ mesh, onFailure });
    this.#configuration = configurationOf(proxy, this.#memo);
    this.feeds = new Map(
      servedTypes.map((type) => {
        const onAll = () => this.#wantAll();
        return [type, new Feed({ type, catalog: this, journal: new Journal(), controlPlane, nonce, onAll })];
      }),
    );
    this.#make(generation);
  }

  /** Everything was there once: before, a client that comes back would lose what it still has. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  resources(type: string): ReadonlyMap<string, Resource> {
    return this.#resources.get(type as EnvoyType) ?? new Map();
  }

  /** Clients ask by name, and are made what they ask for. */
  find(type: string, name: string): Resource | undefined {
    const found = this.resources(type).get(name);
    if (found !== undefined || !(this.#configuration instanceof ClientConfiguration)) return found;
    this.#configuration.ask(type as EnvoyType, name);
    this.#make(undefined);
    return this.resources(type).get(name);
  }

  #wantAll(): void {
    if (!(this.#configuration instanceof ClientConfiguration)) return;
    this.#configuration.askAll();
    this.#make(undefined);
  }

  onNode(): readonly Resource[] {
    return [];
  }

  workloadsOf(): readonly Resource[] {
    return [];
  }

  madeOf(object: ObjectName): readonly Resource[] {
    this.#byObject ??= this.#indexObjects();
    return this.#byObject.get(objectKey(object));
  }

  /** What was made of an object, by type, with the generation of its newest change. */
  progressBase(object: ObjectName): ReadonlyMap<EnvoyType, Made> {
    const byType = Map.groupBy(this.madeOf(object), (r) => r.type as EnvoyType);
    return new Map(
      [...byType].map(([type, resources]) => {
        const changed = this.#changedAt.get(type)!;
        return [type, { resources, generation: Math.max(...resources.map((r) => changed.get(r.name) ?? 0)) }];
      }),
    );
  }

  /** Objects that went into resources of these names. */
  objectsOf(change: GroupChange): readonly ObjectRef[] {
    const refs = [...change].flatMap(([type, names]) =>
      [...names].flatMap((n) => this.resources(type).get(n)?.inputs ?? []),
    );
    return [...new Map(refs.map((r) => [objectKey(r), r])).values()];
  }

  /** Everything that there is. */
  get all(): GroupChange {
    return new Map([...this.#resources].map(([type, all]) => [type, new Set(all.keys())]));
  }

  /** `lookups` find something else now; undefined: no resource of the group is another one by that. */
  changed(lookups: ReadonlySet<string>, generation: number): GroupChange | undefined {
    return this.#memo.touch(lookups) ? this.#make(generation) : undefined;
  }

  /** `generation` undefined: what comes of it is an answer, and no change for others. */
  #make(generation: number | undefined): GroupChange | undefined {
    const changes = new Map<EnvoyType, Set<string>>(servedTypes.map((t) => [t, new Set()]));
    const kept = new Map<EnvoyType, Set<string>>(servedTypes.map((t) => [t, new Set()]));
    this.#byObject = undefined;
    for (const made of this.#configuration.resources()) {
      const resource = this.#encode(made);
      if (resource === undefined) continue;
      const all = this.#resources.get(made.type)!;
      kept.get(made.type)!.add(made.name);
      if (all.get(made.name)?.version !== resource.version) changes.get(made.type)!.add(made.name);
      all.set(made.name, resource);
    }
    for (const [type, all] of this.#resources) {
      for (const name of [...all.keys()].filter((n) => !kept.get(type)!.has(n))) {
        all.delete(name);
        this.#encoded.get(type)!.delete(name);
        changes.get(type)!.add(name);
      }
    }
    this.#memo.sweep();
    this.#isComplete ||= !this.#memo.isPending;
    let any = false;
    for (const [type, names] of changes) {
      if (names.size === 0) continue;
      any = true;
      if (generation === undefined) continue;
      this.feeds.get(type)!.journal.note(generation, names);
      const changedAt = this.#changedAt.get(type)!;
      for (const name of names) {
        if (this.#resources.get(type)!.has(name)) changedAt.set(name, generation);
        else changedAt.delete(name);
      }
    }
    return any ? changes : undefined;
  }

  #indexObjects(): MultiMap<Resource> {
    const index = new MultiMap<Resource>();
    for (const all of this.#resources.values()) {
      for (const resource of all.values()) for (const input of resource.inputs) index.add(objectKey(input), resource);
    }
    return index;
  }

  /** The newest that could be encoded. */
  #encode({ type, name, message, from }: MadeResource): Resource | undefined {
    const known = this.#encoded.get(type)!;
    const before = known.get(name);
    const objects = this.#memo.objectsOf(from);
    const same = before?.message === message;
    if (same && isSame(before.objects, objects)) return before.resource;
    const inputs = [...new Set(objects.flat())];
    try {
      const resource = same
        ? { ...before.resource, inputs }
        : resourceOfEnvoy(type, name, encodeEnvoy(message), inputs);
      known.set(name, { message, objects, resource });
      return resource;
    } catch (e) {
      this.#options.onFailure(name, e);
      return before?.resource;
    }
  }
}

function isSame<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

function configurationOf(proxy: EnvoyProxy, { remember }: Memo): WaypointConfiguration | ClientConfiguration {
  return proxy.kind === 'waypoint'
    ? new WaypointConfiguration(proxy, remember)
    : new ClientConfiguration(proxy, remember);
}
