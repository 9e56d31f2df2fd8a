/** The one validator over the schema table. Total: any JSON value gives a list of issues, never an exception. */
import { isDeepStrictEqual } from 'node:util';
import { RE2JS } from 're2js';
import { assertNever } from '../../core/errors.ts';
import { fitsFormat, integerFormats } from './formats.ts';
import { didYouMean } from './nearest.ts';
import type { ArraySchema, ObjectSchema, Rule, Schema } from './types.ts';

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

/** An empty list means valid. Members of objects that are null count as absent, unless the schema is nullable or custom. */
export function validate(schema: Schema, value: unknown, path: Path = []): Issue[] {
  if (value === null && schema.nullable) return [];
  const issues = validateType(schema, value, path);
  if (schema.allOf ?? schema.anyOf ?? schema.oneOf ?? schema.not) issues.push(...validateCombined(schema, value, path));
  return issues;
}

function validateType(schema: Schema, value: unknown, path: Path): Issue[] {
  if (schema.type === undefined) {
    const ok = schema['x-kubernetes-int-or-string'] !== true || typeof value === 'string' || Number.isInteger(value);
    return ok ? validateEnum(schema, value, path) : [wrongType('an integer or a string', value, path)];
  }
  switch (schema.type) {
    case 'object':
      return isObject(value) ? validateObject(schema, value, path) : [wrongType('an object', value, path)];
    case 'array':
      return Array.isArray(value) ? validateArray(schema, value, path) : [wrongType('a list', value, path)];
    case 'string':
      return typeof value === 'string' ? validateString(schema, value, path) : [wrongType('a string', value, path)];
    case 'boolean':
      return typeof value === 'boolean' ? validateEnum(schema, value, path) : [wrongType('true or false', value, path)];
    case 'integer':
    case 'number': {
      const ok = typeof value === 'number' && (schema.type === 'number' || Number.isInteger(value));
      if (!ok) return [wrongType(schema.type === 'integer' ? 'an integer' : 'a number', value, path)];
      return validateNumber(schema, value, path);
    }
    default:
      return assertNever(schema);
  }
}

/** A rule without structure: whatever it says of values of this value's type. */
function validateRule(rule: Rule, value: unknown, path: Path): Issue[] {
  const issues: Issue[] = [];
  if (rule.type !== undefined && !hasType(rule.type, value)) issues.push(wrongType(`type ${rule.type}`, value, path));
  if (typeof value === 'string') issues.push(...validateString(rule, value, path));
  else if (typeof value === 'number') issues.push(...validateNumber(rule, value, path));
  else issues.push(...validateEnum(rule, value, path));
  if (Array.isArray(value)) {
    issues.push(...validateLength(rule, value.length, path));
    if (rule.uniqueItems) issues.push(...validateUnique(value, path));
    const { items } = rule;
    if (items !== undefined) issues.push(...value.flatMap((item, i) => validateRule(items, item, [...path, i])));
  } else if (isObject(value)) {
    issues.push(...validateMembers(rule, value, path));
    for (const [name, member] of Object.entries(value)) {
      const known = (get(rule.properties ?? {}, name) as Rule | undefined) ?? rule.additionalProperties;
      if (known !== undefined) issues.push(...validateRule(known, member, [...path, name]));
    }
  }
  return [...issues, ...validateCombined(rule, value, path)];
}

function validateCombined({ allOf = [], anyOf, oneOf, not }: Rule | Schema, value: unknown, path: Path): Issue[] {
  const issues = allOf.flatMap((rule) => validateRule(rule, value, path));
  if (anyOf !== undefined) {
    const tried = anyOf.map((rule) => validateRule(rule, value, path));
    if (!tried.some((t) => t.length === 0)) {
      issues.push(bad(path, 'fits none of the alternatives of anyOf'), ...(tried.length === 1 ? tried[0]! : []));
    }
  }
  if (oneOf !== undefined) {
    const fitting = oneOf.filter((rule) => validateRule(rule, value, path).length === 0).length;
    if (fitting !== 1) issues.push(bad(path, `fits ${fitting} of the alternatives of oneOf; exactly one is expected`));
  }
  if (not !== undefined && validateRule(not, value, path).length === 0) {
    issues.push(bad(path, 'is what the schema excludes (not)'));
  }
  return issues;
}

function hasType(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function validateNumber(rule: Rule, value: number, path: Path): Issue[] {
  const issues = validateEnum(rule, value, path);
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = rule;
  const low = minimum !== undefined && (exclusiveMinimum ? value <= minimum : value < minimum);
  const high = maximum !== undefined && (exclusiveMaximum ? value >= maximum : value > maximum);
  if (low || high) issues.push(bad(path, `${value} is out of range: expected ${range(rule)}`));
  if (multipleOf !== undefined) {
    const times = value / multipleOf;
    if (Math.abs(times - Math.round(times)) > 1e-9) issues.push(bad(path, `${value} is no multiple of ${multipleOf}`));
  }
  if (rule.custom && rule.format !== undefined) {
    const bounds = Object.hasOwn(integerFormats, rule.format) ? integerFormats[rule.format] : undefined;
    if (bounds !== undefined && (value < -bounds || value >= bounds)) {
      issues.push(bad(path, `${value} is out of the range of ${rule.format}`));
    }
  }
  return issues;
}

function validateEnum({ enum: allowed }: Rule, value: unknown, path: Path): Issue[] {
  if (allowed === undefined || allowed.some((a) => isDeepStrictEqual(a, value))) return [];
  const expected = `expected one of ${allowed.map((v) => JSON.stringify(v)).join(', ')}`;
  const near = typeof value === 'string' ? didYouMean(value, allowed.map(String)) : '';
  return [bad(path, `${show(value)} is not allowed: ${expected}${near}`, 'not-supported')];
}

function validateObject(schema: ObjectSchema, value: Record<string, unknown>, path: Path): Issue[] {
  const issues: Issue[] = [];
  const properties = schema.properties ?? {};
  issues.push(...validateMembers(schema, value, path), ...validateEnum(schema, value, path));
  for (const [name, member] of Object.entries(value)) {
    const known = get(properties, name) as Schema | undefined;
    const memberSchema = known ?? schema.additionalProperties;
    if (memberSchema !== undefined) {
      if (member === null && !memberSchema.nullable && !memberSchema.custom) continue;
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
  for (const group of schema.atMostOneOf ?? []) {
    const set = group.filter((name) => get(value, name) !== undefined);
    if (set.length > 1) issues.push(bad(path, `${set.join(' and ')} exclude each other; keep one`));
  }
  return issues;
}

function validateMembers(
  { required = [], minProperties, maxProperties, custom }: Rule,
  value: object,
  path: Path,
): Issue[] {
  const issues: Issue[] = [];
  for (const name of required) {
    const missing = custom ? !Object.hasOwn(value, name) : get(value, name) === undefined;
    if (missing) issues.push(bad([...path, name], 'required field is missing', 'required'));
  }
  const size = Object.keys(value).length;
  if (maxProperties !== undefined && size > maxProperties) {
    issues.push(bad(path, `has ${size} entries; at most ${maxProperties} are allowed`, 'too-many'));
  }
  if (minProperties !== undefined && size < minProperties) {
    issues.push(bad(path, `has ${size} entries; at least ${minProperties} expected`));
  }
  return issues;
}

function validateLength({ minItems, maxItems }: Rule, length: number, path: Path): Issue[] {
  if (minItems !== undefined && length < minItems) {
    return [bad(path, `has ${length} items; at least ${minItems} expected`)];
  }
  if (maxItems !== undefined && length > maxItems) {
    return [bad(path, `has ${length} items; at most ${maxItems} are allowed`, 'too-many')];
  }
  return [];
}

function validateUnique(value: readonly unknown[], path: Path): Issue[] {
  const seen = new Set<string>();
  return value.flatMap((item, i) => {
    const id = canonical(item);
    if (seen.has(id)) return [bad([...path, i], `${show(item)} is in the list already`, 'duplicate')];
    seen.add(id);
    return [];
  });
}

/** The same text for equal values, whatever the order of their members. */
function canonical(value: unknown): string {
  const sorted = (_: string, v: unknown) =>
    isObject(v) ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1))) : v;
  return JSON.stringify(value, sorted) ?? '';
}

function validateArray(schema: ArraySchema, value: readonly unknown[], path: Path): Issue[] {
  const issues = [...validateLength(schema, value.length, path), ...validateEnum(schema, value, path)];
  value.forEach((item, i) => {
    issues.push(...validate(schema.items, item, [...path, i]));
  });
  if (schema['x-kubernetes-list-type'] === 'set') issues.push(...validateUnique(value, path));
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

function validateString(schema: Rule & { readonly expects?: string }, value: string, path: Path): Issue[] {
  const wrong = validateEnum(schema, value, path);
  if (wrong.length > 0) return wrong;
  // Lengths count code points, as the API server counts.
  const length = schema.minLength === undefined && schema.maxLength === undefined ? 0 : [...value].length;
  if (schema.minLength !== undefined && length < schema.minLength) {
    return [bad(path, schema.minLength === 1 ? 'must not be empty' : `is shorter than ${schema.minLength} characters`)];
  }
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    return [bad(path, `is ${length} characters long; at most ${schema.maxLength} are allowed`, 'too-long')];
  }
  if (schema.pattern !== undefined && !matches(schema.pattern, schema.custom === true, value)) {
    return [bad(path, `${show(value)} does not fit: expected ${schema.expects ?? `a match of ${schema.pattern}`}`)];
  }
  if (schema.custom && schema.format !== undefined && !fitsFormat(schema.format, value)) {
    return [bad(path, `${show(value)} does not fit: expected the format ${schema.format}`)];
  }
  return [];
}

const regexes = new Map<string, { test(text: string): boolean }>();

function matches(pattern: string, custom: boolean, value: string): boolean {
  const key = `${custom}${pattern}`;
  let r = regexes.get(key);
  if (r === undefined) {
    r = custom ? RE2JS.compile(pattern) : new RegExp(pattern);
    // Patterns of definitions that are gone are not kept for ever.
    if (regexes.size > 10_000) regexes.clear();
    regexes.set(key, r);
  }
  return r.test(value);
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

function range({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Rule): string {
  if (exclusiveMinimum || exclusiveMaximum) {
    const low = minimum === undefined ? '' : `more than ${exclusiveMinimum ? '' : 'or equal to '}${minimum}`;
    const high = maximum === undefined ? '' : `less than ${exclusiveMaximum ? '' : 'or equal to '}${maximum}`;
    return [low, high].filter((t) => t !== '').join(' and ');
  }
  if (minimum === undefined) return `at most ${maximum}`;
  return maximum === undefined ? `at least ${minimum}` : `${minimum} to ${maximum}`;
}
