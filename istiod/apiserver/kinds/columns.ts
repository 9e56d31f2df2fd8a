/** Builders of columns, and what several kinds show. */
import type { ApiObject } from '../objects.ts';
import type { Column } from '../resources/resource.ts';

type Value = string | number | boolean | null;

export const text = (name: string, description: string, value: (o: ApiObject) => Value): Column => ({
  name,
  type: 'string',
  description,
  priority: 0,
  value,
});

export const number = (name: string, description: string, value: (o: ApiObject) => Value): Column => ({
  name,
  type: 'integer',
  description,
  priority: 0,
  value,
});

/** With `-o wide` only. */
export const wide = (column: Column): Column => ({ ...column, priority: 1 });

export const age: Column = {
  name: 'Age',
  type: 'date',
  description: 'Time since the object was made',
  priority: 0,
  value: (o) => o.metadata.creationTimestamp ?? null,
};

/** The value at a path of names; undefined where something on the way is absent. */
export function at(object: unknown, ...path: readonly string[]): unknown {
  let value = object;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

export function textAt(object: unknown, ...path: readonly string[]): string {
  const value = at(object, ...path);
  return value === undefined || value === null ? '' : String(value);
}

export function numberAt(object: unknown, ...path: readonly string[]): number {
  const value = at(object, ...path);
  return typeof value === 'number' ? value : 0;
}

export function listAt(object: unknown, ...path: readonly string[]): readonly unknown[] {
  const value = at(object, ...path);
  return Array.isArray(value) ? value : [];
}

/** `<none>` as kubectl shows what is empty. */
export function orNone(value: string): string {
  return value === '' ? '<none>' : value;
}
