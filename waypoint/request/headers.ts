/** Header fields of one request or response, as Envoy keeps them: in order, names in lower case, repeated names apart. */

/**
 * Pseudo-headers are not among them (see `RequestView`). Names given to its methods must be in lower case already: they come from
 * compiled configuration or from a codec, which made them so once.
 */
export class Headers implements Iterable<readonly [name: string, value: string]> {
  /** name, value, name, value ... */
  #fields: string[];

  /** `fields`: name, value, name, value ... in lower-case names; taken over, not copied. */
  constructor(fields: string[] = []) {
    this.#fields = fields;
  }

  static of(entries: Iterable<readonly [name: string, value: string]>): Headers {
    return new Headers([...entries].flatMap(([name, value]) => [name.toLowerCase(), value]));
  }

  /** How many fields, repeated ones counted each. */
  get size(): number {
    return this.#fields.length / 2;
  }

  has(name: string): boolean {
    return this.#find(name, 0) >= 0;
  }

  hasPrefix(prefix: string): boolean {
    const fields = this.#fields;
    for (let i = 0; i < fields.length; i += 2) if (fields[i]!.startsWith(prefix)) return true;
    return false;
  }

  /** All values of the name, joined by a comma without a space, as Envoy's matchers and formatters see them. */
  get(name: string): string | undefined {
    const fields = this.#fields;
    const first = this.#find(name, 0);
    if (first < 0) return undefined;
    let value = fields[first + 1]!;
    for (let i = this.#find(name, first + 2); i >= 0; i = this.#find(name, i + 2)) value += `,${fields[i + 1]}`;
    return value;
  }

  /** The value of the first field of the name. */
  first(name: string): string | undefined {
    const at = this.#find(name, 0);
    return at < 0 ? undefined : this.#fields[at + 1];
  }

  getAll(name: string): readonly string[] {
    const values: string[] = [];
    for (let i = this.#find(name, 0); i >= 0; i = this.#find(name, i + 2)) values.push(this.#fields[i + 1]!);
    return values;
  }

  /** One field of this name instead of all that there are; at the end. */
  set(name: string, value: string): void {
    this.remove(name);
    this.append(name, value);
  }

  append(name: string, value: string): void {
    this.#fields.push(name, value);
  }

  remove(name: string): void {
    if (this.has(name)) this.removeWhere((n) => n === name);
  }

  removeWhere(goes: (name: string) => boolean): void {
    const fields = this.#fields;
    let kept = 0;
    for (let i = 0; i < fields.length; i += 2) {
      if (goes(fields[i]!)) continue;
      fields[kept] = fields[i]!;
      fields[kept + 1] = fields[i + 1]!;
      kept += 2;
    }
    fields.length = kept;
  }

  *[Symbol.iterator](): IterableIterator<readonly [name: string, value: string]> {
    const fields = this.#fields;
    for (let i = 0; i < fields.length; i += 2) yield [fields[i]!, fields[i + 1]!];
  }

  /** name, value, name, value ...: a copy, in the form that node:http's `rawHeaders` has. */
  toRaw(): string[] {
    return this.#fields.slice();
  }

  copy(): Headers {
    return new Headers(this.toRaw());
  }

  #find(name: string, from: number): number {
    const fields = this.#fields;
    for (let i = from; i < fields.length; i += 2) if (fields[i] === name) return i;
    return -1;
  }
}
