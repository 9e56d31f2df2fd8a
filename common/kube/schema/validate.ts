/** The one validator over the schema table. Total: any JSON value gives a list of issues, never an exception. */
import { assertNever } from '../../core/errors.ts';
import { didYouMean } from './nearest.ts';
import type { ArraySchema, ObjectSchema, Schema, StringSchema } from './types.ts';

export type Path = readonly (string | number)[];

/** What kind of mistake it is; names follow the API server's causes. */
export type IssueReason =
  | 'required'
  | 'invalid'
  | 'type'
  | 'not-supported'
  | 'unknown'
  | 'duplicate'
  | 'too-many'
  | 'too-long';

export interface Issue {
  readonly path: Path;
  /** `key`: the field's name is wrong, so point at it; `value`: what it holds. */
  readonly at: 'key' | 'value';
  readonly reason: IssueReason;
  readonly message: string;
}

/** `spec.rules[0].from`; keys that are no plain names are written as ["..."]. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** An empty list means valid. Members of objects that are null count as absent unless the schema is nullable. */
export function validate(schema: Schema, value: unknown, path: Path = []): Issue[] {
  if (value === null && schema.nullable) return [];
  if (schema.type === undefined) {
    const ok = typeof value === 'string' || Number.isInteger(value);
    return ok ? [] : [wrongType('an integer or a string', value, path)];
  }
  switch (schema.type) {
    case 'object':
      return isObject(value) ? validateObject(schema, value, path) : [wrongType('an object', value, path)];
    case 'array':
      return Array.isArray(value) ? validateArray(schema, value, path) : [wrongType('a list', value, path)];
    case 'string':
      return typeof value === 'string' ? validateString(schema, value, path) : [wrongType('a string', value, path)];
    case 'boolean':
      return typeof value === 'boolean' ? [] : [wrongType('true or false', value, path)];
    case 'integer':
    case 'number': {
      const ok = typeof value === 'number' && (schema.type === 'number' || Number.isInteger(value));
      if (!ok) return [wrongType(schema.type === 'integer' ? 'an integer' : 'a number', value, path)];
      const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
      if (value >= minimum && value <= maximum) return [];
      return [bad(path, `${value} is out of range: expected ${range(schema.minimum, schema.maximum)}`)];
    }
    default:
      return assertNever(schema);
  }
}

function validateObject(schema: ObjectSchema, value: Record<string, unknown>, path: Path): Issue[] {
  const issues: Issue[] = [];
  const properties = schema.properties ?? {};
  for (const name of schema.required ?? []) {
    if (get(value, name) === undefined) issues.push(bad([...path, name], 'required field is missing', 'required'));
  }
  for (const [name, member] of Object.entries(value)) {
    const known = get(properties, name) as Schema | undefined;
    const memberSchema = known ?? schema.additionalProperties;
    if (memberSchema !== undefined) {
      if (member === null && !memberSchema.nullable) continue;
      issues.push(...validate(memberSchema, member, [...path, name]));
    } else if (!schema['x-kubernetes-preserve-unknown-fields']) {
      const names = Object.keys(properties);
      const expected = names.length > 0 ? `expected one of ${names.join(', ')}` : 'no field is expected here';
      issues.push({
        path: [...path, name],
        at: 'key',
        reason: 'unknown',
        message: `unknown field${didYouMean(name, names) || `; ${expected}`}`,
      });
    }
  }
  const { maxProperties } = schema;
  if (maxProperties !== undefined && Object.keys(value).length > maxProperties) {
    issues.push(
      bad(path, `has ${Object.keys(value).length} entries; at most ${maxProperties} are allowed`, 'too-many'),
    );
  }
  for (const group of schema.atMostOneOf ?? []) {
    const set = group.filter((name) => get(value, name) !== undefined);
    if (set.length > 1) issues.push(bad(path, `${set.join(' and ')} exclude each other; keep one`));
  }
  return issues;
}

function validateArray(schema: ArraySchema, value: readonly unknown[], path: Path): Issue[] {
  const issues: Issue[] = [];
  const { minItems, maxItems } = schema;
  if (minItems !== undefined && value.length < minItems) {
    issues.push(bad(path, `has ${value.length} items; at least ${minItems} expected`));
  }
  if (maxItems !== undefined && value.length > maxItems) {
    issues.push(bad(path, `has ${value.length} items; at most ${maxItems} are allowed`, 'too-many'));
  }
  value.forEach((item, i) => {
    issues.push(...validate(schema.items, item, [...path, i]));
  });
  if (schema['x-kubernetes-list-type'] === 'set') {
    const seen = new Set<string>();
    value.forEach((item, i) => {
      const id = JSON.stringify(item);
      if (seen.has(id)) issues.push(bad([...path, i], `${show(item)} is in the list already`, 'duplicate'));
      seen.add(id);
    });
  }
  const keys = schema['x-kubernetes-list-map-keys'];
  if (keys !== undefined && !schema.mayRepeat) {
    const seen = new Set<string>();
    value.forEach((item, i) => {
      if (!isObject(item)) return;
      const id = JSON.stringify(keys.map((k) => get(item, k) ?? null));
      if (seen.has(id)) issues.push(bad([...path, i], `another item has the same ${keys.join(' and ')}`, 'duplicate'));
      seen.add(id);
    });
  }
  return issues;
}

function validateString(schema: StringSchema, value: string, path: Path): Issue[] {
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    const expected = `expected one of ${schema.enum.map((v) => JSON.stringify(v)).join(', ')}`;
    return [bad(path, `${show(value)} is not allowed: ${expected}${didYouMean(value, schema.enum)}`, 'not-supported')];
  }
  // Lengths count code points, as the API server counts.
  const length = schema.minLength === undefined && schema.maxLength === undefined ? 0 : [...value].length;
  if (schema.minLength !== undefined && length < schema.minLength) {
    return [bad(path, schema.minLength === 1 ? 'must not be empty' : `is shorter than ${schema.minLength} characters`)];
  }
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    return [bad(path, `is ${length} characters long; at most ${schema.maxLength} are allowed`, 'too-long')];
  }
  if (schema.pattern !== undefined && !regex(schema.pattern).test(value)) {
    return [bad(path, `${show(value)} does not fit: expected ${schema.expects ?? `a match of ${schema.pattern}`}`)];
  }
  return [];
}

const regexes = new Map<string, RegExp>();
function regex(pattern: string): RegExp {
  let r = regexes.get(pattern);
  if (r === undefined) {
    r = new RegExp(pattern);
    regexes.set(pattern, r);
  }
  return r;
}

/** Own, non-null member; a manifest may name a field `constructor` or `__proto__`. */
function get(value: object, name: string): unknown {
  if (!Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name] ?? undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(path: Path, message: string, reason: IssueReason = 'invalid'): Issue {
  return { path, at: 'value', reason, message };
}

function wrongType(expected: string, value: unknown, path: Path): Issue {
  return bad(path, `expected ${expected}, found ${describe(value)}`, 'type');
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return `the ${typeof value} ${show(value)}`;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}..."` : text;
}

function range(minimum: number | undefined, maximum: number | undefined): string {
  if (minimum === undefined) return `at most ${maximum}`;
  return maximum === undefined ? `at least ${minimum}` : `${minimum} to ${maximum}`;
}
