/**
 * The routes of one virtual host by their paths, so that a request meets only those whose path can match; among these the first in
 * the configuration's order wins, as in Envoy.
 */
import type { RouteMatch } from './match.ts';

export interface Indexed {
  readonly match: RouteMatch;
}

export class RouteIndex<R extends Indexed> {
  readonly #routes: readonly R[];
  readonly #exact = new Buckets();
  readonly #folded = new Buckets();
  readonly #connect: number[] = [];

  constructor(routes: readonly R[]) {
    this.#routes = routes;
    for (const [i, { match }] of routes.entries()) {
      const { path } = match;
      switch (path.kind) {
        case 'exact':
          (path.folds ? this.#folded : this.#exact).addWhole(path.path, i);
          break;
        case 'prefix':
        case 'segments':
          (path.folds ? this.#folded : this.#exact).addPrefix(path.prefix, i);
          break;
        case 'regex':
          this.#exact.addPrefix(literalPrefix(path.regex.text), i);
          break;
        case 'template':
          this.#exact.addPrefix('/', i);
          break;
        case 'connect':
          this.#connect.push(i);
          break;
      }
    }
  }

  /**
   * The first route that `accepts`, of those whose path may match; the path itself is left for it to check where it is no plain
   * text. `path` has no query; undefined: a CONNECT, which only routes with a connect_matcher take.
   */
  find(path: string, isConnect: boolean, accepts: (route: R) => boolean): number {
    const lists: (readonly number[])[] = [];
    if (path !== '') {
      this.#exact.collect(path, lists);
      if (!this.#folded.isEmpty) this.#folded.collect(path.toLowerCase(), lists);
    }
    if (isConnect && this.#connect.length > 0) lists.push(this.#connect);
    if (lists.length === 1) {
      for (const i of lists[0]!) if (accepts(this.#routes[i]!)) return i;
      return -1;
    }
    return this.#merge(lists, accepts);
  }

  #merge(lists: readonly (readonly number[])[], accepts: (route: R) => boolean): number {
    const at = new Array<number>(lists.length).fill(0);
    for (;;) {
      let least = Number.POSITIVE_INFINITY;
      let from = -1;
      for (let k = 0; k < lists.length; k++) {
        const candidate = lists[k]![at[k]!];
        if (candidate !== undefined && candidate < least) {
          least = candidate;
          from = k;
        }
      }
      if (from < 0) return -1;
      if (accepts(this.#routes[least]!)) return least;
      at[from]!++;
    }
  }
}

/** Positions of routes, ascending, by a whole path or by a prefix. */
class Buckets {
  readonly #whole = new Map<string, number[]>();
  readonly #prefixes = new Map<string, number[]>();
  /** Lengths of prefixes that there are, ascending. */
  #lengths: number[] = [];

  get isEmpty(): boolean {
    return this.#whole.size === 0 && this.#prefixes.size === 0;
  }

  addWhole(path: string, i: number): void {
    push(this.#whole, path, i);
  }

  addPrefix(prefix: string, i: number): void {
    push(this.#prefixes, prefix, i);
    if (!this.#lengths.includes(prefix.length)) {
      this.#lengths = [...this.#lengths, prefix.length].sort((a, b) => a - b);
    }
  }

  collect(path: string, into: (readonly number[])[]): void {
    const whole = this.#whole.get(path);
    if (whole) into.push(whole);
    for (const length of this.#lengths) {
      if (length > path.length) break;
      const prefixed = this.#prefixes.get(path.slice(0, length));
      if (prefixed) into.push(prefixed);
    }
  }
}

function push(map: Map<string, number[]>, key: string, i: number): void {
  const list = map.get(key);
  if (list) list.push(i);
  else map.set(key, [i]);
}

/** What every match of the expression begins with; empty when that is not plain to see. */
export function literalPrefix(regex: string): string {
  if (regex.includes('|')) return '';
  const plain = /^(?:[A-Za-z0-9/_~%=&!,:;@-]|\\[./-])*/.exec(regex)?.[0] ?? '';
  // A quantifier belongs to the last character.
  const next = regex[plain.length];
  const sure = next !== undefined && '?*{'.includes(next) ? plain.replace(/(?:\\.|[^\\])$/, '') : plain;
  return sure.replaceAll('\\', '');
}
