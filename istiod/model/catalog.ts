/** All resources that are announced, by what they are asked for. */
import { addressTypeUrl, authorizationTypeUrl } from '../../common/api/index.ts';
import { MultiMap } from './graph/multi-map.ts';
import { type ObjectName, objectKey, type Resource, type TypeUrl } from './resource.ts';

/** Reads what is announced. */
export interface Catalog {
  /** By primary name. */
  resources(type: TypeUrl): ReadonlyMap<string, Resource>;
  /** By primary name; addresses also by `network/ip` of a workload or service. */
  find(type: TypeUrl, name: string): Resource | undefined;
  /** Workloads of a node. */
  onNode(node: string): readonly Resource[];
  /** Workloads behind the service of that primary name. */
  workloadsOf(service: string): readonly Resource[];
  /** What an object went into: it is in each one's `inputs`, first where the resource stands for it. Not for Pods, Nodes, Namespaces. */
  madeOf(object: ObjectName): readonly Resource[];
}

/** Too many results are made of these for an index of them, and nobody asks. */
const unindexed = new Set(['Pod', 'Node', 'Namespace', 'EndpointSlice']);

export class ResourceCatalog implements Catalog {
  readonly #addresses = new Map<string, Resource>();
  readonly #authorizations = new Map<string, Resource>();
  readonly #byAlias = new MultiMap<Resource>();
  readonly #byNode = new MultiMap<Resource>();
  readonly #byService = new MultiMap<Resource>();
  readonly #byObject = new MultiMap<Resource>();

  resources(type: TypeUrl): ReadonlyMap<string, Resource> {
    return this.#of(type);
  }

  find(type: TypeUrl, name: string): Resource | undefined {
    if (type === authorizationTypeUrl) return this.#authorizations.get(name);
    return this.#addresses.get(name) ?? this.#byAlias.get(name)[0];
  }

  onNode(node: string): readonly Resource[] {
    return node === '' ? [] : this.#byNode.get(node);
  }

  workloadsOf(service: string): readonly Resource[] {
    return this.#byService.get(service);
  }

  madeOf(object: ObjectName): readonly Resource[] {
    return this.#byObject.get(objectKey(object));
  }

  /** Whether clients see a difference. */
  set(resource: Resource): boolean {
    const all = this.#of(resource.type);
    const before = all.get(resource.name);
    if (before) this.#unindex(before);
    all.set(resource.name, resource);
    this.#index(resource);
    return before?.version !== resource.version;
  }

  /** Not where another object has come to announce the same name. */
  delete(resource: Resource): boolean {
    const all = this.#of(resource.type);
    if (all.get(resource.name) !== resource) return false;
    this.#unindex(resource);
    return all.delete(resource.name);
  }

  #of(type: TypeUrl): Map<string, Resource> {
    return type === addressTypeUrl ? this.#addresses : this.#authorizations;
  }

  #index(r: Resource): void {
    for (const alias of r.aliases) this.#byAlias.add(alias, r);
    if (r.node !== '') this.#byNode.add(r.node, r);
    for (const service of r.services) this.#byService.add(service, r);
    for (const key of indexedKeys(r)) this.#byObject.add(key, r);
  }

  #unindex(r: Resource): void {
    for (const alias of r.aliases) this.#byAlias.delete(alias, r);
    if (r.node !== '') this.#byNode.delete(r.node, r);
    for (const service of r.services) this.#byService.delete(service, r);
    for (const key of indexedKeys(r)) this.#byObject.delete(key, r);
  }
}

function indexedKeys(r: Resource): readonly string[] {
  return r.inputs.filter((i) => !unindexed.has(i.kind)).map(objectKey);
}
