/** Functions of the language definition and of its extensions for strings, lists, sets and optional values. */
import { RE2JS } from 're2js';
import { CelError } from './ast.ts';
import { formatText } from './format.ts';
import { type CallContext, type Overload, overload } from './functions.ts';
import { durationText, parseDuration, parseTimestamp, timestampPart, timestampText } from './time.ts';
import {
  compare,
  Duration,
  equal,
  type MapKey,
  Opaque,
  Optional,
  Timestamp,
  TypeValue,
  toInt,
  toUint,
  typeOf,
  Uint,
  type Value,
} from './values.ts';

type List = readonly Value[];
const some = (text: string): number => 1 + text.length / 10;
const each = (list: { readonly length: number }): number => 1 + list.length;
const points = (text: string): readonly string[] => [...text];
const sizeLimit = 1_000_000;

const regexes = new Map<string, RE2JS>();
export function regex(pattern: string): RE2JS {
  let found = regexes.get(pattern);
  if (found === undefined) {
    try {
      found = RE2JS.compile(pattern);
    } catch {
      throw new CelError(`${JSON.stringify(pattern)} is no regular expression`);
    }
    if (regexes.size > 1000) regexes.clear();
    regexes.set(pattern, found);
  }
  return found;
}

function toNumber(text: string): number {
  const value = text.trim() === text && text !== '' ? Number(text) : Number.NaN;
  if (Number.isNaN(value) && text !== 'NaN') throw new CelError(`${JSON.stringify(text)} is no double`);
  return value;
}

function intOf(text: string): bigint {
  if (!/^[+-]?\d{1,20}$/.test(text)) throw new CelError(`${JSON.stringify(text)} is no int`);
  return BigInt(text.replace('+', ''));
}

function truncated(value: number): bigint {
  if (!Number.isFinite(value)) throw new CelError('integer overflow');
  return BigInt(Math.trunc(value));
}

export function textOf(value: Value): string {
  if (typeof value === 'number')
    return Number.isInteger(value) && Math.abs(value) < 1e21 ? String(value) : String(value).replace('Infinity', 'Inf');
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Timestamp) return timestampText(value.ns);
  if (value instanceof Duration) return durationText(value.ns);
  if (value instanceof Opaque) return value.id;
  if (value instanceof Uint8Array) {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(value);
    } catch {
      throw new CelError('the bytes are no UTF-8');
    }
  }
  return String(value);
}

function at(list: readonly unknown[], index: bigint): number {
  if (index < 0n || index > BigInt(list.length)) throw new CelError(`index ${index} is out of range`);
  return Number(index);
}

function indexOf(text: string, part: string, from = 0n): bigint {
  const [all, wanted] = [points(text), points(part)];
  for (let i = at(all, from); i + wanted.length <= all.length; i++) {
    if (wanted.every((c, k) => all[i + k] === c)) return BigInt(i);
  }
  return -1n;
}

function lastIndexOf(text: string, part: string, from?: bigint): bigint {
  const [all, wanted] = [points(text), points(part)];
  const last = from === undefined ? all.length - wanted.length : Math.min(at(all, from), all.length - wanted.length);
  for (let i = last; i >= 0; i--) if (wanted.every((c, k) => all[i + k] === c)) return BigInt(i);
  return -1n;
}

/** A text longer than a megabyte comes from growing, not from an object. */
function bounded(text: string): string {
  if (text.length > sizeLimit) throw new CelError('a string grew too long');
  return text;
}

function replaced(text: string, from: string, to: string, times: number): string {
  const parts = from === '' ? ['', ...points(text), ''] : text.split(from);
  const count = times < 0 ? parts.length - 1 : Math.min(times, parts.length - 1);
  if (text.length + count * to.length > sizeLimit) throw new CelError('a string grew too long');
  return `${parts.slice(0, count + 1).join(to)}${parts
    .slice(count + 1)
    .map((p) => from + p)
    .join('')}`;
}

function splitText(text: string, by: string, limit = -1n): Value {
  if (limit === 0n) return [];
  const parts = by === '' ? points(text) : text.split(by);
  if (limit < 0n || parts.length <= limit) return parts;
  const n = Number(limit) - 1;
  return [...parts.slice(0, n), parts.slice(n).join(by)];
}

function slice(text: string, from: bigint, to?: bigint): string {
  const all = points(text);
  const [a, b] = [at(all, from), to === undefined ? all.length : at(all, to)];
  if (a > b) throw new CelError('a substring ends before it begins');
  return all.slice(a, b).join('');
}

function sorted(list: List): List {
  return [...list].sort(compare);
}

function extreme(list: List, sign: number): Value {
  if (list.length === 0) throw new CelError('an empty list has no least and no greatest item');
  return list.reduce((a, b) => (compare(b, a) * sign > 0 ? b : a));
}

function sum(list: List): Value {
  const [first] = list;
  if (first === undefined) return 0n;
  if (first instanceof Duration)
    return list.reduce((a: Value, b) => new Duration(toInt((a as Duration).ns + (b as Duration).ns)), new Duration(0n));
  if (first instanceof Uint) return toUint((list as readonly Uint[]).reduce((n, v) => n + v.value, 0n));
  if (typeof first === 'bigint') return (list as readonly bigint[]).reduce((n, v) => toInt(n + v), 0n);
  if (typeof first === 'number') return (list as readonly number[]).reduce((n, v) => n + v, 0);
  throw new CelError(`items of type ${typeOf(first)} have no sum`);
}

function has(list: List, item: Value, { charge }: CallContext): boolean {
  return list.some((other) => equal(item, other, charge));
}

function flatten(list: List, depth: bigint): List {
  if (depth < 0n) throw new CelError('flatten takes no negative depth');
  return list.flatMap((v) =>
    Array.isArray(v) ? (depth === 0n ? [v] : depth === 1n ? v : flatten(v, depth - 1n)) : [v],
  );
}

function distinct(list: List, context: CallContext): List {
  const found: Value[] = [];
  for (const item of list) if (!has(found, item, context)) found.push(item);
  return found;
}

function quote(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '\x07': '\\a',
    '\b': '\\b',
    '\f': '\\f',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    '\v': '\\v',
    '\\': '\\\\',
    '"': '\\"',
  };
  return `"${points(text)
    .map((c) => names[c] ?? c)
    .join('')}"`;
}

const parts = [
  'getFullYear',
  'getMonth',
  'getDate',
  'getDayOfMonth',
  'getDayOfWeek',
  'getDayOfYear',
  'getHours',
  'getMinutes',
  'getSeconds',
  'getMilliseconds',
] as const;

const conversions: readonly Overload[] = [
  overload('size(string): int', (s: string) => BigInt(points(s).length), some),
  overload('string.size(): int', (s: string) => BigInt(points(s).length), some),
  ...['list', 'bytes'].flatMap((t) => [
    overload(`size(${t}): int`, (l: List) => BigInt(l.length)),
    overload(`${t}.size(): int`, (l: List) => BigInt(l.length)),
  ]),
  overload('size(map): int', (m: ReadonlyMap<MapKey, Value>) => BigInt(m.size)),
  overload('map.size(): int', (m: ReadonlyMap<MapKey, Value>) => BigInt(m.size)),
  overload('int(int): int', (v: bigint) => v),
  overload('int(uint): int', (v: Uint) => toInt(v.value)),
  overload('int(double): int', (v: number) => toInt(truncated(v))),
  overload('int(string): int', (v: string) => toInt(intOf(v)), some),
  overload(
    'int(timestamp): int',
    (v: Timestamp) => (v.ns - (((v.ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)) / 1_000_000_000n,
  ),
  overload('int(duration): int', (v: Duration) => v.ns),
  overload('uint(uint): uint', (v: Uint) => v),
  overload('uint(int): uint', (v: bigint) => toUint(v)),
  overload('uint(double): uint', (v: number) => toUint(truncated(v))),
  overload('uint(string): uint', (v: string) => toUint(intOf(v)), some),
  overload('double(double): double', (v: number) => v),
  overload('double(int): double', (v: bigint) => Number(v)),
  overload('double(uint): double', (v: Uint) => Number(v.value)),
  overload('double(string): double', toNumber, some),
  ...['string', 'int', 'uint', 'double', 'bool', 'bytes', 'timestamp', 'duration'].map((t) =>
    overload(`string(${t}): string`, textOf),
  ),
  overload('bytes(string): bytes', (v: string) => new Uint8Array(Buffer.from(v)), some),
  overload('bytes(bytes): bytes', (v: Uint8Array) => v),
  overload('bool(bool): bool', (v: boolean) => v),
  overload('bool(string): bool', (v: string) => {
    if (['true', 'True', 'TRUE', 't', '1'].includes(v)) return true;
    if (['false', 'False', 'FALSE', 'f', '0'].includes(v)) return false;
    throw new CelError(`${JSON.stringify(v)} is no bool`);
  }),
  overload('timestamp(string): timestamp', (v: string) => parseTimestamp(v), some),
  overload('timestamp(timestamp): timestamp', (v: Timestamp) => v),
  overload('timestamp(int): timestamp', (v: bigint) => new Timestamp(v * 1_000_000_000n)),
  overload('duration(string): duration', (v: string) => parseDuration(v), some),
  overload('duration(duration): duration', (v: Duration) => v),
  overload('type(dyn): type', (v: Value) => new TypeValue(typeOf(v))),
  overload('dyn(dyn): dyn', (v: Value) => v),
  ...parts.flatMap((p) => [
    overload(`timestamp.${p}(): int`, (v: Timestamp) => timestampPart(v.ns, p, 'UTC')),
    overload(`timestamp.${p}(string): int`, (v: Timestamp, zone: string) => timestampPart(v.ns, p, zone)),
  ]),
  overload('duration.getHours(): int', (v: Duration) => v.ns / 3_600_000_000_000n),
  overload('duration.getMinutes(): int', (v: Duration) => v.ns / 60_000_000_000n),
  overload('duration.getSeconds(): int', (v: Duration) => v.ns / 1_000_000_000n),
  overload('duration.getMilliseconds(): int', (v: Duration) => (v.ns / 1_000_000n) % 1000n),
];

const strings: readonly Overload[] = [
  overload(
    'string.startsWith(string): bool',
    (a: string, b: string) => a.startsWith(b),
    (_, b) => some(b),
  ),
  overload(
    'string.endsWith(string): bool',
    (a: string, b: string) => a.endsWith(b),
    (_, b) => some(b),
  ),
  overload(
    'string.contains(string): bool',
    (a: string, b: string) => a.includes(b),
    (a, b) => some(a) * some(b),
  ),
  overload(
    'string.matches(string): bool',
    (a: string, b: string) => regex(b).test(a),
    (a, b) => some(a) * (1 + b.length / 4),
  ),
  overload(
    'matches(string, string): bool',
    (a: string, b: string) => regex(b).test(a),
    (a, b) => some(a) * (1 + b.length / 4),
  ),
  overload(
    'string.find(string): string',
    (a: string, b: string) => findAll(a, b, 1)[0] ?? '',
    (a, b) => some(a) * (1 + b.length / 4),
  ),
  overload(
    'string.findAll(string): list<string>',
    (a: string, b: string) => findAll(a, b, -1),
    (a, b) => some(a) * (1 + b.length / 4),
  ),
  overload(
    'string.findAll(string, int): list<string>',
    (a: string, b: string, n: bigint) => findAll(a, b, Number(n)),
    (a, b) => some(a) * (1 + b.length / 4),
  ),
  overload('string.charAt(int): string', (a: string, i: bigint) => points(a)[at(points(a), i)] ?? '', some),
  overload(
    'string.indexOf(string): int',
    (a: string, b: string) => indexOf(a, b),
    (a, b) => some(a) * some(b),
  ),
  overload(
    'string.indexOf(string, int): int',
    (a: string, b: string, from: bigint) => indexOf(a, b, from),
    (a, b) => some(a) * some(b),
  ),
  overload(
    'string.lastIndexOf(string): int',
    (a: string, b: string) => lastIndexOf(a, b),
    (a, b) => some(a) * some(b),
  ),
  overload(
    'string.lastIndexOf(string, int): int',
    (a: string, b: string, from: bigint) => lastIndexOf(a, b, from),
    (a, b) => some(a) * some(b),
  ),
  overload('list.join(): string', (l: string[]) => joined(l, ''), each),
  overload('list.join(string): string', (l: string[], by: string) => joined(l, by), each),
  overload('string.lowerAscii(): string', (a: string) => a.replace(/[A-Z]/g, (c) => c.toLowerCase()), some),
  overload('string.upperAscii(): string', (a: string) => a.replace(/[a-z]/g, (c) => c.toUpperCase()), some),
  overload(
    'string.replace(string, string): string',
    (a: string, b: string, c: string) => replaced(a, b, c, -1),
    (a, _, c) => some(a) * some(c),
  ),
  overload(
    'string.replace(string, string, int): string',
    (a: string, b: string, c: string, n: bigint) => replaced(a, b, c, Number(n)),
    (a, _, c) => some(a) * some(c),
  ),
  overload(
    'string.split(string): list<string>',
    (a: string, b: string) => splitText(a, b),
    (a) => each(a),
  ),
  overload(
    'string.split(string, int): list<string>',
    (a: string, b: string, n: bigint) => splitText(a, b, n),
    (a) => each(a),
  ),
  overload('string.substring(int): string', (a: string, from: bigint) => slice(a, from), some),
  overload('string.substring(int, int): string', (a: string, from: bigint, to: bigint) => slice(a, from, to), some),
  overload('string.trim(): string', (a: string) => a.trim(), some),
  overload('string.reverse(): string', (a: string) => points(a).toReversed().join(''), some),
  overload('strings.quote(string): string', quote, some),
  overload(
    'string.format(list): string',
    (a: string, args: List) => bounded(formatText(a, args, textOf)),
    (a, l) => some(a) + each(l),
  ),
];

function joined(list: readonly string[], by: string): string {
  if (list.some((item) => typeof item !== 'string')) throw new CelError('join takes a list of strings');
  return bounded(list.join(by));
}

function findAll(text: string, pattern: string, limit: number): string[] {
  const found: string[] = [];
  if (limit === 0) return found;
  const matcher = regex(pattern).matcher(text);
  while ((limit < 0 || found.length < limit) && matcher.find()) found.push(matcher.group() ?? '');
  return found;
}

const lists: readonly Overload[] = [
  overload('list.isSorted(): bool', (l: List) => l.every((v, i) => i === 0 || compare(l[i - 1]!, v) <= 0), each),
  overload('list.sum(): item', sum, each),
  overload('list.min(): item', (l: List) => extreme(l, -1), each),
  overload('list.max(): item', (l: List) => extreme(l, 1), each),
  overload(
    'list.indexOf(dyn): int',
    (l: List, v: Value, c: CallContext) => BigInt(l.findIndex((o) => equal(v, o, c.charge))),
    each,
  ),
  overload(
    'list.lastIndexOf(dyn): int',
    (l: List, v: Value, c: CallContext) => BigInt(l.findLastIndex((o) => equal(v, o, c.charge))),
    each,
  ),
  overload(
    'list.slice(int, int): first',
    (l: List, a: bigint, b: bigint) => {
      if (a > b) throw new CelError('a slice ends before it begins');
      return l.slice(at(l, a), at(l, b));
    },
    each,
  ),
  overload('list.flatten(): list<dyn>', (l: List) => flatten(l, 1n), each),
  overload('list.flatten(int): list<dyn>', flatten, each),
  overload('list.distinct(): first', distinct, each),
  overload('list.reverse(): first', (l: List) => l.toReversed(), each),
  overload('list.sort(): first', sorted, (l) => each(l) * 4),
  overload('list.first(): optional<dyn>', (l: List) => new Optional(l[0])),
  overload('list.last(): optional<dyn>', (l: List) => new Optional(l.at(-1))),
  overload(
    'lists.range(int): list<int>',
    (n: bigint) => Array.from({ length: Math.max(0, Number(n)) }, (_, i) => BigInt(i)),
    (n) => Number(n),
  ),
  overload('sets.contains(list, list): bool', (a: List, b: List, c: CallContext) => b.every((v) => has(a, v, c)), each),
  overload(
    'sets.intersects(list, list): bool',
    (a: List, b: List, c: CallContext) => b.some((v) => has(a, v, c)),
    each,
  ),
  overload(
    'sets.equivalent(list, list): bool',
    (a: List, b: List, c: CallContext) => a.every((v) => has(b, v, c)) && b.every((v) => has(a, v, c)),
    each,
  ),
];

const optionals: readonly Overload[] = [
  overload('optional.of(dyn): optional<dyn>', (v: Value) => new Optional(v)),
  overload('optional.none(): optional<dyn>', () => new Optional(undefined)),
  overload('optional.ofNonZeroValue(dyn): optional<dyn>', (v: Value) => new Optional(isZero(v) ? undefined : v)),
  overload('optional_type.hasValue(): bool', (o: Optional) => o.value !== undefined),
  overload('optional_type.value(): dyn', (o: Optional) => {
    if (o.value === undefined) throw new CelError('optional.none() has no value');
    return o.value;
  }),
];

function isZero(value: Value): boolean {
  if (value instanceof Uint) return value.value === 0n;
  if (value instanceof Duration || value instanceof Timestamp) return value.ns === 0n;
  if (value instanceof Map) return value.size === 0;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  return value === null || value === false || value === 0n || value === 0 || value === '';
}

export const standardOverloads: readonly Overload[] = [...conversions, ...strings, ...lists, ...optionals];
