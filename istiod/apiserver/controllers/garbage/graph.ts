/** Who owns whom: only objects that have owners are kept. */
import type { OwnerReference } from '../../objects.ts';
import type { StoreKey } from '../../storage/types.ts';

export interface Item {
  readonly uid: string;
  readonly key: StoreKey;
  readonly owners: readonly OwnerReference[];
}

export class OwnerGraph {
  readonly #items = new Map<string, Item>();
  readonly #dependents = new Map<string, Set<string>>();

  get(uid: string): Item | undefined {
    return this.#items.get(uid);
  }

  /** Whether its owners are others than before. */
  put(item: Item): boolean {
    const old = this.#items.get(item.uid);
    this.#items.set(item.uid, item);
    if (old !== undefined && sameOwners(old.owners, item.owners)) return false;
    if (old !== undefined) this.#unlink(old);
    for (const { uid } of item.owners) {
      let members = this.#dependents.get(uid);
      if (members === undefined) {
        members = new Set();
        this.#dependents.set(uid, members);
      }
      members.add(item.uid);
    }
    return true;
  }

  remove(uid: string): Item | undefined {
    const item = this.#items.get(uid);
    if (item === undefined) return undefined;
    this.#items.delete(uid);
    this.#unlink(item);
    return item;
  }

  hasDependents(uid: string): boolean {
    return this.#dependents.has(uid);
  }

  dependentsOf(uid: string): readonly Item[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((d) => this.#items.get(d) ?? []);
  }

  #unlink({ uid, owners }: Item): void {
    for (const owner of owners) {
      const members = this.#dependents.get(owner.uid);
      members?.delete(uid);
      if (members?.size === 0) this.#dependents.delete(owner.uid);
    }
  }
}

function sameOwners(a: readonly OwnerReference[], b: readonly OwnerReference[]): boolean {
  return (
    a.length === b.length &&
    a.every((o, i) => o.uid === b[i]!.uid && (o.blockOwnerDeletion ?? false) === (b[i]!.blockOwnerDeletion ?? false))
  );
}
