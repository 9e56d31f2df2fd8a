/** Which virtual host a host belongs to: exact before `*.suffix` before `prefix.*` before `*`, longer ones first. */
import type { MeshError } from '../../common/core/errors.ts';
import { withoutPort } from '../request/host.ts';

export class Domains<V> {
  readonly #exact = new Map<string, V>();
  readonly #suffixes = new Wildcards<V>();
  readonly #prefixes = new Wildcards<V>();
  #any: V | undefined;

  /** `refuse`: makes the error for a domain that cannot be. */
  add(domain: string, host: V, refuse: (why: string) => MeshError): void {
    const name = domain.toLowerCase();
    if (name === '') throw refuse('is empty');
    if (name === '*') {
      if (this.#any !== undefined) throw refuse('* is there twice');
      this.#any = host;
    } else if (name.startsWith('*')) {
      this.#suffixes.add(name.slice(1), host, () => refuse(`${domain} is there twice`));
    } else if (name.endsWith('*')) {
      this.#prefixes.add(name.slice(0, -1), host, () => refuse(`${domain} is there twice`));
    } else {
      if (this.#exact.has(name)) throw refuse(`${domain} is there twice`);
      this.#exact.set(name, host);
    }
  }

  find(authority: string, ignoresPort: boolean): V | undefined {
    const host = (ignoresPort ? withoutPort(authority) : authority).toLowerCase();
    return (
      this.#exact.get(host) ??
      this.#suffixes.find((length) => host.slice(-length), host.length) ??
      this.#prefixes.find((length) => host.slice(0, length), host.length) ??
      this.#any
    );
  }
}

class Wildcards<V> {
  readonly #byText = new Map<string, V>();
  /** Descending. */
  #lengths: number[] = [];

  add(text: string, host: V, twice: () => MeshError): void {
    if (this.#byText.has(text)) throw twice();
    this.#byText.set(text, host);
    if (!this.#lengths.includes(text.length)) this.#lengths = [...this.#lengths, text.length].sort((a, b) => b - a);
  }

  find(part: (length: number) => string, hostLength: number): V | undefined {
    for (const length of this.#lengths) {
      // The star stands for one character at least.
      if (length >= hostLength) continue;
      const found = this.#byText.get(part(length));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
