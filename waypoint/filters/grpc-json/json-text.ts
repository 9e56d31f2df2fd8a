/** JSON as text to what proto3's JSON has of it for a type: fields that the type has not are dropped, as Envoy drops them. */
import protobuf from 'protobufjs';

/** Levels of objects and arrays; as Envoy's parser has. */
const maxDepth = 100;

/** An integer that a double would not hold. */
class Exact {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Parse = (
  text: string,
  reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown;

/** Throws Error: it is no JSON, or too deep. */
export function parseJson(text: string): unknown {
  if (isDeep(text)) throw new Error(`JSON is deeper than ${maxDepth} levels`);
  return (JSON.parse as Parse)(text, (_key, value, { source }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source)
      ? new Exact(source)
      : value,
  );
}

function isDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  // A pattern would look at the rest anew from each quote of a string without end.
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (inString && char === '\\') at++;
    else if (char === '"') inString = !inString;
    else if (inString) continue;
    else if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') depth--;
    if (depth > maxDepth) return true;
  }
  return false;
}

/** What `parseJson` made, as the type has it. */
export function fit(type: protobuf.Type, json: unknown): unknown {
  if (type.fullName.startsWith('.google.protobuf.')) return inexact(json);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json;
  const fields = Object.entries(json).flatMap(([key, value]) => {
    const field = type.fieldsArray.find((one) => one.jsonName === key || one.protoName === key);
    return field ? [[key, fitField(field.resolve(), value)] as const] : [];
  });
  return Object.fromEntries(fields);
}

function fitField(field: protobuf.Field, json: unknown): unknown {
  const one = (value: unknown) => {
    if (field.resolvedType instanceof protobuf.Type) return fit(field.resolvedType, value);
    return value instanceof Exact ? value.text : value;
  };
  if (json === null) return null;
  if (field.map && typeof json === 'object')
    return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, one(value)]));
  // One value stands for a list of it.
  if (field.repeated) return Array.isArray(json) ? json.map(one) : [one(json)];
  return one(json);
}

/** Of types that are JSON themselves. */
function inexact(json: unknown): unknown {
  if (json instanceof Exact) return Number(json.text);
  if (Array.isArray(json)) return json.map(inexact);
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, inexact(value)]));
}
