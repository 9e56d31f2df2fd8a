/**
 * Schemas of Kubernetes objects as data: the structural subset of OpenAPI v3 that CustomResourceDefinitions carry, under the
 * names they use there, so that the same table is later printed as CRDs. Builders keep the table readable.
 */
import type { Kind } from '../types.ts';

/** What a value must be besides its structure, as CustomResourceDefinitions write it within `anyOf` and its kin. */
export interface Rule {
  /** Only where a rule stands alone: structure has its own. */
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  /** The bound itself does not fit. */
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly items?: Rule;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Rule>>;
  readonly additionalProperties?: Rule;
  readonly allOf?: readonly Rule[];
  readonly anyOf?: readonly Rule[];
  readonly oneOf?: readonly Rule[];
  readonly not?: Rule;
  readonly custom?: true;
}

/** An entry of `x-kubernetes-validations`. */
export interface CelRule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired' | 'FieldValueDuplicate';
  readonly fieldPath?: string;
  readonly optionalOldSelf?: boolean;
}

interface Common {
  readonly description?: string;
  readonly title?: string;
  /**
   * From a CustomResourceDefinition: null is a mistake where it is not allowed, rather than nothing; formats are checked; patterns
   * are strangers' and matched in linear time (RE2).
   */
  readonly custom?: true;
  readonly allOf?: readonly Rule[];
  readonly anyOf?: readonly Rule[];
  readonly oneOf?: readonly Rule[];
  readonly not?: Rule;
  /** Checked by the API server, with CEL; not by `validate`. */
  readonly 'x-kubernetes-validations'?: readonly CelRule[];
  /** null is a value; elsewhere null means absent, as in the API server. */
  readonly nullable?: true;
  /** What the API server fills in where the field is absent. */
  readonly default?: unknown;
  /** Of a list of objects: strategic merge patches match its items by this field. */
  readonly 'x-kubernetes-patch-merge-key'?: string;
  /** Comma-separated: `merge`, `replace`, `retainKeys`. Absent: lists are replaced, objects merged. */
  readonly 'x-kubernetes-patch-strategy'?: string;
}

export interface ObjectSchema extends Common {
  readonly type: 'object';
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  /** Map: every key not in `properties` has this schema. */
  readonly additionalProperties?: Schema;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly enum?: readonly unknown[];
  /** It is a whole Kubernetes object; apiVersion, kind and metadata are among the properties. */
  readonly 'x-kubernetes-embedded-resource'?: true;
  /** Who applies one field of it owns all of it. */
  readonly 'x-kubernetes-map-type'?: 'atomic' | 'granular';
  /** Keys not in `properties` are kept unchecked. */
  readonly 'x-kubernetes-preserve-unknown-fields'?: true;
  /** At most one of each group of properties is set (`oneof` of api-fields.txt). */
  readonly atMostOneOf?: readonly (readonly string[])[];
}

export interface ArraySchema extends Common {
  readonly type: 'array';
  readonly items: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly enum?: readonly unknown[];
  /** Who applies an item owns the item alone (`set`, `map`), or the whole list; `map` where there are keys, else `atomic`. */
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  /** The values of these fields together are unique in the list. */
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  /** Items with the same keys are merged as one, but a list that repeats them is no mistake. */
  readonly mayRepeat?: true;
}

export interface StringSchema extends Common {
  readonly type: 'string';
  /** `date-time`, `byte` and the like: for clients to read; checked where the schema is custom. */
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  /** Says in words what `pattern` wants; used in messages. */
  readonly expects?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
}

export interface NumberSchema extends Common {
  readonly type: 'integer' | 'number';
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  /** The bound itself does not fit. */
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
}

export interface BooleanSchema extends Common {
  readonly type: 'boolean';
  readonly enum?: readonly unknown[];
}

export interface IntOrStringSchema extends Common {
  readonly type?: never;
  readonly enum?: readonly unknown[];
  readonly 'x-kubernetes-int-or-string': true;
  readonly 'x-kubernetes-preserve-unknown-fields'?: never;
}

/** Any value at all. */
export interface AnySchema extends Common {
  readonly type?: never;
  readonly enum?: readonly unknown[];
  readonly 'x-kubernetes-int-or-string'?: never;
  readonly 'x-kubernetes-preserve-unknown-fields': true;
}

export type Schema =
  | ObjectSchema
  | ArraySchema
  | StringSchema
  | NumberSchema
  | BooleanSchema
  | IntOrStringSchema
  | AnySchema;

/** One kind of the table. */
export interface KindEntry {
  readonly kind: Kind;
  /** Versions that manifests may name, all with the same fields; objects are served as `kind.version`. */
  readonly versions: readonly string[];
  /** Rule for metadata.name. */
  readonly nameRule: NameRule;
  /** Everything beside apiVersion, kind and metadata. */
  readonly fields: ObjectSchema;
}

/** RFC 1123 subdomain, RFC 1123 label, RFC 1035 label (begins with a letter), or whatever can be a part of a path. */
export type NameRule = 'subdomain' | 'label' | 'service' | 'path';

type Properties = Readonly<Record<string, Schema>>;

export const string = (rest: Omit<StringSchema, 'type'> = {}): StringSchema => ({ type: 'string', ...rest });
export const oneOf = (...values: readonly string[]): StringSchema => ({ type: 'string', enum: values });
export const integer = (minimum?: number, maximum?: number): NumberSchema => ({
  type: 'integer',
  ...(minimum === undefined ? {} : { minimum }),
  ...(maximum === undefined ? {} : { maximum }),
});
export const boolean: BooleanSchema = { type: 'boolean' };
export const intOrString: IntOrStringSchema = { 'x-kubernetes-int-or-string': true };
/** 1 to 65,535. */
export const port = integer(1, 65_535);
export const list = (items: Schema, rest: Omit<ArraySchema, 'type' | 'items'> = {}): ArraySchema => ({
  type: 'array',
  items,
  ...rest,
});
/** A list that strategic merge patches and appliers merge by `key`; items are told apart by `keys`, by default the same. */
export const mergeList = (items: Schema, key: string, keys: readonly string[] = [key]): ArraySchema => ({
  type: 'array',
  items,
  'x-kubernetes-patch-merge-key': key,
  'x-kubernetes-patch-strategy': 'merge',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': keys,
});
/** As `mergeList`; a list that repeats keys is no mistake. */
export const looseMergeList = (items: Schema, key: string, keys?: readonly string[]): ArraySchema => ({
  ...mergeList(items, key, keys),
  mayRepeat: true,
});
/** `schema`, filled in with `value` where it is absent. */
export const withDefault = <S extends Schema>(schema: S, value: unknown): S => ({ ...schema, default: value });
export const map = (values: Schema, rest: Omit<ObjectSchema, 'type'> = {}): ObjectSchema => ({
  type: 'object',
  additionalProperties: values,
  ...rest,
});
/** Names that end in `!` are required: `{ 'name!': string() }`. */
export function object(properties: Properties, rest: Omit<ObjectSchema, 'type' | 'properties'> = {}): ObjectSchema {
  const required = Object.keys(properties)
    .filter((k) => k.endsWith('!'))
    .map((k) => k.slice(0, -1));
  return {
    type: 'object',
    properties: Object.fromEntries(Object.entries(properties).map(([k, v]) => [k.replace(/!$/, ''), v])),
    ...(required.length > 0 ? { required } : {}),
    ...rest,
  };
}
/** An object whose fields are kept unchecked. */
export const open: ObjectSchema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
