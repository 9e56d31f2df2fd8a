/** Finds objects by their labels, and selectors by the labels that they would match, without looking at all of a namespace. */
import { type Labels, selects } from '../selector.ts';
import type { Index, Table } from './table.ts';

export interface Place {
  readonly namespace: string;
  readonly labels: Labels;
}

export class Labelled<T> {
  readonly #table: Table<T>;
  readonly placeOf: (value: T) => Place;
  readonly #byNamespace: Index<T>;
  readonly #byLabel: Index<T>;

  constructor(table: Table<T>, placeOf: (value: T) => Place) {
    this.#table = table;
    this.placeOf = placeOf;
    this.#byNamespace = table.index((value) => [placeOf(value).namespace]);
    this.#byLabel = table.index((value) => {
      const { namespace, labels } = placeOf(value);
      return Object.entries(labels).map(([name, label]) => labelKey(namespace, name, label));
    });
  }

  inNamespace(namespace: string): readonly string[] {
    return this.#byNamespace.keys(namespace);
  }

  /** Keys of those that the selector matches; an empty one matches all. undefined: in any namespace. */
  matching(namespace: string | undefined, selector: Labels): readonly string[] {
    const [first] = Object.entries(selector);
    const some =
      namespace === undefined
        ? [...this.#table.values.keys()]
        : first === undefined
          ? this.inNamespace(namespace)
          : this.#byLabel.keys(labelKey(namespace, ...first));
    return some.filter((key) => selects(selector, this.placeOf(this.#table.get(key)!).labels));
  }
}

/** Under which an index keeps a selector of that namespace. */
export function selectorKey(namespace: string, selector: Labels): string {
  const [first] = Object.entries(selector);
  return first === undefined ? labelKey(namespace, '', '') : labelKey(namespace, ...first);
}

/** Of such an index those whose selector matches the labels. */
export function selecting<T>(
  index: Index<T>,
  { namespace, labels }: Place,
  selectorOf: (value: T) => Labels,
): readonly T[] {
  const keys = [labelKey(namespace, '', ''), ...Object.entries(labels).map(([n, l]) => labelKey(namespace, n, l))];
  return keys.flatMap((key) => index.values(key)).filter((value) => selects(selectorOf(value), labels));
}

function labelKey(namespace: string, name: string, label: string): string {
  return `${namespace} ${name}=${label}`;
}
