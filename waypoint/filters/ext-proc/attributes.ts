/** Attributes as a service is told them: in JSON, as Envoy makes it of CEL's values. */
import type { JsonValue } from '../../../common/api/struct.ts';
import { textOf } from '../../../common/cel/standard.ts';
import { Uint, type Value } from '../../../common/cel/values.ts';

export function toldValue(value: Value): JsonValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string')
    return value;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint) return Number(value.value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(toldValue);
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, inner]) => [String(key), toldValue(inner as Value)]));
  return textOf(value as Value);
}
