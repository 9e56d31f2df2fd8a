/** The text of one file of manifests to objects, each with its places in the text. What their fields mean the API server says. Pure. */
import { type Document, LineCounter, parseAllDocuments } from 'yaml';
import { describeError } from '../../core/errors.ts';
import { type Issue, isObject } from '../schema/validate.ts';
import type { NewObject } from '../types.ts';
import { goYaml } from './go-yaml.ts';
import { placeOf } from './place.ts';
import type { Problem } from './problem.ts';

export interface ManifestObject {
  readonly file: string;
  readonly object: NewObject;
  /** As a problem of the field, `spec.containers[0].name`; of the whole object when it is undefined. `at`: its name, or what it holds. */
  problemAt(field: string | undefined, message: string, at?: Issue['at']): Problem;
}

export interface Documents {
  readonly objects: readonly ManifestObject[];
  readonly problems: readonly Problem[];
  /** Something in it cannot be read, so it may still mean each object that came from this file before. */
  readonly isWhole: boolean;
}

/** `kind: List` holds objects too. */
export function parseDocuments(file: string, text: string): Documents {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    ...goYaml,
  });
  const objects: ManifestObject[] = [];
  const problems: Problem[] = [];
  for (const document of Array.isArray(documents) ? documents : []) {
    const read = readDocument(document, lines);
    if (read.kind === 'bad') {
      problems.push({ file, ...read.place, message: `not valid YAML: ${read.reason}` });
      continue;
    }
    // An empty document, as between two `---` lines, is no object.
    if (read.value === null || read.value === undefined) continue;
    for (const { value, path } of membersOf(read.value)) {
      const at = (field: readonly (string | number)[], which: Issue['at'] = 'value') =>
        placeOf(document, [...path, ...field], lines, which);
      const wrong = mistakeOf(value);
      if (wrong !== undefined) {
        problems.push({ file, ...at(parseFieldPath(wrong.field)), field: wrong.field, message: wrong.message });
        continue;
      }
      const object = value as NewObject;
      const title = titleOf(object);
      objects.push({
        file,
        object,
        problemAt: (field, message, which) => ({
          file,
          ...at(field === undefined ? [] : parseFieldPath(field), which),
          object: title,
          ...(field === undefined ? {} : { field }),
          message,
        }),
      });
    }
  }
  return { objects, problems, isWhole: problems.length === 0 };
}

/** `Pod shop/web`. */
export function titleOf({ kind, metadata: { namespace, name } }: NewObject): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

/** The same for the same object, whatever version of its kind a manifest names. */
export function idOf({ apiVersion, kind, metadata: { namespace = '', name } }: NewObject): string {
  return `${apiVersion.includes('/') ? apiVersion.split('/')[0] : ''}/${kind}/${namespace}/${name}`;
}

/** The inverse of common/kube/schema's formatPath, and tolerant: it only finds a place in a text. */
export function parseFieldPath(field: string): readonly (string | number)[] {
  const parts = field.matchAll(/\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\[([^\]]*)\]|([^.[\]]+)/g);
  return [...parts].map(([, index, quoted, key, name]) =>
    index === undefined ? (quoted ?? key ?? name ?? '') : Number(index),
  );
}

type Read =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'bad'; readonly reason: string; readonly place: { line?: number; column?: number } };

function readDocument(document: Document.Parsed, lines: LineCounter): Read {
  const syntax = document.errors[0];
  if (syntax !== undefined) {
    const { line, col } = lines.linePos(syntax.pos[0]);
    return { kind: 'bad', reason: syntax.message, place: { line, column: col } };
  }
  try {
    return { kind: 'value', value: document.toJS({ maxAliasCount: 100 }) };
  } catch (e) {
    // Unresolved aliases, and aliases that would expand without bound.
    return { kind: 'bad', reason: describeError(e), place: placeOf(document, [], lines, 'value') };
  }
}

interface Member {
  readonly value: unknown;
  readonly path: readonly (string | number)[];
}

function membersOf(value: unknown): readonly Member[] {
  if (isObject(value) && value['kind'] === 'List' && value['apiVersion'] === 'v1' && Array.isArray(value['items']))
    return value['items'].map((item: unknown, i) => ({ value: item, path: ['items', i] }));
  return [{ value, path: [] }];
}

function mistakeOf(value: unknown): { readonly field: string; readonly message: string } | undefined {
  if (!isObject(value))
    return { field: 'kind', message: 'a document must be an object with apiVersion, kind and metadata' };
  for (const field of ['apiVersion', 'kind'] as const) {
    if (typeof value[field] !== 'string' || value[field] === '') return { field, message: 'a text is required' };
  }
  const metadata = value['metadata'];
  if (!isObject(metadata) || typeof metadata['name'] !== 'string' || metadata['name'] === '')
    return { field: 'metadata.name', message: 'a fixed name is required' };
  const { namespace } = metadata;
  if (namespace !== undefined && typeof namespace !== 'string')
    return { field: 'metadata.namespace', message: 'a text is required' };
  return undefined;
}
