/**
 * Reads a decoded message of Envoy's field by field, and remembers what nobody asked for: a field that is not honoured must be named
 * in a NACK, never ignored. What is wrong is remembered too, so that all mistakes are told together.
 */
import { type Millis, millis } from '../core/brand.ts';
import { describeError, MeshError } from '../core/errors.ts';
import { type Cidr, parseIp } from '../core/net.ts';

/** A google.protobuf.Value as JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type Struct = { readonly [key: string]: Json };

type Plain = Readonly<Record<string, unknown>>;

export type Checked<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'rejected'; readonly reason: string };

/** Reads a whole message: rejected with every mistake, up to what `read` threw (`refusal`), which stops it. */
export function checkFields<T>(message: object, path: string, read: (fields: Fields) => T): Checked<T> {
  const fields = new Fields(message, path);
  try {
    const value = read(fields);
    const mistakes = fields.finish();
    return mistakes.length === 0 ? { kind: 'ok', value } : { kind: 'rejected', reason: mistakes.join('; ') };
  } catch (e) {
    if (!(e instanceof MeshError)) throw e;
    return { kind: 'rejected', reason: [...fields.mistakes, describeError(e)].join('; ') };
  }
}

/**
 * One message. Fields that are absent read as protobuf's default (`undefined` for messages and wrappers); a value of another type
 * than the method's is a mistake.
 */
export class Fields {
  readonly path: string;
  readonly #message: Plain;
  /** Of the whole message, in the order in which they were found. */
  readonly mistakes: readonly string[];
  readonly #mistakes: string[];
  readonly #read = new Set<string>(['@type']);
  readonly #inner = new Map<string, Fields>();

  /** `path` begins every mistake, `Cluster`. */
  constructor(message: object, path: string, mistakes: string[] = []) {
    this.#message = message as Plain;
    this.path = path;
    this.mistakes = mistakes;
    this.#mistakes = mistakes;
  }

  /** Everything wrong so far, fields that nobody read included. Empty: the message is understood in full. */
  finish(): readonly string[] {
    this.#unread();
    return this.#mistakes;
  }

  /** The type URL of an Any; empty for other messages. */
  get type(): string {
    return typeof this.#message['@type'] === 'string' ? this.#message['@type'] : '';
  }

  has(name: string): boolean {
    return !isAbsent(this.#message[name]);
  }

  mistake(name: string, text: string): void {
    this.#read.add(name);
    this.#mistakes.push(`${this.path}.${name}: ${text}`);
  }

  /** A mistake after which nothing of the message can be made: to be thrown, within `checkFields`. */
  refusal(name: string, text: string): MeshError {
    return new MeshError('CONFIG', `${this.path}.${name}: ${text}`);
  }

  unsupported(name: string): MeshError {
    return this.refusal(name, 'is not supported');
  }

  /** The member of a oneof that is set: an empty text counts, as it does on the wire. */
  which<N extends string>(...names: readonly N[]): N | undefined {
    return names.find((name) => this.#message[name] !== undefined && this.#message[name] !== null);
  }

  /** Fields that change nothing here, each for a reason that the caller writes down. */
  harmless(...names: readonly string[]): void {
    for (const name of names) this.#read.add(name);
  }

  /** Nothing of this message, nor within, will be read, and that is right. */
  skip(): void {
    this.harmless(...Object.keys(this.#message));
    this.#inner.clear();
  }

  text(name: string): string {
    return this.#value(name, 'string', '') as string;
  }

  flag(name: string): boolean {
    return this.#value(name, 'boolean', false) as boolean;
  }

  number(name: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.#value(name, 'number', 0) as number;
    if (this.has(name)) this.#bounded(name, value, min, max);
    return value;
  }

  /** A UInt32Value and the like; undefined: absent. Both ends are allowed. */
  wrapped(name: string, min = 0, max = Number.MAX_SAFE_INTEGER): number | undefined {
    const value = this.#wrapper(name, 'number', 0) as number | undefined;
    if (value !== undefined) this.#bounded(name, value, min, max);
    return value;
  }

  wrappedFlag(name: string): boolean | undefined {
    return this.#wrapper(name, 'boolean', false) as boolean | undefined;
  }

  /** A google.protobuf.Duration. `min` and `max` in ms. */
  duration(name: string, min = 0, max = Number.MAX_SAFE_INTEGER): Millis | undefined {
    const value = this.#object(name) as { readonly seconds?: unknown; readonly nanos?: unknown } | undefined;
    if (!value) return undefined;
    const ms = Number(value.seconds ?? 0) * 1_000 + Number(value.nanos ?? 0) / 1_000_000;
    if (Number.isNaN(ms)) {
      this.mistake(name, 'is no duration');
      return undefined;
    }
    if (ms < min || ms > max) this.mistake(name, `${ms} ms is not within ${min} ms and ${max} ms`);
    return millis(ms);
  }

  /** A type.v3.Percent; undefined: absent. */
  percent(name: string): number | undefined {
    const inner = this.message(name);
    return inner?.number('value', 0, 100);
  }

  /** An enum by its names; what `values` has not is a mistake. `absent` is the name of number 0. */
  choice<T>(name: string, absent: string, values: Readonly<Record<string, T>>): T | undefined {
    this.#read.add(name);
    const raw = this.#message[name];
    const key = isAbsent(raw) ? absent : typeof raw === 'string' || typeof raw === 'number' ? String(raw) : typeof raw;
    if (Object.hasOwn(values, key)) return values[key];
    this.mistake(name, `${key} is not supported`);
    return undefined;
  }

  /** The same reader each time. */
  message(name: string): Fields | undefined {
    const value = this.#object(name);
    return value && this.#nested(value, `${this.path}.${name}`);
  }

  list(name: string): readonly Fields[] {
    const values = this.#list(name);
    return values.flatMap((value, i) => {
      if (isObject(value)) return [this.#nested(value, `${this.path}.${name}[${i}]`)];
      this.mistake(name, `[${i}] is no message`);
      return [];
    });
  }

  /** `message` and `read` in one. */
  read<T>(name: string, read: (fields: Fields) => T): T | undefined {
    const inner = this.message(name);
    return inner && read(inner);
  }

  /** As `read`, of a field that must be there. */
  required<T>(name: string, read: (fields: Fields) => T): T {
    const inner = this.message(name);
    if (!inner) throw this.refusal(name, 'is missing');
    return read(inner);
  }

  readAll<T>(name: string, read: (fields: Fields) => T): readonly T[] {
    return this.list(name).map(read);
  }

  /** An envoy.config.core.v3.CidrRange; a length beyond the address stands for all of it, as in Envoy. */
  cidr(name: string): Cidr | undefined {
    return this.read(name, readCidr);
  }

  numbers(name: string): readonly number[] {
    const values = this.#list(name);
    if (values.every((value) => typeof value === 'number')) return values;
    this.mistake(name, 'is no list of numbers');
    return [];
  }

  texts(name: string): readonly string[] {
    const values = this.#list(name);
    if (values.every((value) => typeof value === 'string')) return values;
    this.mistake(name, 'is no list of strings');
    return [];
  }

  /** The bytes of a field; absent: none. */
  bytes(name: string): Buffer {
    this.#read.add(name);
    const value = this.#message[name];
    if (isAbsent(value)) return Buffer.alloc(0);
    if (value instanceof Uint8Array) return Buffer.from(value);
    // JSON's form.
    if (typeof value === 'string') return Buffer.from(value, 'base64');
    this.mistake(name, 'is no bytes');
    return Buffer.alloc(0);
  }

  /** Entries of a map of messages. */
  map(name: string): readonly (readonly [string, Fields])[] {
    const value = this.#object(name);
    return Object.entries(value ?? {}).flatMap(([key, inner]) => {
      if (isObject(inner)) return [[key, this.#nested(inner, `${this.path}.${name}[${key}]`)] as const];
      this.mistake(name, `[${key}] is no message`);
      return [];
    });
  }

  /** Entries of a map of texts. */
  textMap(name: string): readonly (readonly [string, string])[] {
    return Object.entries(this.#object(name) ?? {}).flatMap(([key, value]) => {
      if (typeof value === 'string') return [[key, value] as const];
      this.mistake(name, `[${key}] is no text`);
      return [];
    });
  }

  /** A google.protobuf.Struct; absent: undefined. */
  struct(name: string): Struct | undefined {
    const value = this.#object(name);
    return value && structToJson(value as PbStruct);
  }

  /** The message itself as a map of structs: `filter_metadata`. */
  structs(): Readonly<Record<string, Struct>> {
    const entries = Object.entries(this.#message);
    for (const [name] of entries) this.#read.add(name);
    return Object.fromEntries(entries.map(([name, value]) => [name, structToJson(value as PbStruct)]));
  }

  #unread(): void {
    for (const [name, value] of Object.entries(this.#message)) {
      if (!this.#read.has(name) && !isAbsent(value)) this.mistake(name, 'is not supported');
    }
    for (const inner of this.#inner.values()) inner.#unread();
  }

  #nested(value: object, path: string): Fields {
    const known = this.#inner.get(path);
    if (known) return known;
    const inner = new Fields(value, path, this.#mistakes);
    this.#inner.set(path, inner);
    return inner;
  }

  #value(name: string, type: 'string' | 'number' | 'boolean', absent: unknown): unknown {
    this.#read.add(name);
    const value = this.#message[name];
    if (value === undefined || value === null) return absent;
    if (typeof value === type) return value;
    this.mistake(name, `is no ${type}`);
    return absent;
  }

  #wrapper(name: string, type: 'number' | 'boolean', absent: unknown): unknown {
    const inner = this.#object(name);
    if (!inner) return undefined;
    const value = (inner as { readonly value?: unknown }).value ?? absent;
    if (typeof value === type) return value;
    this.mistake(name, `is no ${type}`);
    return absent;
  }

  #bounded(name: string, value: number, min: number, max: number): void {
    if (!(value >= min && value <= max)) this.mistake(name, `${value} is not within ${min} and ${max}`);
  }

  #object(name: string): object | undefined {
    this.#read.add(name);
    const value = this.#message[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'object') return value;
    this.mistake(name, 'is no message');
    return undefined;
  }

  #list(name: string): readonly unknown[] {
    this.#read.add(name);
    const value = this.#message[name];
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return value;
    this.mistake(name, 'is no list');
    return [];
  }
}

/** An envoy.config.core.v3.CidrRange. */
export function readCidr(fields: Fields): Cidr {
  const text = fields.text('address_prefix');
  const ip = parseIp(text);
  if (ip === undefined) throw fields.refusal('address_prefix', `${JSON.stringify(text)} is no IP address`);
  return { ip, length: Math.min(fields.wrapped('prefix_len') ?? 0, ip.includes(':') ? 128 : 32) };
}

/** A message says no more by such a value than without the field; an empty message says something. */
function isAbsent(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === false ||
    value === 0 ||
    value === '' ||
    (Array.isArray(value) && value.length === 0)
  );
}

interface PbStruct {
  readonly fields?: Readonly<Record<string, PbValue>>;
}

/** Names as protobufjs has them, which knows google.protobuf by itself. */
interface PbValue {
  readonly nullValue?: unknown;
  readonly numberValue?: number;
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly structValue?: PbStruct;
  readonly listValue?: { readonly values?: readonly PbValue[] };
}

/** A google.protobuf.Struct, as the codec decodes it. */
export function structToJson(struct: PbStruct | null): Struct {
  return Object.fromEntries(Object.entries(struct?.fields ?? {}).map(([key, value]) => [key, valueToJson(value)]));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function valueToJson(value: PbValue | null): Json {
  if (!value) return null;
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.numberValue !== undefined) return value.numberValue;
  if (value.boolValue !== undefined) return value.boolValue;
  if (value.structValue) return structToJson(value.structValue);
  if (value.listValue) return (value.listValue.values ?? []).map(valueToJson);
  return null;
}
