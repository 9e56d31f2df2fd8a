/** Field selectors: `metadata.name=a,status.phase!=Running`. Only equality, and only fields that the resource offers. */
import { fromJson } from '../objects.ts';
import type { Stored } from '../storage/types.ts';
import { SelectorError } from './labels.ts';

export interface FieldRequirement {
  readonly path: string;
  readonly value: string;
  readonly equal: boolean;
}

const requirementLimit = 1000;

/** Commas, `=` and backslashes in values are escaped by a backslash. SelectorError. */
export function parseFieldSelector(text: string): readonly FieldRequirement[] {
  const terms = splitUnescaped(text).filter((t) => t !== '');
  if (terms.length > requirementLimit) throw new SelectorError(`more than ${requirementLimit} requirements`);
  return terms.map((term) => {
    const m = /^([^=!]+?)(==|!=|=)(.*)$/s.exec(term);
    if (m === null) throw new SelectorError(`${JSON.stringify(term)} is no field=value`);
    return { path: m[1]!.trim(), equal: m[2] !== '!=', value: m[3]!.replace(/\\(.)/gs, '$1') };
  });
}

const read = new WeakMap<Stored, Map<string, string>>();

/** A field that is absent is empty. */
export function matchesFields(requirements: readonly FieldRequirement[], object: Stored): boolean {
  return requirements.every((r) => (fieldOf(object, r.path) === r.value) === r.equal);
}

function fieldOf(object: Stored, path: string): string {
  if (path === 'metadata.name') return object.key.name;
  if (path === 'metadata.namespace') return object.key.namespace;
  let fields = read.get(object);
  if (fields === undefined) {
    fields = new Map();
    read.set(object, fields);
  }
  let value = fields.get(path);
  if (value === undefined) {
    value = textAt(fromJson(object.json), path.split('.'));
    fields.set(path, value);
  }
  return value;
}

function textAt(object: unknown, path: readonly string[]): string {
  let value = object;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return '';
    value = (value as Record<string, unknown>)[name];
  }
  return value === null || typeof value === 'object' ? '' : String(value);
}

/** `namespace` and `name` when the requirements allow one object only. */
export function onlyName(requirements: readonly FieldRequirement[]): string | undefined {
  return requirements.find((r) => r.equal && r.path === 'metadata.name')?.value;
}

function splitUnescaped(text: string): string[] {
  const terms: string[] = [];
  let term = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '\\') term += c + (text[++i] ?? '');
    else if (c === ',') {
      terms.push(term);
      term = '';
    } else term += c;
  }
  return [...terms, term];
}
