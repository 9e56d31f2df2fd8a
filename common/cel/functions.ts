/**
 * Functions of CEL, its extensions for strings and lists, and Kubernetes' own, by name: how each may be called, what it gives, and
 * what it does. The checker and the interpreter read the same table.
 */
import type { Value } from './values.ts';

export interface CallContext {
  /** CelCostError. */
  charge(cost: number): void;
}

export interface Overload {
  readonly name: string;
  /** The first argument stands before the dot. */
  readonly member: boolean;
  /** Types as typeOf names them; `dyn` takes all. */
  readonly args: readonly string[];
  /** A type, `list<type>`, `optional<type>`; `first`: that of the first argument; `item`: that of its items. */
  readonly result: string;
  readonly run: (args: readonly Value[], context: CallContext) => Value;
}

const signature = /^(?:([a-z_0-9]+)\.(?=\w+\())?([\w.]+)\(([^)]*)\): ([\w<>]+)$/;
/** Namespaces of functions that stand alone. */
const namespaces = new Set(['optional', 'lists', 'sets', 'strings', 'format']);

/** `string.startsWith(string): bool`; a namespace before the dot is a part of the name. */
// biome-ignore lint/suspicious/noExplicitAny: the signature says what the arguments are
export function overload(text: string, run: (...args: any[]) => Value, cost?: (...args: any[]) => number): Overload {
  const m = signature.exec(text);
  if (m === null) throw new Error(`${text} is no signature`);
  const [, receiver, name = '', params = '', result = ''] = m;
  const args = params
    .split(',')
    .map((p) => p.trim())
    .filter((p) => p !== '');
  const member = receiver !== undefined && !namespaces.has(receiver);
  return {
    name: receiver !== undefined && !member ? `${receiver}.${name}` : name,
    member,
    args: member ? [receiver, ...args] : args,
    result,
    run: (values, context) => {
      context.charge(cost?.(...values) ?? 1);
      return run(...values, context);
    },
  };
}

export class Library {
  readonly #byName = new Map<string, Overload[]>();

  constructor(overloads: readonly Overload[]) {
    for (const o of overloads) {
      const key = `${o.member ? '.' : ''}${o.name}`;
      this.#byName.set(key, [...(this.#byName.get(key) ?? []), o]);
    }
  }

  /** Empty: there is no such function. */
  find(name: string, member: boolean): readonly Overload[] {
    return this.#byName.get(`${member ? '.' : ''}${name}`) ?? [];
  }
}
