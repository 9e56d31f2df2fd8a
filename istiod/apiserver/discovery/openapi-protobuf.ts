/**
 * OpenAPI version 2 as the protobuf message that programs in Go ask for: `openapi.v2.Document` of gnostic-models, by its field
 * numbers. Values of any type stand in it as YAML text, of which JSON is a part. Pure.
 */
import protobuf from 'protobufjs/minimal.js';
import { wireTypes } from '../codec/protobuf/wire.ts';

/** The form's name as answers bear it. */
export const openApiProtobufType = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** Whether a client accepts that form. Older names of it have an `@`, with which they are no media types. */
export function acceptsOpenApiProtobuf(accept: string): boolean {
  return /application\/com\.github\.proto-openapi\.spec\.v2[.@]v1\.0\+protobuf/.test(accept);
}

type Json = Readonly<Record<string, unknown>>;
type Writer = protobuf.Writer;

const { varint, fixed64, delimited } = wireTypes;

/** Of a document as `openApiV2` makes it. */
export function encodeOpenApiV2(document: object): Buffer {
  const { swagger, info, paths, definitions } = document as Record<'swagger' | 'info' | 'paths' | 'definitions', Json>;
  const writer = protobuf.Writer.create();
  text(writer, 1, swagger);
  message(writer, 2, () => {
    text(writer, 1, info['title']);
    text(writer, 2, info['version']);
  });
  message(writer, 8, () => named(writer, 2, paths, (item) => writePath(writer, item)));
  message(writer, 9, () => named(writer, 1, definitions, (schema) => writeSchema(writer, schema)));
  return Buffer.from(writer.finish());
}

const methods = { get: 2, put: 3, post: 4, delete: 5, patch: 7 } as const;

function writePath(writer: Writer, item: Json): void {
  for (const [method, number] of Object.entries(methods)) {
    if (item[method] !== undefined) message(writer, number, () => writeOperation(writer, item[method] as Json));
  }
}

function writeOperation(writer: Writer, operation: Json): void {
  for (const parameter of operation['parameters'] as readonly Json[]) {
    // ParametersItem, Parameter, NonBodyParameter and its query form, one in the other.
    nested(writer, [8, 1, 2, 3], () => {
      text(writer, 2, parameter['in']);
      text(writer, 4, parameter['name']);
      text(writer, 6, parameter['type']);
      flag(writer, 20, parameter['uniqueItems']);
    });
  }
  message(writer, 9, () =>
    named(writer, 1, operation['responses'] as Json, (response) =>
      message(writer, 1, () => {
        text(writer, 1, response['description']);
        nested(writer, [2, 1], () => writeSchema(writer, response['schema'] as Json));
      }),
    ),
  );
  extensions(writer, 13, operation);
}

const schemaTexts = { $ref: 1, format: 2, title: 3, description: 4, pattern: 13 } as const;
const schemaDoubles = { multipleOf: 6, maximum: 7, minimum: 9 } as const;
const schemaFlags = { exclusiveMaximum: 8, exclusiveMinimum: 10, uniqueItems: 16 } as const;
const schemaCounts = { maxLength: 11, minLength: 12, maxItems: 14, minItems: 15, maxProperties: 17, minProperties: 18 };

function writeSchema(writer: Writer, schema: Json): void {
  for (const [name, number] of Object.entries(schemaTexts)) text(writer, number, schema[name]);
  for (const [name, number] of Object.entries(schemaDoubles)) {
    if (typeof schema[name] === 'number') writer.uint32((number << 3) + fixed64).double(schema[name]);
  }
  for (const [name, number] of Object.entries(schemaFlags)) flag(writer, number, schema[name]);
  for (const [name, number] of Object.entries(schemaCounts)) {
    if (typeof schema[name] === 'number') writer.uint32((number << 3) + varint).int64(schema[name]);
  }
  if (schema['default'] !== undefined) message(writer, 5, () => anyValue(writer, schema['default']));
  for (const name of (schema['required'] ?? []) as readonly string[]) text(writer, 19, name);
  for (const value of (schema['enum'] ?? []) as readonly unknown[]) message(writer, 20, () => anyValue(writer, value));
  const { additionalProperties, items, properties } = schema as Record<string, Json | undefined>;
  if (additionalProperties !== undefined) nested(writer, [21, 1], () => writeSchema(writer, additionalProperties));
  if (schema['type'] !== undefined) message(writer, 22, () => text(writer, 1, schema['type']));
  if (items !== undefined) nested(writer, [23, 1], () => writeSchema(writer, items));
  if (properties !== undefined) {
    message(writer, 25, () => named(writer, 1, properties, (property) => writeSchema(writer, property)));
  }
  extensions(writer, 31, schema);
}

/** Maps are lists of pairs: name 1, value 2. */
function named(writer: Writer, number: number, map: Json, write: (value: Json) => void): void {
  for (const [name, value] of Object.entries(map)) {
    message(writer, number, () => {
      text(writer, 1, name);
      message(writer, 2, () => write(value as Json));
    });
  }
}

function extensions(writer: Writer, number: number, of: Json): void {
  for (const [name, value] of Object.entries(of)) {
    if (!name.startsWith('x-') || value === undefined) continue;
    message(writer, number, () => {
      text(writer, 1, name);
      message(writer, 2, () => anyValue(writer, value));
    });
  }
}

function anyValue(writer: Writer, value: unknown): void {
  text(writer, 2, JSON.stringify(value));
}

function nested(writer: Writer, [number, ...inner]: readonly number[], write: () => void): void {
  if (number === undefined) write();
  else message(writer, number, () => nested(writer, inner, write));
}

function message(writer: Writer, number: number, write: () => void): void {
  writer.uint32((number << 3) + delimited).fork();
  write();
  writer.ldelim();
}

function text(writer: Writer, number: number, value: unknown): void {
  if (value !== undefined) writer.uint32((number << 3) + delimited).string(String(value));
}

function flag(writer: Writer, number: number, value: unknown): void {
  if (value === true) writer.uint32((number << 3) + varint).bool(true);
}
