/** Strict reading of JSON: what is not exactly of a shape throws, and the message names the field. */
import { MeshError } from '../../common/core/errors.ts';

/** Reads a value that lies at `path`. MeshError PROTOCOL. */
export type Shape<T> = (value: unknown, path: string) => T;

function wrong(path: string, expected: string): never {
  throw new MeshError('PROTOCOL', `${path} is not ${expected}`);
}

/** A text that `parse` understands and that is written no other way. */
export function text<T>(what: string, parse: (value: string) => T | undefined, format: (value: T) => string): Shape<T> {
  return (value, path) => {
    const parsed = typeof value === 'string' ? parse(value) : undefined;
    return parsed !== undefined && format(parsed) === value ? parsed : wrong(path, what);
  };
}

/** At most `most` UTF-16 units. */
export function words(most: number): Shape<string> {
  return (value, path) =>
    typeof value === 'string' && value.length <= most ? value : wrong(path, `a text of at most ${most} characters`);
}

export function oneOf<const T extends string>(...values: readonly T[]): Shape<T> {
  return (value, path) => values.find((v) => v === value) ?? wrong(path, `one of ${values.join(', ')}`);
}

export const truth: Shape<boolean> = (value, path) =>
  typeof value === 'boolean' ? value : wrong(path, 'true or false');

/** A whole number, 0 to `most`. */
export function count(most: number = Number.MAX_SAFE_INTEGER): Shape<number> {
  return (value, path) =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most
      ? (value as number)
      : wrong(path, `a whole number from 0 to ${most}`);
}

/** Finite, 0 or more. */
export const duration: Shape<number> = (value, path) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : wrong(path, 'a number of 0 or more');

/** Bytes as base64. */
export const bytes: Shape<Uint8Array> = text(
  'base64',
  (value) => Uint8Array.from(Buffer.from(value, 'base64')),
  (value) => Buffer.from(value).toString('base64'),
);

export function list<T>(of: Shape<T>, most: number): Shape<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value) || value.length > most) wrong(path, `a list of at most ${most}`);
    return (value as unknown[]).map((item, i) => of(item, `${path}[${i}]`));
  };
}

/** A field that may be absent. */
export function maybe<T>(of: Shape<T>): Shape<T | undefined> {
  return (value, path) => (value === undefined ? undefined : of(value, path));
}

/** With exactly these fields; those that are absent stay so. */
export function object<T extends object>(fields: { readonly [K in keyof T]-?: Shape<T[K]> }): Shape<T> {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) wrong(path, 'an object');
    const read: Partial<Record<string, unknown>> = {};
    for (const name of Object.keys(value as object)) {
      if (!Object.hasOwn(fields, name)) wrong(`${path}.${name}`, 'a field that this version knows');
    }
    for (const name of Object.keys(fields)) {
      const field = fields[name as keyof T]((value as Record<string, unknown>)[name], `${path}.${name}`);
      if (field !== undefined) read[name] = field;
    }
    return read as T;
  };
}
