/** All resources that are served at this moment. CustomResourceDefinitions add to them and take away. */
import type { Resource } from './resource.ts';

export class Registry {
  readonly #builtIn: readonly Resource[];
  readonly #custom = new Map<string, readonly Resource[]>();
  #index: ReadonlyMap<string, Resource>;
  #generation = 1;
  readonly #listeners: (() => void)[] = [];

  constructor(builtIn: readonly Resource[]) {
    this.#builtIn = builtIn;
    this.#index = index(builtIn);
  }

  /** Changes whenever the resources do: what is derived from them is kept until then. */
  get generation(): number {
    return this.#generation;
  }

  /** Calls after each change of the resources. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  find(group: string, version: string, resource: string): Resource | undefined {
    return this.#index.get(`${group}/${version}/${resource}`);
  }

  /** Built-in ones first, in the order of their table. */
  all(): readonly Resource[] {
    return [...this.#builtIn, ...[...this.#custom.values()].flat()];
  }

  /** `definition` names the CustomResourceDefinition; the resources replace those it gave before. */
  setCustom(definition: string, resources: readonly Resource[]): void {
    if (resources.length > 0) this.#custom.set(definition, resources);
    else this.#custom.delete(definition);
    this.#index = index(this.all());
    this.#generation++;
    for (const listener of this.#listeners) listener();
  }
}

function index(resources: readonly Resource[]): ReadonlyMap<string, Resource> {
  return new Map(resources.map((r) => [`${r.group}/${r.version}/${r.resource}`, r]));
}
