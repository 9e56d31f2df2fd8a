/** Runs a tree on values, within a budget. */
import { assertNever } from '../core/errors.ts';
import { CelCostError, CelError, type Literal, type Node } from './ast.ts';
import type { Overload } from './functions.ts';
import { library } from './library.ts';
import { type Macro, macroOf, standingAlone } from './macros.ts';
import {
  compare,
  Duration,
  equal,
  isList,
  isMap,
  keyOf,
  listKinds,
  type MapKey,
  numeric,
  Optional,
  Timestamp,
  TypeValue,
  toDuration,
  toInt,
  toTimestamp,
  toUint,
  typeOf,
  Uint,
  type Value,
} from './values.ts';

/** Steps that all programs of one request may do together. */
export class Budget {
  #left: number;

  constructor(steps: number) {
    this.#left = steps;
  }

  /** CelCostError. */
  charge = (cost: number): void => {
    this.#left -= cost;
    if (this.#left < 0) throw new CelCostError();
  };
}

interface Scope {
  readonly name: string;
  readonly value: Value;
  readonly outer: Scope | undefined;
}

/** CelError, CelCostError. */
export function runCel(node: Node, variables: Readonly<Record<string, Value>>, budget: Budget): Value {
  let scope: Scope | undefined;
  for (const [name, value] of Object.entries(variables)) scope = { name, value, outer: scope };
  return new Run(budget).value(node, scope);
}

const typeNames = new Set([
  'int',
  'uint',
  'double',
  'bool',
  'string',
  'bytes',
  'list',
  'map',
  'null_type',
  'type',
  'net.IP',
  'net.CIDR',
]);

class Run {
  readonly #budget: Budget;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  value(node: Node, scope: Scope | undefined): Value {
    this.#budget.charge(1);
    switch (node.kind) {
      case 'literal':
        return literal(node.value);
      case 'name':
        return lookUp(node.name, scope);
      case 'select':
        return this.#member(this.value(node.of, scope), node.field, node.optional);
      case 'index':
        return this.#member(this.value(node.of, scope), this.value(node.index, scope), node.optional);
      case 'call':
        return this.#call(node, scope);
      case 'list':
        return this.#list(node, scope);
      case 'map':
        return this.#map(node, scope);
      case 'unary':
        return this.#unary(node, scope);
      case 'binary':
        return this.#binary(node, scope);
      case 'conditional':
        return this.#truth(node.test, scope) ? this.value(node.yes, scope) : this.value(node.no, scope);
      default:
        return assertNever(node);
    }
  }

  #truth(node: Node, scope: Scope | undefined): boolean {
    const value = this.value(node, scope);
    if (typeof value !== 'boolean') throw new CelError(`a bool is expected, not a ${typeOf(value)}`);
    return value;
  }

  #member(of: Value, key: Value, optional: boolean): Value {
    // What is asked of nothing is nothing.
    if (of instanceof Optional) return of.value === undefined ? of : this.#member(of.value, key, true);
    const found = memberOf(of, key);
    if (optional) return new Optional(found);
    if (found !== undefined) return found;
    throw new CelError(isList(of) ? `index out of bounds: ${String(key)}` : `no such key: ${String(key)}`);
  }

  #call(node: Node & { readonly kind: 'call' }, scope: Scope | undefined): Value {
    const macro = macroOf(node);
    if (macro !== undefined) return this.#macro(macro, scope);
    const own = standingAlone(node);
    if (node.target === undefined || own.length > 0)
      return this.#apply(
        own,
        node.name,
        node.args.map((a) => this.value(a, scope)),
      );
    const args = [node.target, ...node.args].map((a) => this.value(a, scope));
    return this.#apply(library.find(node.name, true), node.name, args);
  }

  #apply(overloads: readonly Overload[], name: string, args: readonly Value[]): Value {
    const found = overloads.find(
      (o) => o.args.length === args.length && o.args.every((t, i) => t === 'dyn' || t === typeOf(args[i]!)),
    );
    if (found === undefined) throw new CelError(`no such overload: ${name}(${args.map(typeOf).join(', ')})`);
    return found.run(args, this.#budget);
  }

  #list({ items }: Node & { readonly kind: 'list' }, scope: Scope | undefined): Value {
    return items.flatMap(({ value, optional }) => {
      const item = this.value(value, scope);
      if (!optional) return [item];
      const inner = optionalOf(item).value;
      return inner === undefined ? [] : [inner];
    });
  }

  #map({ entries }: Node & { readonly kind: 'map' }, scope: Scope | undefined): Value {
    const map = new Map<MapKey, Value>();
    for (const { key, value, optional } of entries) {
      const k = keyOf(this.value(key, scope));
      const v = this.value(value, scope);
      if (map.has(k)) throw new CelError(`the map has the key ${String(k)} twice`);
      const entry = optional ? optionalOf(v).value : v;
      if (entry !== undefined) map.set(k, entry);
    }
    return map;
  }

  #unary({ operator, of }: Node & { readonly kind: 'unary' }, scope: Scope | undefined): Value {
    if (operator === '!') return !this.#truth(of, scope);
    const value = this.value(of, scope);
    if (typeof value === 'bigint') return toInt(-value);
    if (typeof value === 'number') return -value;
    if (value instanceof Duration) return toDuration(-value.ns);
    throw new CelError(`no such overload: -${typeOf(value)}`);
  }

  #binary({ operator, left, right }: Node & { readonly kind: 'binary' }, scope: Scope | undefined): Value {
    if (operator === '||' || operator === '&&') return this.#either(left, right, operator === '||', scope);
    const [a, b] = [this.value(left, scope), this.value(right, scope)];
    switch (operator) {
      case '==':
        return equal(a, b, this.#budget.charge);
      case '!=':
        return !equal(a, b, this.#budget.charge);
      case '<':
        return compare(a, b) < 0;
      case '<=':
        return compare(a, b) <= 0;
      case '>':
        return compare(a, b) > 0;
      case '>=':
        return compare(a, b) >= 0;
      case 'in':
        if (isList(b)) return b.some((item) => equal(a, item, this.#budget.charge));
        if (isMap(b)) return memberOf(b, a) !== undefined;
        throw new CelError(`no such overload: ${typeOf(a)} in ${typeOf(b)}`);
      default:
        return this.#arithmetic(operator, a, b);
    }
  }

  /** One side that decides makes the other's failure nothing. */
  #either(left: Node, right: Node, decides: boolean, scope: Scope | undefined): boolean {
    let failure: CelError;
    try {
      if (this.#truth(left, scope) === decides) return decides;
      return this.#truth(right, scope);
    } catch (e) {
      if (!(e instanceof CelError)) throw e;
      failure = e;
    }
    if (this.#truth(right, scope) === decides) return decides;
    throw failure;
  }

  #arithmetic(operator: '+' | '-' | '*' | '/' | '%', a: Value, b: Value): Value {
    if (typeof a === 'bigint' && typeof b === 'bigint') return toInt(whole(operator, a, b));
    if (a instanceof Uint && b instanceof Uint) return toUint(whole(operator, a.value, b.value));
    if (typeof a === 'number' && typeof b === 'number' && operator !== '%') {
      return operator === '+' ? a + b : operator === '-' ? a - b : operator === '*' ? a * b : a / b;
    }
    const sum = operator === '+' ? this.#plus(a, b) : operator === '-' ? minus(a, b) : undefined;
    if (sum === undefined) throw new CelError(`no such overload: ${typeOf(a)} ${operator} ${typeOf(b)}`);
    return sum;
  }

  #plus(a: Value, b: Value): Value | undefined {
    if (typeof a === 'string' && typeof b === 'string') {
      this.#budget.charge((a.length + b.length) / 10);
      return a + b;
    }
    if (isList(a) && isList(b)) {
      this.#budget.charge(a.length + b.length);
      return this.#joined(a, b);
    }
    if (a instanceof Uint8Array && b instanceof Uint8Array) return new Uint8Array(Buffer.concat([a, b]));
    if (a instanceof Duration && b instanceof Duration) return toDuration(a.ns + b.ns);
    if (a instanceof Timestamp && b instanceof Duration) return toTimestamp(a.ns + b.ns);
    if (a instanceof Duration && b instanceof Timestamp) return toTimestamp(a.ns + b.ns);
    return undefined;
  }

  /** Of sets the union; of maps by keys the right one's items take the place of those with the same keys. */
  #joined(a: readonly Value[], b: readonly Value[]): readonly Value[] {
    const kind = listKinds.get(a) ?? listKinds.get(b);
    if (kind === undefined) return [...a, ...b];
    const same = (x: Value, y: Value) =>
      kind.kind === 'set'
        ? equal(x, y, this.#budget.charge)
        : kind.keys.every((k) => equal(memberOf(x, k) ?? null, memberOf(y, k) ?? null, this.#budget.charge));
    const result = [...a];
    for (const item of b) {
      const at = result.findIndex((other) => same(item, other));
      if (at < 0) result.push(item);
      else result[at] = item;
    }
    listKinds.set(result, kind);
    return result;
  }

  #macro(macro: Macro, scope: Scope | undefined): Value {
    switch (macro.kind) {
      case 'has': {
        const of = this.value(macro.of, scope);
        return memberOf(of instanceof Optional ? (of.value ?? new Map()) : of, macro.field) !== undefined;
      }
      case 'bind':
        return this.value(macro.body, { name: macro.name, value: this.value(macro.value, scope), outer: scope });
      case 'otherwise': {
        const optional = optionalOf(this.value(macro.of, scope));
        if (optional.value === undefined)
          return macro.optional ? optionalOf(this.value(macro.other, scope)) : this.value(macro.other, scope);
        return macro.optional ? optional : optional.value;
      }
      case 'optional': {
        const { value } = optionalOf(this.value(macro.of, scope));
        if (value === undefined) return new Optional(undefined);
        const made = this.value(macro.body, { name: macro.name, value, outer: scope });
        return macro.flat ? optionalOf(made) : new Optional(made);
      }
      case 'comprehension':
        return this.#comprehension(macro, scope);
      default:
        return assertNever(macro);
    }
  }

  #comprehension(macro: Macro & { readonly kind: 'comprehension' }, scope: Scope | undefined): Value {
    const { does, names, filter, body } = macro;
    const over = this.value(macro.over, scope);
    const inner = (key: Value, value: Value): Scope => {
      const [one, two] = names as readonly [string, string?];
      const first: Scope = { name: one, value: two === undefined && isList(over) ? value : key, outer: scope };
      return two === undefined ? first : { name: two, value, outer: first };
    };
    const scopes = entriesOf(over).map(([key, value]) => ({ key, value, scope: inner(key, value) }));
    const taken = filter === undefined ? scopes : scopes.filter((s) => this.#truth(filter, s.scope));
    switch (does) {
      case 'all':
      case 'exists':
        return this.#some(
          body,
          taken.map((s) => s.scope),
          does === 'exists',
        );
      case 'existsOne':
        return taken.filter((s) => this.#truth(body, s.scope)).length === 1;
      case 'filter':
        return taken.filter((s) => this.#truth(body, s.scope)).map((s) => (isList(over) ? s.value : s.key));
      case 'map':
      case 'list':
        return taken.map((s) => this.value(body, s.scope));
      case 'sortBy': {
        const keyed = taken.map((s) => ({ value: s.value, by: this.value(body, s.scope) }));
        this.#budget.charge(keyed.length * 4);
        return keyed.sort((a, b) => compare(a.by, b.by)).map((k) => k.value);
      }
      case 'entries':
        return new Map(taken.map((s) => [keyOf(s.key), this.value(body, s.scope)]));
      case 'merge': {
        const result = new Map<MapKey, Value>();
        for (const s of taken) {
          const made = this.value(body, s.scope);
          if (!isMap(made)) throw new CelError('transformMapEntry takes an expression that gives a map');
          for (const [key, value] of made) {
            if (result.has(key)) throw new CelError(`transformMapEntry made the key ${String(key)} twice`);
            result.set(key, value);
          }
        }
        return result;
      }
      default:
        return assertNever(does);
    }
  }

  /** As `||` over all of them, or `&&`: a failure counts only where nothing decides. */
  #some(body: Node, scopes: readonly Scope[], decides: boolean): boolean {
    let failure: CelError | undefined;
    for (const scope of scopes) {
      try {
        if (this.#truth(body, scope) === decides) return decides;
      } catch (e) {
        if (!(e instanceof CelError)) throw e;
        failure ??= e;
      }
    }
    if (failure !== undefined) throw failure;
    return !decides;
  }
}

function lookUp(name: string, scope: Scope | undefined): Value {
  for (let s = scope; s !== undefined; s = s.outer) if (s.name === name) return s.value;
  if (typeNames.has(name)) return new TypeValue(name);
  throw new CelError(`undeclared reference to ${JSON.stringify(name)}`);
}

function literal(value: Literal): Value {
  switch (value.type) {
    case 'null':
      return null;
    case 'uint':
      return new Uint(value.value);
    default:
      return value.value;
  }
}

function memberOf(of: Value, key: Value): Value | undefined {
  if (isMap(of)) {
    const number = numeric(key);
    if (typeof key !== 'string' && typeof key !== 'boolean' && number === undefined) return undefined;
    return typeof number === 'number' && !Number.isInteger(number) ? undefined : of.get(keyOf(key));
  }
  const index = numeric(key);
  if (!isList(of) || index === undefined) throw new CelError(`no such overload: ${typeOf(of)}[${typeOf(key)}]`);
  return of[Number(index)];
}

function entriesOf(over: Value): readonly (readonly [Value, Value])[] {
  if (isList(over)) return over.map((value, i) => [BigInt(i), value] as const);
  if (isMap(over)) return [...over];
  throw new CelError(`a ${typeOf(over)} has no items to go over`);
}

function optionalOf(value: Value): Optional {
  if (value instanceof Optional) return value;
  throw new CelError(`an optional value is expected, not a ${typeOf(value)}`);
}

function whole(operator: '+' | '-' | '*' | '/' | '%', a: bigint, b: bigint): bigint {
  if ((operator === '/' || operator === '%') && b === 0n)
    throw new CelError(operator === '/' ? 'division by zero' : 'modulus by zero');
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
  }
}

function minus(a: Value, b: Value): Value | undefined {
  if (a instanceof Duration && b instanceof Duration) return toDuration(a.ns - b.ns);
  if (a instanceof Timestamp && b instanceof Timestamp) return toDuration(a.ns - b.ns);
  if (a instanceof Timestamp && b instanceof Duration) return toTimestamp(a.ns - b.ns);
  return undefined;
}
