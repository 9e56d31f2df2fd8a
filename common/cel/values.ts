/** Values of CEL while a program runs. */
import { isDeepStrictEqual } from 'node:util';
import { CelError } from './ast.ts';

/** int is bigint, double is number. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | readonly Value[]
  | ReadonlyMap<MapKey, Value>
  | Uint
  | Timestamp
  | Duration
  | Optional
  | TypeValue
  | Opaque;

export type MapKey = string | bigint | boolean;

export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

/** Nanoseconds since the epoch. */
export class Timestamp {
  readonly ns: bigint;
  constructor(ns: bigint) {
    this.ns = ns;
  }
}

export class Duration {
  readonly ns: bigint;
  constructor(ns: bigint) {
    this.ns = ns;
  }
}

export class Optional {
  readonly value: Value | undefined;
  constructor(value: Value | undefined) {
    this.value = value;
  }
}

export class TypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** A type of a library: `url`, `quantity`, `ip`, `cidr`, `format`. */
export class Opaque {
  readonly type: string;
  readonly value: unknown;
  /** Equal ids, equal values. */
  readonly id: string;
  constructor(type: string, value: unknown, id: string) {
    this.type = type;
    this.value = value;
    this.id = id;
  }
}

/** Lists that Kubernetes compares and adds as what they are: sets, and maps by keys. */
export type ListKind = { readonly kind: 'set' } | { readonly kind: 'map'; readonly keys: readonly string[] };
export const listKinds = new WeakMap<readonly Value[], ListKind>();

export function typeOf(value: Value): string {
  if (value === null) return 'null_type';
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'double';
    case 'string':
      return 'string';
    default:
  }
  if (isList(value)) return 'list';
  if (value instanceof Map) return 'map';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof Uint) return 'uint';
  if (value instanceof Timestamp) return 'timestamp';
  if (value instanceof Duration) return 'duration';
  if (value instanceof Optional) return 'optional_type';
  if (value instanceof TypeValue) return 'type';
  return (value as Opaque).type;
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

export function isMap(value: Value): value is ReadonlyMap<MapKey, Value> {
  return value instanceof Map;
}

/** Values of different types are unequal; numbers compare by what they are worth. `charge` is told of each comparison. */
export function equal(a: Value, b: Value, charge: (cost: number) => void): boolean {
  charge(1);
  const [x, y] = [numeric(a), numeric(b)];
  // biome-ignore lint/suspicious/noDoubleEquals: 1n == 1
  if (x !== undefined && y !== undefined) return x == y;
  if (typeof a === 'string' && typeof b === 'string') charge(Math.min(a.length, b.length) / 10);
  if (a === b) return true;
  if (isList(a) && isList(b)) return equalLists(a, b, charge);
  if (isMap(a) && isMap(b)) {
    if (a.size !== b.size) return false;
    for (const [key, value] of a) {
      const other = b.get(key);
      if (other === undefined || !equal(value, other, charge)) return false;
    }
    return true;
  }
  if (a instanceof Timestamp && b instanceof Timestamp) return a.ns === b.ns;
  if (a instanceof Duration && b instanceof Duration) return a.ns === b.ns;
  if (a instanceof TypeValue && b instanceof TypeValue) return a.name === b.name;
  if (a instanceof Opaque && b instanceof Opaque) return a.type === b.type && a.id === b.id;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return isDeepStrictEqual(a, b);
  if (a instanceof Optional && b instanceof Optional) {
    if (a.value === undefined || b.value === undefined) return a.value === b.value;
    return equal(a.value, b.value, charge);
  }
  return false;
}

function equalLists(a: readonly Value[], b: readonly Value[], charge: (cost: number) => void): boolean {
  if (a.length !== b.length) return false;
  if ((listKinds.get(a) ?? listKinds.get(b)) === undefined) return a.every((item, i) => equal(item, b[i]!, charge));
  // Their items are told apart, so that an order says nothing.
  return a.every((item) => b.some((other) => equal(item, other, charge)));
}

/** A number's worth; undefined for everything else. */
export function numeric(value: Value): bigint | number | undefined {
  if (typeof value === 'bigint' || typeof value === 'number') return value;
  return value instanceof Uint ? value.value : undefined;
}

/** Below, above or equal; CelError where the two have no order. */
export function compare(a: Value, b: Value): number {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined)
    return x < y ? -1 : x > y ? 1 : x === y || !Number.isNaN(Number(x) + Number(y)) ? 0 : Number.NaN;
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  if ((a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration)) {
    return a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0;
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  throw new CelError(`no order between ${typeOf(a)} and ${typeOf(b)}`);
}

/** What keys of maps are: numbers of equal worth are one key. */
export function keyOf(value: Value): MapKey {
  if (typeof value === 'string' || typeof value === 'bigint' || typeof value === 'boolean') return value;
  if (value instanceof Uint) return value.value;
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  throw new CelError(`a ${typeOf(value)} is no key of a map`);
}

const [least, most] = [-(2n ** 63n), 2n ** 63n - 1n];

export function toInt(value: bigint): bigint {
  if (value < least || value > most) throw new CelError('integer overflow');
  return value;
}

export function toUint(value: bigint): Uint {
  if (value < 0n || value >= 2n ** 64n) throw new CelError('unsigned integer overflow');
  return new Uint(value);
}

const [year1, year9999] = [-62_135_596_800_000_000_000n, 253_402_300_799_999_999_999n];

export function toTimestamp(ns: bigint): Timestamp {
  if (ns < year1 || ns > year9999) throw new CelError('timestamp out of range');
  return new Timestamp(ns);
}

/** Some 290 years, as an int of nanoseconds. */
export function toDuration(ns: bigint): Duration {
  if (ns < least || ns > most) throw new CelError('duration out of range');
  return new Duration(ns);
}
