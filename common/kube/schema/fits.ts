/**
 * Whether a value is valid at all, in a tenth of the time of `validate`: each schema becomes a function once. Who gets false asks
 * `validate` for the mistakes.
 */
import { assertNever } from '../../core/errors.ts';
import type { ArraySchema, NumberSchema, ObjectSchema, Schema, StringSchema } from './types.ts';
import { isObject, validate } from './validate.ts';

type Check = (value: unknown) => boolean;

const checks = new WeakMap<Schema, Check>();

export function fits(schema: Schema, value: unknown): boolean {
  return checkOf(schema)(value);
}

function checkOf(schema: Schema): Check {
  let check = checks.get(schema);
  if (check === undefined) {
    check = nullable(schema, compile(schema));
    checks.set(schema, check);
  }
  return check;
}

function nullable(schema: Schema, check: Check): Check {
  return schema.nullable ? (value) => value === null || check(value) : check;
}

function compile(schema: Schema): Check {
  const combined = schema.allOf ?? schema.anyOf ?? schema.oneOf ?? schema.not;
  // What strangers define has more words, and is asked for less often.
  if (schema.custom || combined !== undefined) return (value) => validate(schema, value).length === 0;
  if (schema.type === undefined) {
    if (schema.enum !== undefined) return (value) => validate(schema, value).length === 0;
    if (schema['x-kubernetes-int-or-string'] !== true) return () => true;
    return (value) => typeof value === 'string' || Number.isInteger(value);
  }
  switch (schema.type) {
    case 'object':
      return objectCheck(schema);
    case 'array':
      return arrayCheck(schema);
    case 'string':
      return stringCheck(schema);
    case 'boolean': {
      const { enum: allowed } = schema;
      return (value) => typeof value === 'boolean' && (allowed === undefined || allowed.includes(value));
    }
    case 'integer':
    case 'number':
      return numberCheck(schema);
    default:
      return assertNever(schema);
  }
}

interface Member {
  readonly schema: Schema;
  /** Made when it is met: schemas are deep, objects are not. */
  check: Check | undefined;
}

function objectCheck(schema: ObjectSchema): Check {
  const { additionalProperties, required = [], minProperties = 0, maxProperties, atMostOneOf = [] } = schema;
  if (schema.enum !== undefined) return (value) => validate(schema, value).length === 0;
  const members = new Map<string, Member>();
  for (const [name, member] of Object.entries(schema.properties ?? {}))
    members.set(name, { schema: member, check: undefined });
  const other: Member | undefined =
    additionalProperties === undefined ? undefined : { schema: additionalProperties, check: undefined };
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true;
  const most = maxProperties ?? Number.POSITIVE_INFINITY;
  return (value) => {
    if (!isObject(value)) return false;
    for (const name of required) if (!isSet(value, name)) return false;
    let size = 0;
    for (const name of Object.keys(value)) {
      size++;
      const member = members.get(name) ?? other;
      if (member === undefined) {
        if (open) continue;
        return false;
      }
      const inside = value[name];
      if (inside === null && !member.schema.nullable && !member.schema.custom) continue;
      member.check ??= checkOf(member.schema);
      if (!member.check(inside)) return false;
    }
    if (size < minProperties || size > most) return false;
    return atMostOneOf.every((group) => group.filter((name) => isSet(value, name)).length <= 1);
  };
}

function isSet(value: Record<string, unknown>, name: string): boolean {
  return Object.hasOwn(value, name) && value[name] !== null && value[name] !== undefined;
}

function arrayCheck(schema: ArraySchema): Check {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, mayRepeat } = schema;
  const isSetOfValues = schema['x-kubernetes-list-type'] === 'set';
  const keys = mayRepeat ? undefined : schema['x-kubernetes-list-map-keys'];
  if (schema.enum !== undefined) return (value) => validate(schema, value).length === 0;
  let item: Check | undefined;
  return (value) => {
    if (!Array.isArray(value) || value.length < minItems || value.length > maxItems) return false;
    item ??= checkOf(schema.items);
    for (const inside of value) if (!item(inside)) return false;
    if (value.length < 2) return true;
    if (isSetOfValues && !areDistinct(value)) return false;
    return keys === undefined || haveDistinctKeys(value, keys);
  };
}

/** False where it is not sure. */
function areDistinct(values: readonly unknown[]): boolean {
  if (values.every((v) => typeof v === 'string')) return new Set(values).size === values.length;
  return validate({ type: 'array', items: anything, 'x-kubernetes-list-type': 'set' }, values).length === 0;
}

const anything: Schema = { 'x-kubernetes-preserve-unknown-fields': true };

function haveDistinctKeys(items: readonly unknown[], keys: readonly string[]): boolean {
  const [only] = keys;
  if (keys.length === 1 && items.every((item) => isObject(item) && typeof item[only!] === 'string')) {
    const seen = new Set<unknown>();
    for (const item of items) seen.add((item as Record<string, unknown>)[only!]);
    return seen.size === items.length;
  }
  const list: Schema = { type: 'array', items: anything, 'x-kubernetes-list-map-keys': keys };
  return validate(list, items).length === 0;
}

function stringCheck({ enum: allowed, pattern, minLength = 0, maxLength }: StringSchema): Check {
  const words = allowed === undefined ? undefined : new Set(allowed);
  const regex = pattern === undefined ? undefined : new RegExp(pattern);
  const most = maxLength ?? Number.POSITIVE_INFINITY;
  return (value) => {
    if (typeof value !== 'string') return false;
    if (words !== undefined && !words.has(value)) return false;
    // Lengths count code points: at least half of the units, at most all of them.
    if (value.length < minLength * 2 && codePoints(value) < minLength) return false;
    if (value.length > most && codePoints(value) > most) return false;
    return regex === undefined || regex.test(value);
  };
}

function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function numberCheck(schema: NumberSchema): Check {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, enum: allowed } = schema;
  if (exclusiveMinimum || exclusiveMaximum || multipleOf !== undefined || allowed !== undefined)
    return (value) => validate(schema, value).length === 0;
  const [low, high] = [minimum ?? Number.NEGATIVE_INFINITY, maximum ?? Number.POSITIVE_INFINITY];
  const whole = schema.type === 'integer';
  return (value) =>
    typeof value === 'number' && (whole ? Number.isInteger(value) : true) && !(value < low) && !(value > high);
}
