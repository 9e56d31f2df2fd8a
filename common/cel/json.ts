/** JSON without a schema as values: whole numbers are ints. */
import type { MapKey, Value } from './values.ts';

export function jsonValue(json: unknown): Value {
  if (typeof json === 'number') return Number.isSafeInteger(json) ? BigInt(json) : json;
  if (Array.isArray(json)) return json.map(jsonValue);
  if (typeof json === 'object' && json !== null) {
    return new Map<MapKey, Value>(Object.entries(json).map(([key, value]) => [key, jsonValue(value)]));
  }
  return typeof json === 'string' || typeof json === 'boolean' ? json : null;
}
