/** Secrets by name as SDS brings them, and who waits for which. */
import type { KeyPair, Validation } from '../cluster/tls/types.ts';

export type Secret =
  | { readonly kind: 'certificate'; readonly pair: KeyPair }
  | { readonly kind: 'validation'; readonly validation: Validation };

export class SecretStore {
  readonly #secrets = new Map<string, Secret>();
  readonly #wanted = new Set<string>();
  readonly #watchers = new Set<(name: string) => void>();
  /** Grows with each change, so that what was made of secrets knows when it is old. */
  generation = 0;

  get(name: string): Secret | undefined {
    return this.#secrets.get(name);
  }

  all(): Iterable<readonly [string, Secret]> {
    return this.#secrets;
  }

  put(name: string, secret: Secret): void {
    this.#secrets.set(name, secret);
    this.#changed(name);
  }

  delete(name: string): void {
    if (this.#secrets.delete(name)) this.#changed(name);
  }

  /** Names that configuration speaks of; who serves secrets subscribes to them. */
  want(name: string): void {
    if (this.#wanted.has(name)) return;
    this.#wanted.add(name);
    for (const watcher of this.#watchers) watcher(name);
  }

  get wanted(): ReadonlySet<string> {
    return this.#wanted;
  }

  /** Told of each name that is wanted for the first time, or has changed. Returns how to stop. */
  watch(watcher: (name: string) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #changed(name: string): void {
    this.generation++;
    for (const watcher of this.#watchers) watcher(name);
  }
}
