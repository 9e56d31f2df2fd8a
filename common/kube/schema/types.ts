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

/** A kind that API servers learn of by a CustomResourceDefinition; istiod/crds prints it. */
export interface CustomKind extends KindEntry {
  readonly description: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** Which of `versions` is stored. */
  readonly storage: string;
  /** Versions that are served with a warning. */
  readonly deprecated: readonly string[];
  readonly columns: readonly Column[];
  /** Of the whole definition. */
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Versions whose fields differ. */
  readonly fieldsOf?: Readonly<Record<string, ObjectSchema>>;
}

/** What `kubectl get` shows of a kind. */
export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  /** `.spec.host`: from the object. */
  readonly jsonPath: string;
  readonly description?: string;
  /** Above 0: with `-o wide` only. */
  readonly priority?: number;
}

/** RFC 1123 subdomain, RFC 1123 label, RFC 1035 label (begins with a letter), or whatever can be a part of a path. */
export type NameRule = 'subdomain' | 'label' | 'service' | 'path';

/** Carries, for the type checker alone, what values of the schema are. */
declare const fitting: unique symbol;
export interface Typed<T> {
  readonly [fitting]?: T;
}

/** The type of the values that fit a schema made by the builders below. */
export type TypeOf<S> = S extends Typed<infer T> ? T : unknown;

type Properties = Readonly<Record<string, Schema>>;
type Mapped<T> = { readonly [K in keyof T]: T[K] };
type ObjectOf<P extends Properties> = Mapped<
  { readonly [K in keyof P as K extends `${infer Name}!` ? Name : never]: TypeOf<P[K]> } & {
    readonly [K in keyof P as K extends `${string}!` ? never : K]?: TypeOf<P[K]>;
  }
>;

type StringOf = StringSchema & Typed<string>;
type NumberOf = NumberSchema & Typed<number>;
type ListOf<S> = ArraySchema & Typed<readonly TypeOf<S>[]>;

export const string = (rest: Omit<StringSchema, 'type'> = {}): StringOf => ({ type: 'string', ...rest });
export const oneOf = <const V extends readonly string[]>(...values: V): StringSchema & Typed<V[number]> => ({
  type: 'string',
  enum: values,
});
export const integer = (minimum?: number, maximum?: number): NumberOf => ({
  type: 'integer',
  ...(minimum === undefined ? {} : { minimum }),
  ...(maximum === undefined ? {} : { maximum }),
});
/** A number with a fraction. */
export const double = (minimum?: number, maximum?: number): NumberOf => ({
  ...integer(minimum, maximum),
  type: 'number',
  format: 'double',
});
export const boolean: BooleanSchema & Typed<boolean> = { type: 'boolean' };
export const intOrString: IntOrStringSchema & Typed<number | string> = { 'x-kubernetes-int-or-string': true };
/** 1 to 65,535. */
export const port = integer(1, 65_535);
/** Signed, of 32 bits. */
export const int32: NumberOf = { ...integer(), format: 'int32' };
export const list = <S extends Schema>(items: S, rest: Omit<ArraySchema, 'type' | 'items'> = {}): ListOf<S> => ({
  type: 'array',
  items,
  ...rest,
});
/** A list that strategic merge patches and appliers merge by `key`; items are told apart by `keys`, by default the same. */
export const mergeList = <S extends Schema>(items: S, key: string, keys: readonly string[] = [key]): ListOf<S> => ({
  type: 'array',
  items,
  'x-kubernetes-patch-merge-key': key,
  'x-kubernetes-patch-strategy': 'merge',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': keys,
});
/** As `mergeList`; a list that repeats keys is no mistake. */
export const looseMergeList = <S extends Schema>(items: S, key: string, keys?: readonly string[]): ListOf<S> => ({
  ...mergeList(items, key, keys),
  mayRepeat: true,
});
/** `schema`, filled in with `value` where it is absent. */
export const withDefault = <S extends Schema>(schema: S, value: unknown): S => ({ ...schema, default: value });
/** `schema` with words for `kubectl explain` and for editors. */
export const about = <S extends Schema>(description: string, schema: S): S => ({ ...schema, description });
/** `schema`, of whose values the CEL expression `rule` holds too; `message` says what is expected. */
export const where = <S extends Schema>(
  schema: S,
  rule: string,
  message: string,
  rest: Omit<CelRule, 'rule' | 'message'> = {},
): S => ({
  ...schema,
  'x-kubernetes-validations': [...(schema['x-kubernetes-validations'] ?? []), { rule, message, ...rest }],
});
/** null is a value of its own. */
export const orNull = <S extends NumberSchema | BooleanSchema>(schema: S) =>
  ({ ...schema, nullable: true }) as Omit<S, typeof fitting> & Typed<TypeOf<S> | null>;
export const map = <S extends Schema>(
  values: S,
  rest: Omit<ObjectSchema, 'type'> = {},
): ObjectSchema & Typed<Readonly<Record<string, TypeOf<S>>>> => ({
  type: 'object',
  additionalProperties: values,
  ...rest,
});
/** Names that end in `!` are required: `{ 'name!': string() }`. */
export function object<const P extends Properties>(
  properties: P,
  rest: Omit<ObjectSchema, 'type' | 'properties'> = {},
): ObjectSchema & Typed<ObjectOf<P>> {
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
export const open: ObjectSchema & Typed<Readonly<Record<string, unknown>>> = {
  type: 'object',
  'x-kubernetes-preserve-unknown-fields': true,
};
