/** The text of one manifest file to checked objects and problems, each with its place in the file. Pure. */
import { type Document, LineCounter, parseAllDocuments } from 'yaml';
import { describeError } from '../../core/errors.ts';
import { placeOf } from '../manifests/place.ts';
import type { Problem } from '../manifests/problem.ts';
import { kindName } from '../names.ts';
import { checkObject } from '../schema/check-object.ts';
import type { KindEntry } from '../schema/types.ts';
import { formatPath, type Issue, isObject } from '../schema/validate.ts';

export interface Manifest {
  readonly entry: KindEntry;
  /** `default` is filled in for namespaced kinds without a namespace. */
  readonly namespace: string | undefined;
  readonly name: string;
  /** Without null members, and without the fields of metadata that only a server sets. */
  readonly object: Readonly<Record<string, unknown>>;
  readonly file: string;
  readonly line: number;
}

export interface ParsedFile {
  readonly manifests: readonly Manifest[];
  readonly problems: readonly Problem[];
  /** `objectId`s of bad documents that say which object they are. */
  readonly badObjects: ReadonlySet<string>;
  /** A document is bad and does not say which object it is, so any object of this file may be meant. */
  readonly hasUnknownBad: boolean;
}

/** `authorizationpolicies.security.istio.io/shop/deny-all`; `_` stands for no namespace. */
export function objectId(entry: KindEntry, namespace: string | undefined, name: string): string {
  return `${kindName(entry.kind)}/${entry.kind.namespaced ? (namespace ?? 'default') : '_'}/${name}`;
}

const serverFields = ['uid', 'resourceVersion', 'generation', 'creationTimestamp', 'managedFields', 'selfLink'];

export function parseManifests(file: string, text: string): ParsedFile {
  const manifests: Manifest[] = [];
  const problems: Problem[] = [];
  const badObjects = new Set<string>();
  let hasUnknownBad = false;
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, merge: true });
  for (const document of Array.isArray(documents) ? documents : []) {
    const syntax = document.errors[0];
    if (syntax !== undefined) {
      const { line, col } = lines.linePos(syntax.pos[0]);
      problems.push({ file, line, column: col, message: `not valid YAML: ${syntax.message}` });
      hasUnknownBad = true;
      continue;
    }
    const read = toValue(document);
    if (read.kind === 'failed') {
      problems.push({ file, ...placeOf(document, [], lines, 'value'), message: `not valid YAML: ${read.reason}` });
      hasUnknownBad = true;
      continue;
    }
    // An empty document, as between two `---` lines, is no object.
    if (read.value === null || read.value === undefined) continue;
    const checked = checkObject(read.value);
    const issues = checked.kind === 'valid' ? scopeIssues(checked.entry, checked.object) : checked.issues;
    const described = describeObject(read.value);
    for (const issue of issues) {
      problems.push({
        file,
        ...placeOf(document, issue.path, lines, issue.at),
        ...(described === undefined ? {} : { object: described }),
        ...(issue.path.length === 0 ? {} : { field: formatPath(issue.path) }),
        message: issue.message,
      });
    }
    if (checked.kind === 'invalid' || issues.length > 0) {
      const id = identify(checked.entry, read.value);
      if (id === undefined) hasUnknownBad = true;
      else badObjects.add(id);
      continue;
    }
    const metadata = { ...(checked.object['metadata'] as Record<string, unknown>) };
    for (const field of serverFields) delete metadata[field];
    if (checked.entry.kind.namespaced) metadata['namespace'] ??= 'default';
    manifests.push({
      entry: checked.entry,
      namespace: metadata['namespace'] as string | undefined,
      name: metadata['name'] as string,
      object: { ...checked.object, metadata },
      file,
      line: placeOf(document, [], lines, 'value').line ?? 1,
    });
  }
  return { manifests, problems, badObjects, hasUnknownBad };
}

/** What the schema table cannot say: programs set a name, never a prefix for one. */
function scopeIssues(_entry: KindEntry, object: Record<string, unknown>): readonly Issue[] {
  const metadata = object['metadata'] as Record<string, unknown>;
  if (metadata['generateName'] === undefined) return [];
  return [
    {
      path: ['metadata', 'generateName'],
      at: 'key',
      reason: 'invalid',
      message: 'a manifest in a folder needs a fixed name',
    },
  ];
}

type Read = { readonly kind: 'value'; readonly value: unknown } | { readonly kind: 'failed'; readonly reason: string };

function toValue(document: Document.Parsed): Read {
  try {
    return { kind: 'value', value: document.toJS({ maxAliasCount: 100 }) };
  } catch (e) {
    // Unresolved aliases, and aliases that would expand without bound.
    return { kind: 'failed', reason: describeError(e) };
  }
}

function identify(entry: KindEntry | undefined, value: unknown): string | undefined {
  if (entry === undefined || !isObject(value) || !isObject(value['metadata'])) return undefined;
  const { name, namespace } = value['metadata'];
  if (typeof name !== 'string') return undefined;
  return objectId(entry, typeof namespace === 'string' ? namespace : undefined, name);
}

function describeObject(value: unknown): string | undefined {
  if (!isObject(value) || !isObject(value['metadata'])) return undefined;
  const { name, namespace } = value['metadata'];
  if (typeof value['kind'] !== 'string' || typeof name !== 'string') return undefined;
  return `${value['kind']} ${typeof namespace === 'string' ? `${namespace}/` : ''}${name}`;
}
