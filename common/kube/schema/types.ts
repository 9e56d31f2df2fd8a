/**
 * Schemas of Kubernetes objects as data: the structural subset of OpenAPI v3 that CustomResourceDefinitions carry, under the
 * names they use there, so that the same table is later printed as CRDs. Builders keep the table readable.
 */
import type { Kind } from '../types.ts';

interface Common {
  readonly description?: string;
  /** null is a value; elsewhere null means absent, as in the API server. */
  readonly nullable?: true;
}

export interface ObjectSchema extends Common {
  readonly type: 'object';
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  /** Map: every key not in `properties` has this schema. */
  readonly additionalProperties?: Schema;
  readonly maxProperties?: number;
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
  /** The values of these fields together are unique in the list. */
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
}

export interface StringSchema extends Common {
  readonly type: 'string';
  readonly enum?: readonly string[];
  readonly pattern?: string;
  /** Says in words what `pattern` wants; used in messages. */
  readonly expects?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
}

export interface NumberSchema extends Common {
  readonly type: 'integer' | 'number';
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface BooleanSchema extends Common {
  readonly type: 'boolean';
}

export interface IntOrStringSchema extends Common {
  readonly type?: never;
  readonly 'x-kubernetes-int-or-string': true;
}

export type Schema = ObjectSchema | ArraySchema | StringSchema | NumberSchema | BooleanSchema | IntOrStringSchema;

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

/** RFC 1123 subdomain, RFC 1123 label, or RFC 1035 label (begins with a letter). */
export type NameRule = 'subdomain' | 'label' | 'service';

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
