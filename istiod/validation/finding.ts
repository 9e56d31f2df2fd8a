/** What validation says of an object. */
import type { Path } from '../../common/kube/schema/validate.ts';

export type Level = 'error' | 'warning' | 'info';

export interface Finding {
  readonly level: Level;
  readonly path: Path;
  /** Whether the field's name is meant, or what it holds. */
  readonly at: 'key' | 'value';
  readonly reason: string;
  /** What to do, where the reason does not say it. */
  readonly remedy?: string;
}

/** A field of an object, to say something about. */
export class Field {
  readonly path: Path;
  readonly #findings: Finding[];

  constructor(findings: Finding[], path: Path = []) {
    this.#findings = findings;
    this.path = path;
  }

  at(...parts: Path): Field {
    return new Field(this.#findings, [...this.path, ...parts]);
  }

  /** Checks each item of the list that is the member `name`. */
  each<T>(name: string, items: readonly T[] | undefined, check: (item: T, at: Field) => void): void {
    items?.forEach((item, i) => {
      check(item, this.at(name, i));
    });
  }

  error(reason: string, remedy?: string): void {
    this.#add('error', reason, remedy);
  }

  warn(reason: string, remedy?: string): void {
    this.#add('warning', reason, remedy);
  }

  #add(level: Level, reason: string, remedy: string | undefined): void {
    const { path } = this;
    this.#findings.push({ level, path, at: 'value', reason, ...(remedy === undefined ? {} : { remedy }) });
  }
}
