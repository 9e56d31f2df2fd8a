/** Shapes as schemas: what an object may hold, how patches and appliers merge it, and what is filled in. */
import type { ArraySchema, ObjectSchema, Schema } from '../../../common/kube/schema/types.ts';
import { describeField } from './descriptions.ts';
import type { Field, Message, Scalar, ShapeType } from './notation.ts';

/**
 * `status`: what controllers report is stored as it comes, so that nothing in it is required, filled in or limited to
 * known words.
 */
type Use = 'spec' | 'status';

const schemas: Readonly<Record<Use, WeakMap<Message, ObjectSchema>>> = { spec: new WeakMap(), status: new WeakMap() };

/** Of a whole object: its member `status` is a status. */
export function schemaOfKind(kind: Message): ObjectSchema {
  const schema = schemaOf(kind, 'spec');
  const status = kind.fields.find((f) => f.name === 'status');
  if (status === undefined) return schema;
  return { ...schema, properties: { ...schema.properties, status: memberOf(kind, status, 'status') } };
}

function schemaOf(message: Message, use: Use): ObjectSchema {
  const known = schemas[use].get(message);
  if (known !== undefined) return known;
  const fields = flatten(message);
  const required = use === 'status' ? [] : fields.filter(([, f]) => f.required).map(([, f]) => f.name);
  const schema: ObjectSchema = {
    type: 'object',
    properties: Object.fromEntries(fields.map(([owner, f]) => [f.name, memberOf(owner, f, use)])),
    ...(required.length === 0 ? {} : { required }),
    ...(message.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
  };
  schemas[use].set(message, schema);
  return schema;
}

/** With the fields of inlined messages, each with the message that it is written in. */
function flatten(message: Message): readonly (readonly [Message, Field])[] {
  return message.fields.flatMap((f) =>
    f.name === '' && f.type.kind === 'message' ? flatten(f.type.message) : [[message, f] as const],
  );
}

function memberOf(owner: Message, field: Field, use: Use): Schema {
  const schema = typeSchema(field.type, field, use);
  const description = describeField(owner.name, field.name);
  return {
    ...schema,
    ...(description === undefined ? {} : { description }),
    ...(use === 'spec' && field.default !== undefined ? { default: field.default } : {}),
    ...(field.words.has('retainKeys') && field.type.kind === 'message'
      ? { 'x-kubernetes-patch-strategy': 'retainKeys' }
      : {}),
  };
}

function typeSchema(type: ShapeType, field: Field, use: Use): Schema {
  switch (type.kind) {
    case 'scalar':
      return type.values === undefined || use === 'status'
        ? scalarSchemas[type.scalar]
        : { type: 'string', enum: type.values };
    case 'message':
      return schemaOf(type.message, use);
    case 'either':
      return scalarSchemas.json;
    case 'map':
      return {
        type: 'object',
        additionalProperties: itemSchema(type.of, use),
        ...(field.words.has('atomic') ? ({ 'x-kubernetes-map-type': 'atomic' } as const) : {}),
      };
    case 'list':
      return { type: 'array', items: itemSchema(type.of, use), ...listRules(field, use) };
  }
}

function itemSchema(type: ShapeType, use: Use): Schema {
  return typeSchema(type, { number: 0, name: '', type, pointer: false, required: false, words: new Set() }, use);
}

function listRules({ keys, mergeKey, words }: Field, use: Use): Omit<ArraySchema, 'type' | 'items'> {
  const merges = mergeKey !== undefined || words.has('merge');
  const strategy = [...(merges ? ['merge'] : []), ...(words.has('retainKeys') ? ['retainKeys'] : [])].join(',');
  return {
    ...(keys === undefined ? {} : { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys }),
    ...(words.has('set') ? { 'x-kubernetes-list-type': 'set' } : {}),
    ...(mergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': mergeKey }),
    ...(strategy === '' ? {} : { 'x-kubernetes-patch-strategy': strategy }),
    ...(use === 'status' ? { mayRepeat: true } : {}),
  };
}

const scalarSchemas: Readonly<Record<Scalar, Schema>> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  int: { type: 'integer' },
  double: { type: 'number', format: 'double' },
  bytes: { type: 'string', format: 'byte', pattern: '^[A-Za-z0-9+/\\s]*={0,2}\\s*$', expects: 'base64' },
  time: time(),
  microtime: time(),
  quantity: {
    type: 'string',
    pattern: '^[+-]?(\\d+(\\.\\d*)?|\\.\\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\\d+)?$',
    expects: 'a quantity such as 500m, 1.5 or 2Gi',
  },
  intstr: { 'x-kubernetes-int-or-string': true },
  json: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  strings: { type: 'array', items: { type: 'string' } },
};

function time(): Schema {
  return {
    type: 'string',
    format: 'date-time',
    pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?(Z|[+-]\\d{2}:\\d{2})$',
    expects: 'a time such as 2026-01-31T12:00:00Z',
  };
}

/**
 * `own` narrows `shape`: its rules hold, and what it leaves open (or does not name) is the shape's. What is required is
 * said by `own` wherever it names fields.
 */
export function refine(shape: Schema, own: Schema): Schema {
  if (shape.type === 'object' && own.type === 'object') return refineObject(shape, own);
  if (shape.type === 'array' && own.type === 'array') {
    return { ...shape, ...own, items: refine(shape.items, own.items) };
  }
  // An object that `own` leaves open may be anything in the shape.
  if (own.type === 'object' || shape.type !== own.type) {
    return { ...shape, ...(own.default === undefined ? {} : { default: own.default }) } as Schema;
  }
  return { ...shape, ...own } as Schema;
}

function refineObject(shape: ObjectSchema, own: ObjectSchema): ObjectSchema {
  const { 'x-kubernetes-preserve-unknown-fields': _open, required, ...rest } = own;
  if (shape['x-kubernetes-preserve-unknown-fields']) return { ...shape, ...own };
  const named = own.properties ?? {};
  const properties: Record<string, Schema> = { ...shape.properties };
  for (const [name, schema] of Object.entries(named)) {
    const of = Object.hasOwn(properties, name) ? properties[name] : undefined;
    properties[name] = of === undefined ? schema : refine(of, schema);
  }
  const needed = Object.keys(named).length > 0 ? required : shape.required;
  const { required: _required, ...others } = shape;
  return {
    ...others,
    ...rest,
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
    ...(needed === undefined ? {} : { required: needed }),
    ...(shape.additionalProperties === undefined || own.additionalProperties === undefined
      ? {}
      : { additionalProperties: refine(shape.additionalProperties, own.additionalProperties) }),
  };
}
