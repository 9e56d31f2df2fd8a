/**
 * `openAPIV3Schema` of a CustomResourceDefinition to a Schema, with everything that is wrong with it as causes: it has to be
 * structural (each node has a type), and says nothing that the API server could not keep.
 */
import { RE2JS } from 're2js';
import { describeError } from '../../../common/core/errors.ts';
import { metadata } from '../../../common/kube/schema/meta.ts';
import type { CelRule, ObjectSchema, Rule, Schema } from '../../../common/kube/schema/types.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { Cause, CauseType } from '../status.ts';

export interface Structural {
  /** Also where there are causes: as much of it as could be read. */
  readonly schema: Schema;
  readonly causes: readonly Cause[];
}

type Json = Readonly<Record<string, unknown>>;
/** Adds a cause at a field below the node that is read. */
type Complain = (field: string, message: string, reason?: CauseType) => void;

/** How a keyword's value has to look. */
type Shape = 'text' | 'number' | 'count' | 'flag' | 'texts' | 'list' | 'any';

const common: Readonly<Record<string, Shape>> = { description: 'text', title: 'text', nullable: 'flag', enum: 'list' };
const stringWords: Readonly<Record<string, Shape>> = {
  format: 'text',
  pattern: 'text',
  minLength: 'count',
  maxLength: 'count',
};
const numberWords: Readonly<Record<string, Shape>> = {
  format: 'text',
  minimum: 'number',
  maximum: 'number',
  exclusiveMinimum: 'flag',
  exclusiveMaximum: 'flag',
  multipleOf: 'number',
};
const arrayWords: Readonly<Record<string, Shape>> = { minItems: 'count', maxItems: 'count' };
const objectWords: Readonly<Record<string, Shape>> = {
  minProperties: 'count',
  maxProperties: 'count',
  required: 'texts',
};
const ruleWords = { ...stringWords, ...numberWords, ...arrayWords, ...objectWords, enum: 'list' } as const;

/** Keywords of JSON schema that no CustomResourceDefinition may have. */
const forbidden = ['$ref', 'definitions', 'dependencies', 'additionalItems', 'patternProperties', 'id', '$schema'];
const depthLimit = 64;

/** The schema of a version: the whole object. */
export function readRootSchema(value: unknown, field: string, namespaced: boolean): Structural {
  const { schema, causes } = readSchema(value, field);
  const all = [...causes];
  if (schema.type !== 'object') {
    all.push({ reason: 'FieldValueInvalid', field: `${field}.type`, message: 'must be object at the root' });
    return { schema: { type: 'object', custom: true }, causes: all };
  }
  if (schema.nullable)
    all.push({
      reason: 'FieldValueForbidden',
      field: `${field}.nullable`,
      message: 'nullable cannot be true at the root',
    });
  const { properties = {} } = schema;
  return {
    schema: {
      ...schema,
      properties: { ...properties, ...header(properties, namespaced) },
      required: [...(schema.required ?? []), 'metadata'],
    },
    causes: all,
  };
}

function header(properties: Readonly<Record<string, Schema>>, namespaced: boolean): Record<string, Schema> {
  const own = metadata('subdomain', namespaced);
  const restricted = properties['metadata'];
  const { name, generateName } = (restricted?.type === 'object' ? restricted.properties : undefined) ?? {};
  return {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    // What the definition says of the name holds besides the rules of all names.
    metadata: {
      ...own,
      properties: {
        ...own.properties,
        ...(name === undefined ? {} : { name: { ...own.properties!['name']!, allOf: [name as Rule] } as Schema }),
        ...(generateName === undefined ? {} : { generateName }),
      },
    },
  };
}

export function readSchema(value: unknown, field: string): Structural {
  const causes: Cause[] = [];
  return { schema: node(value, field, causes, 0), causes };
}

function complainer(field: string, causes: Cause[]): Complain {
  return (name, message, reason = 'FieldValueInvalid') =>
    causes.push({ reason, field: name === '' ? field : `${field}.${name}`, message });
}

function node(value: unknown, field: string, causes: Cause[], depth: number): Schema {
  const bad = complainer(field, causes);
  if (!isObject(value)) {
    bad('', 'must be a schema', 'FieldValueRequired');
    return { 'x-kubernetes-preserve-unknown-fields': true };
  }
  if (depth > depthLimit) {
    bad('', `nests deeper than ${depthLimit} levels`);
    return { 'x-kubernetes-preserve-unknown-fields': true };
  }
  for (const word of forbidden) if (value[word] !== undefined) bad(word, 'is not allowed', 'FieldValueForbidden');
  if (value['uniqueItems'] === true) {
    bad('uniqueItems', 'cannot be true; say x-kubernetes-list-type: set', 'FieldValueForbidden');
  }
  const rest = {
    custom: true as const,
    ...words(value, common, bad),
    ...(value['default'] === undefined ? {} : { default: value['default'] }),
    ...combined(value, field, causes, depth),
    ...celRules(value, field, causes),
  };
  const intOrString = flag(value, 'x-kubernetes-int-or-string', bad);
  const preserve = flag(value, 'x-kubernetes-preserve-unknown-fields', bad);
  const { type } = value;
  if (intOrString) {
    if (type !== undefined)
      bad('type', 'must be empty where x-kubernetes-int-or-string is true', 'FieldValueForbidden');
    return { ...rest, ...alternativeTypes(value, rest), 'x-kubernetes-int-or-string': true } as Schema;
  }
  switch (type) {
    case 'string':
      return { ...rest, ...words(value, stringWords, bad), type } as Schema;
    case 'integer':
    case 'number':
      return { ...rest, ...words(value, numberWords, bad), type } as Schema;
    case 'boolean':
      return { ...rest, type } as Schema;
    case 'array':
      return { ...rest, ...arrayNode(value, field, causes, depth), type } as Schema;
    case 'object':
      return { ...rest, ...objectNode(value, preserve, field, causes, depth), type } as Schema;
    case undefined:
    case '':
      if (preserve && value['properties'] === undefined && value['items'] === undefined) {
        return { ...rest, 'x-kubernetes-preserve-unknown-fields': true };
      }
      bad('type', 'must not be empty for specified object fields', 'FieldValueRequired');
      return { 'x-kubernetes-preserve-unknown-fields': true };
    default:
      bad(
        'type',
        `${JSON.stringify(type)} is not one of array, boolean, integer, number, object, string`,
        'FieldValueNotSupported',
      );
      return { 'x-kubernetes-preserve-unknown-fields': true };
  }
}

function arrayNode(value: Json, field: string, causes: Cause[], depth: number): object {
  const bad = complainer(field, causes);
  const items = node(value['items'], `${field}.items`, causes, depth + 1);
  const [type, keys] = [value['x-kubernetes-list-type'], value['x-kubernetes-list-map-keys']];
  if (type !== undefined && !['atomic', 'set', 'map'].includes(type as string)) {
    bad('x-kubernetes-list-type', `${JSON.stringify(type)} is not one of atomic, set, map`, 'FieldValueNotSupported');
  }
  if (type === 'map') {
    if (!Array.isArray(keys) || keys.length === 0) {
      bad('x-kubernetes-list-map-keys', 'must name the keys of a list of type map', 'FieldValueRequired');
    } else if (items.type !== 'object') bad('items.type', 'must be object in a list of type map');
    else for (const key of keys) checkKey(items, String(key), bad);
  } else if (keys !== undefined) {
    bad('x-kubernetes-list-map-keys', 'is for lists of type map', 'FieldValueForbidden');
  }
  const whole =
    items.type === 'object'
      ? items['x-kubernetes-map-type'] === 'atomic'
      : items.type !== 'array' || items['x-kubernetes-list-type'] === 'atomic';
  if (type === 'set' && !whole) bad('items', 'of a list of type set must be scalars or atomic');
  if (type === 'set' && items.nullable)
    bad('items.nullable', 'cannot be true in a list of type set', 'FieldValueForbidden');
  return {
    ...words(value, arrayWords, bad),
    items,
    ...(type === undefined ? {} : { 'x-kubernetes-list-type': type }),
    ...(type === 'map' && Array.isArray(keys) ? { 'x-kubernetes-list-map-keys': keys.map(String) } : {}),
  };
}

/** A key has to be there to tell items apart: required, or filled in. */
function checkKey(items: ObjectSchema, key: string, bad: Complain): void {
  const property = items.properties?.[key];
  if (property === undefined) bad('x-kubernetes-list-map-keys', `the items have no property ${JSON.stringify(key)}`);
  else if (property.type === 'object' || property.type === 'array') {
    bad('x-kubernetes-list-map-keys', `the property ${JSON.stringify(key)} of the items is no scalar`);
  } else if (property.default === undefined && !items.required?.includes(key)) {
    bad(
      `items.properties[${key}].default`,
      'this property is a key of the list, so it has to have a default or be required',
      'FieldValueRequired',
    );
  }
}

function objectNode(value: Json, preserve: boolean, field: string, causes: Cause[], depth: number): object {
  const bad = complainer(field, causes);
  const { properties, additionalProperties } = value;
  const mapType = value['x-kubernetes-map-type'];
  if (mapType !== undefined && mapType !== 'atomic' && mapType !== 'granular') {
    bad('x-kubernetes-map-type', `${JSON.stringify(mapType)} is not one of atomic, granular`, 'FieldValueNotSupported');
  }
  if (properties !== undefined && !isObject(properties))
    bad('properties', 'must be an object', 'FieldValueTypeInvalid');
  const members = Object.fromEntries(
    Object.entries(isObject(properties) ? properties : {}).map(([name, member]) => [
      name,
      node(member, `${field}.properties[${name}]`, causes, depth + 1),
    ]),
  );
  const embedded = flag(value, 'x-kubernetes-embedded-resource', bad);
  const own = embeddedHeader(embedded);
  // `true` allows what preserving does.
  const any = additionalProperties === true;
  if (additionalProperties === false)
    bad('additionalProperties', 'cannot be false; fields that are not declared are pruned', 'FieldValueForbidden');
  const values = isObject(additionalProperties)
    ? node(additionalProperties, `${field}.additionalProperties`, causes, depth + 1)
    : undefined;
  if (values !== undefined && Object.keys(members).length > 0) {
    bad('additionalProperties', 'and properties exclude each other', 'FieldValueForbidden');
  }
  const required = words(value, objectWords, bad);
  return {
    ...required,
    ...(Object.keys(members).length > 0 || embedded ? { properties: { ...members, ...own } } : {}),
    ...(embedded ? { required: [...((required['required'] ?? []) as string[]), 'apiVersion', 'kind'] } : {}),
    ...(values === undefined ? {} : { additionalProperties: values }),
    ...(preserve || any ? { 'x-kubernetes-preserve-unknown-fields': true } : {}),
    ...(embedded ? { 'x-kubernetes-embedded-resource': true } : {}),
    ...(mapType === undefined ? {} : { 'x-kubernetes-map-type': mapType }),
  };
}

function embeddedHeader(embedded: boolean): Record<string, Schema> {
  if (!embedded) return {};
  const { required: _required, ...own } = metadata('subdomain', true);
  return { apiVersion: { type: 'string', minLength: 1 }, kind: { type: 'string', minLength: 1 }, metadata: own };
}

/** allOf and its kin hold rules, not structure. */
function combined(
  value: Json,
  field: string,
  causes: Cause[],
  depth: number,
): Pick<Rule, 'allOf' | 'anyOf' | 'oneOf' | 'not'> {
  const result: Record<string, unknown> = {};
  const int = value['x-kubernetes-int-or-string'] === true;
  for (const word of ['allOf', 'anyOf', 'oneOf'] as const) {
    const rules = value[word];
    if (rules === undefined) continue;
    if (!Array.isArray(rules)) complainer(field, causes)(word, 'must be a list of schemas', 'FieldValueTypeInvalid');
    else result[word] = rules.map((r, i) => rule(r, `${field}.${word}[${i}]`, causes, depth + 1, int));
  }
  if (value['not'] !== undefined) result['not'] = rule(value['not'], `${field}.not`, causes, depth + 1, false);
  return result;
}

/** `typed`: below x-kubernetes-int-or-string, where the alternatives may name the types. */
function rule(value: unknown, field: string, causes: Cause[], depth: number, typed: boolean): Rule {
  const bad = complainer(field, causes);
  if (!isObject(value) || depth > depthLimit) {
    bad('', 'must be a schema');
    return {};
  }
  for (const word of [
    'default',
    'nullable',
    'description',
    'title',
    'x-kubernetes-preserve-unknown-fields',
    'x-kubernetes-embedded-resource',
    'x-kubernetes-int-or-string',
    'x-kubernetes-validations',
    ...(typed ? [] : ['type']),
    ...forbidden,
  ]) {
    const set = value[word] !== undefined && value[word] !== '' && value[word] !== false;
    if (set) bad(word, 'must not be set within allOf, anyOf, oneOf and not, to be structural', 'FieldValueForbidden');
  }
  const { properties, additionalProperties, items } = value;
  return {
    custom: true,
    ...words(value, ruleWords, bad),
    ...(typed && typeof value['type'] === 'string' ? { type: value['type'] } : {}),
    ...(value['uniqueItems'] === true ? { uniqueItems: true } : {}),
    ...(isObject(items) ? { items: rule(items, `${field}.items`, causes, depth + 1, false) } : {}),
    ...(isObject(additionalProperties)
      ? { additionalProperties: rule(additionalProperties, `${field}.additionalProperties`, causes, depth + 1, false) }
      : {}),
    ...(isObject(properties)
      ? {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, member]) => [
              name,
              rule(member, `${field}.properties[${name}]`, causes, depth + 1, false),
            ]),
          ),
        }
      : {}),
    ...combined({ ...value, 'x-kubernetes-int-or-string': typed }, field, causes, depth),
  };
}

/** A pattern or bound beside x-kubernetes-int-or-string holds for values of its type; so it becomes a rule. */
function alternativeTypes(value: Json, { allOf = [] }: { readonly allOf?: readonly Rule[] }): object {
  const named = Object.keys(ruleWords).filter((w) => w !== 'enum' && value[w] !== undefined);
  if (named.length === 0) return {};
  return { allOf: [...allOf, { custom: true, ...Object.fromEntries(named.map((w) => [w, value[w]])) }] };
}

const reasons = ['FieldValueInvalid', 'FieldValueForbidden', 'FieldValueRequired', 'FieldValueDuplicate'];

function celRules(value: Json, field: string, causes: Cause[]): object {
  const word = 'x-kubernetes-validations';
  const rules = value[word];
  if (rules === undefined) return {};
  const bad = complainer(field, causes);
  if (!Array.isArray(rules)) {
    bad(word, 'must be a list of rules', 'FieldValueTypeInvalid');
    return {};
  }
  const read = rules.flatMap((r, i): CelRule[] => {
    const at = `${word}[${i}]`;
    if (!isObject(r) || typeof r['rule'] !== 'string' || r['rule'].trim() === '') {
      bad(`${at}.rule`, 'must not be empty', 'FieldValueRequired');
      return [];
    }
    const texts = words(
      r,
      {
        rule: 'text',
        message: 'text',
        messageExpression: 'text',
        reason: 'text',
        fieldPath: 'text',
        optionalOldSelf: 'flag',
      },
      (name, message, reason) => bad(`${at}.${name}`, message, reason),
    );
    if (texts['reason'] !== undefined && !reasons.includes(texts['reason'] as string)) {
      bad(
        `${at}.reason`,
        `${JSON.stringify(texts['reason'])} is not one of ${reasons.join(', ')}`,
        'FieldValueNotSupported',
      );
    }
    if (/[\r\n]/.test((texts['message'] as string | undefined) ?? ''))
      bad(`${at}.message`, 'must not contain line breaks');
    return [texts as unknown as CelRule];
  });
  return { [word]: read };
}

function words(value: Json, shapes: Readonly<Record<string, Shape>>, bad: Complain): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [word, shape] of Object.entries(shapes)) {
    const found = value[word];
    if (found === undefined || found === null) continue;
    if (!fits(found, shape)) {
      bad(word, `${JSON.stringify(found)} is not what this keyword takes (${shape})`, 'FieldValueTypeInvalid');
    } else if (word === 'pattern') {
      try {
        checkPattern(found as string);
        result[word] = found;
      } catch (e) {
        bad(word, `${JSON.stringify(found)} is no regular expression: ${describeError(e)}`);
      }
    } else if (shape !== 'flag' || found === true) result[word] = found;
  }
  return result;
}

/** Patterns are few and repeat a lot. */
const patterns = new Set<string>();

/** RE2JSSyntaxException. */
function checkPattern(pattern: string): void {
  if (patterns.has(pattern)) return;
  RE2JS.compile(pattern);
  if (patterns.size > 1000) patterns.clear();
  patterns.add(pattern);
}

function fits(value: unknown, shape: Shape): boolean {
  switch (shape) {
    case 'text':
      return typeof value === 'string';
    case 'number':
      return typeof value === 'number';
    case 'count':
      return Number.isInteger(value) && (value as number) >= 0;
    case 'flag':
      return typeof value === 'boolean';
    case 'texts':
      return Array.isArray(value) && value.every((v) => typeof v === 'string');
    case 'list':
      return Array.isArray(value) && value.length > 0;
    case 'any':
      return true;
  }
}

function flag(value: Json, word: string, bad: Complain): boolean {
  const found = value[word];
  if (found !== undefined && typeof found !== 'boolean') bad(word, 'must be true or false', 'FieldValueTypeInvalid');
  // Fields are kept or not, so that `false` says nothing that could be meant.
  if (found === false && word === 'x-kubernetes-preserve-unknown-fields')
    bad(word, 'must be true or undefined', 'FieldValueForbidden');
  return found === true;
}
