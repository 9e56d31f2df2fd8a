/**
 * Reads a YAML document into typed values, strictly: a key that is not known, one that is missing and a value of another shape
 * are mistakes with line and field. All mistakes of a document are told together.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { MeshError } from '../../common/core/errors.ts';

/** A value in the document. */
export interface Place {
  readonly node: Node | null;
  /** `workloads[0].protocol`. */
  readonly path: string;
  readonly page: Page;
}

interface Page {
  readonly document: Document;
  readonly lines: LineCounter;
  readonly name: string;
  readonly mistakes: string[];
}

/** Throws what `wrong` makes. */
export type Reader<T> = (place: Place) => T;

export interface Field<T> {
  readonly read: Reader<T>;
  /** Undefined: the field must be there. */
  readonly otherwise: (() => T) | undefined;
}

class Mistake extends Error {}

/** Told already; only ends the value around it. */
class Told extends Error {}

/** MeshError CONFIG with every mistake, one a line. `name` is the file's, or of where the text is from. */
export function readYaml<T>(text: string, name: string, read: Reader<T>): T {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const page: Page = { document, lines, name, mistakes: [] };
  for (const error of document.errors) {
    page.mistakes.push(`${name}:${lines.linePos(error.pos[0]).line}: ${error.message.split('\n')[0]}`);
  }
  let value: T | undefined;
  if (page.mistakes.length === 0) value = attempt({ node: document.contents, path: '', page }, read);
  if (page.mistakes.length > 0) throw new MeshError('CONFIG', page.mistakes.join('\n'));
  return value!;
}

export function required<T>(read: Reader<T>): Field<T> {
  return { read, otherwise: undefined };
}

export function optional<T>(read: Reader<T>, otherwise: T): Field<T> {
  return { read, otherwise: () => otherwise };
}

type Shape = Readonly<Record<string, Field<unknown>>>;
type Values<S extends Shape> = { readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never };

export function record<S extends Shape>(shape: S): Reader<Values<S>> {
  const known = Object.keys(shape).join(', ');
  return (place) => {
    const given = new Map<string, Place>();
    const before = place.page.mistakes.length;
    for (const [key, value] of entries(place)) {
      if (key in shape) given.set(key, value);
      else tell(value, `there is no such field; known are ${known}`);
    }
    const values: Record<string, unknown> = {};
    for (const [key, { read, otherwise }] of Object.entries(shape)) {
      const value = given.get(key);
      if (value && !isNull(value)) values[key] = attempt(value, read);
      else if (otherwise) values[key] = otherwise();
      else tell(place, `field ${key} is missing`);
    }
    if (place.page.mistakes.length > before) throw new Told();
    return values as Values<S>;
  };
}

export function list<T>(read: Reader<T>): Reader<readonly T[]> {
  return (place) => {
    const node = place.node;
    if (!isSeq(node)) throw wrong(place, 'a list');
    const before = place.page.mistakes.length;
    const values = node.items.map((item, i) =>
      attempt(resolve({ ...place, node: item as Node | null, path: `${place.path}[${i}]` }), read),
    );
    if (place.page.mistakes.length > before) throw new Told();
    return values as T[];
  };
}

/** Keys are given to `read` as text. */
export function mapping<T>(read: (key: string, value: Place) => T): Reader<readonly T[]> {
  return (place) => {
    const before = place.page.mistakes.length;
    const values = entries(place).map(([key, value]) => attempt(value, () => read(key, value)));
    if (place.page.mistakes.length > before) throw new Told();
    return values as T[];
  };
}

export const text: Reader<string> = (place) => {
  const value = scalar(place);
  if (typeof value !== 'string') throw wrong(place, 'text');
  return value;
};

export const boolean: Reader<boolean> = (place) => {
  const value = scalar(place);
  if (typeof value !== 'boolean') throw wrong(place, 'true or false');
  return value;
};

export function integer(min: number, max: number): Reader<number> {
  return (place) => {
    const value = scalar(place);
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw wrong(place, `a whole number from ${min} to ${max}`);
  };
}

/** The value that stands for the word. */
export function word<T>(words: Readonly<Record<string, T>>): Reader<T> {
  return (place) => {
    const value = scalar(place);
    if (typeof value === 'string' && Object.hasOwn(words, value)) return words[value]!;
    throw wrong(place, `one of ${Object.keys(words).join(', ')}`);
  };
}

/** Text that `parse` takes. */
export function parsed<T>(parse: (text: string) => T | undefined, expected: string): Reader<T> {
  return (place) => {
    const value = scalar(place);
    const result = typeof value === 'string' ? parse(value) : undefined;
    if (result === undefined) throw wrong(place, expected);
    return result;
  };
}

/** `!Name` before the value, without the mark; undefined where there is none. */
export function tagOf({ node }: Place): string | undefined {
  const tag = node?.tag;
  return tag !== undefined && /^![A-Za-z]/.test(tag) ? tag.slice(1) : undefined;
}

export function isEmptyList({ node }: Place): boolean {
  return isSeq(node) && node.items.length === 0;
}

/** To be thrown by a reader. */
export function wrong(place: Place, expected: string): Error {
  const shown = JSON.stringify(place.node?.toJSON() ?? null);
  return new Mistake(`${shown.length > 80 ? `${shown.slice(0, 77)}...` : shown}: expected ${expected}`);
}

function attempt<T>(place: Place, read: Reader<T>): T | undefined {
  try {
    return read(place);
  } catch (e) {
    if (e instanceof Mistake) tell(place, e.message);
    else if (!(e instanceof Told)) throw e;
    return undefined;
  }
}

function tell({ node, path, page }: Place, what: string): void {
  const line = node?.range ? page.lines.linePos(node.range[0]).line : 1;
  page.mistakes.push(`${page.name}:${line}: ${path === '' ? '' : `${path}: `}${what}`);
}

function entries(place: Place): readonly (readonly [key: string, value: Place])[] {
  const { node, path, page } = place;
  if (isNull(place)) return [];
  if (!isMap(node)) throw wrong(place, 'a mapping');
  return node.items.map(({ key, value }) => {
    const name = isScalar(key) ? String(key.value) : '';
    const at = path === '' ? name : `${path}.${name}`;
    // A key without a value has no node of its own.
    const line = (value ?? key) as Node;
    return [name, resolve({ node: line === key ? null : line, path: at, page })];
  });
}

function resolve(place: Place): Place {
  const { node, page } = place;
  return isAlias(node) ? { ...place, node: node.resolve(page.document) ?? null } : place;
}

function isNull({ node }: Place): boolean {
  return node === null || (isScalar(node) && node.value === null);
}

function scalar({ node }: Place): unknown {
  return isScalar(node) ? node.value : undefined;
}
