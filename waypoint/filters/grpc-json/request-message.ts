/** A request's message, of the JSON of its body and what its path and query say. */
import protobuf from 'protobufjs';
import protojson from 'protobufjs/ext/protojson.js';
import { fit, parseJson } from './json-text.ts';
import type { Way } from './methods.ts';

/** A text for a field. */
export interface FieldBinding {
  readonly fields: readonly protobuf.Field[];
  readonly value: string;
}

type Plain = Record<string, unknown>;

/** `body`: empty: none. What the body says holds before a binding. Throws Error with what is wrong. */
export function requestMessage(
  { method, body: field }: Way,
  body: string,
  bindings: readonly FieldBinding[],
  rejectsCollisions: boolean,
): Buffer {
  const message = bodyMessage(method.input, field, body.trim() === '' ? {} : parseJson(body));
  const bound = new Set<string>();
  for (const binding of bindings) {
    const path = binding.fields.map(({ name }) => name).join('.');
    bind(message, binding, bound.has(path), rejectsCollisions);
    bound.add(path);
  }
  return Buffer.from(method.input.encode(message).finish());
}

function bodyMessage(type: protobuf.Type, field: Way['body'], json: unknown): Plain {
  const whole =
    field === undefined || field === 'all'
      ? json
      : field.reduceRight((value: unknown, { name }) => Object.fromEntries([[name, value]]), json);
  return protojson.fromJson(type, fit(type, whole)) as unknown as Plain;
}

/** `again`: of several for a field the last one holds. */
function bind(message: Plain, { fields, value }: FieldBinding, again: boolean, rejectsCollisions: boolean): void {
  const leaf = fields.at(-1)!;
  let at = message;
  for (const { name } of fields.slice(0, -1)) {
    at[name] ??= {};
    at = at[name] as Plain;
  }
  const json = jsonOf(leaf, value);
  const read = protojson.fromJson(leaf.parent as protobuf.Type, { [leaf.name]: leaf.repeated ? [json] : json });
  const made = (read as unknown as Plain)[leaf.name];
  const before = Object.hasOwn(at, leaf.name) ? at[leaf.name] : undefined;
  if (leaf.repeated) at[leaf.name] = [...((before as unknown[] | undefined) ?? []), ...((made as unknown[]) ?? [])];
  else if (before === undefined || again) at[leaf.name] = made;
  else if (rejectsCollisions && String(before) !== String(made))
    throw new Error(`the value ${value} of ${leaf.name} is not the one in the body`);
}

/** A text as JSON of the field's type. */
function jsonOf(field: protobuf.Field, text: string): unknown {
  const { resolvedType, type } = field.resolve();
  if (field.map) throw new Error(`${field.name} is a map, which no text stands for`);
  if (resolvedType instanceof protobuf.Enum) return /^-?\d+$/.test(text) ? Number(text) : text;
  if (resolvedType) {
    const value = wrappers.has(resolvedType.fullName) ? resolvedType.fields['value'] : undefined;
    return value ? jsonOf(value, text) : text;
  }
  if (type !== 'bool') return text;
  if (text !== 'true' && text !== 'false') throw new Error(`${text} of ${field.name} is neither true nor false`);
  return text === 'true';
}

const wrappers: ReadonlySet<string> = new Set(
  ['Double', 'Float', 'Int64', 'UInt64', 'Int32', 'UInt32', 'Bool', 'String', 'Bytes'].map(
    (name) => `.google.protobuf.${name}Value`,
  ),
);
