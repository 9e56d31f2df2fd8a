/** Quantities within objects in the form in which Kubernetes stores them. */
import { canonicalQuantity } from '../../../common/kube/canonical-quantity.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { Message, ShapeType } from './notation.ts';

interface QuantityField {
  /** Empty: the message's fields are those of the object around it. */
  readonly name: string;
  readonly type: ShapeType;
}

/** The fields that are quantities or hold some. */
const withQuantities = new WeakMap<Message, readonly QuantityField[]>();

function quantityFields(message: Message): readonly QuantityField[] {
  let fields = withQuantities.get(message);
  if (fields === undefined) {
    fields = message.fields.filter((f) => typeHolds(f.type)).map(({ name, type }) => ({ name, type }));
    withQuantities.set(message, fields);
  }
  return fields;
}

function typeHolds(type: ShapeType): boolean {
  if (type.kind === 'scalar') return type.scalar === 'quantity';
  // Schemas of schemas: they hold none, and no end of themselves.
  if (type.kind === 'either') return false;
  return type.kind === 'message' ? quantityFields(type.message).length > 0 : typeHolds(type.of);
}

/** Changes `object` in place. Numbers become text. */
export function canonicalizeQuantities(message: Message, object: Record<string, unknown>): void {
  for (const { name, type } of quantityFields(message)) {
    if (name === '' && type.kind === 'message') canonicalizeQuantities(type.message, object);
    else if (Object.hasOwn(object, name)) object[name] = canonical(type, object[name]);
  }
}

/** Of a type that holds some. */
function canonical(type: ShapeType, value: unknown): unknown {
  if (type.kind === 'scalar')
    return typeof value === 'string' || typeof value === 'number' ? canonicalQuantity(String(value)) : value;
  if (type.kind === 'either') return value;
  if (type.kind === 'list') return Array.isArray(value) ? value.map((v) => canonical(type.of, v)) : value;
  if (!isObject(value)) return value;
  if (type.kind === 'message') canonicalizeQuantities(type.message, value);
  else for (const [key, member] of Object.entries(value)) value[key] = canonical(type.of, member);
  return value;
}
