/** A whole object against the table: apiVersion and kind, metadata, and the kind's own fields. */

import { apiVersionOf } from '../names.ts';
import { applyDefaults } from './defaults.ts';
import { metadata } from './meta.ts';
import { didYouMean } from './nearest.ts';
import { findKind, kindTable } from './table.ts';
import type { CustomKind, KindEntry, ObjectSchema } from './types.ts';
import { type Issue, isObject, validate } from './validate.ts';
import { withoutNulls } from './without-nulls.ts';

export type CheckedObject =
  | { readonly kind: 'valid'; readonly entry: KindEntry; readonly object: Record<string, unknown> }
  | { readonly kind: 'invalid'; readonly entry: KindEntry | undefined; readonly issues: readonly Issue[] };

/** Valid objects come back without null members and with the apiVersion under which the kind is served. */
export function checkObject(value: unknown): CheckedObject {
  if (!isObject(value)) {
    return invalid(undefined, [
      { path: [], at: 'value', reason: 'type', message: 'expected an object with apiVersion, kind and metadata' },
    ]);
  }
  const header = headerIssues(value);
  if (header.length > 0) return invalid(undefined, header);
  const apiVersion = value['apiVersion'] as string;
  const entry = findKind(apiVersion, value['kind'] as string);
  if (entry === undefined) return invalid(undefined, [unknownKind(apiVersion, value['kind'] as string)]);
  const fields = fieldsOf(entry, apiVersion);
  const filled = structuredClone(value);
  applyDefaults(fields, filled);
  const issues = validate(fullSchema(entry, fields), filled);
  if (issues.length > 0) return invalid(entry, issues);
  return {
    kind: 'valid',
    entry,
    object: { ...(withoutNulls(value) as Record<string, unknown>), apiVersion: apiVersionOf(entry.kind) },
  };
}

/** Of the version that an object names. */
export function fieldsOf(entry: KindEntry | CustomKind, apiVersion: string): ObjectSchema {
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1);
  return ('fieldsOf' in entry ? entry.fieldsOf?.[version] : undefined) ?? entry.fields;
}

const schemas = new Map<ObjectSchema, ObjectSchema>();
function fullSchema(entry: KindEntry, fields: ObjectSchema): ObjectSchema {
  let schema = schemas.get(fields);
  if (schema === undefined) {
    schema = {
      ...fields,
      properties: {
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
        metadata: metadata(entry.nameRule, entry.kind.namespaced),
        ...fields.properties,
      },
      required: ['metadata', ...(fields.required ?? [])],
    };
    schemas.set(fields, schema);
  }
  return schema;
}

function headerIssues(value: Record<string, unknown>): Issue[] {
  const issues: Issue[] = [];
  for (const name of ['apiVersion', 'kind']) {
    const field = value[name];
    if (field === undefined || field === null) {
      issues.push({ path: [name], at: 'value', reason: 'required', message: 'required field is missing' });
    } else if (typeof field !== 'string') {
      issues.push({ path: [name], at: 'value', reason: 'type', message: 'expected a string' });
    }
  }
  return issues;
}

function unknownKind(apiVersion: string, kind: string): Issue {
  const sameName = kindTable.find((e) => e.kind.kind === kind);
  if (sameName !== undefined) {
    const versions = sameName.versions.map((version) => apiVersionOf({ group: sameName.kind.group, version }));
    return {
      path: ['apiVersion'],
      at: 'value',
      reason: 'not-supported',
      message: `"${apiVersion}" has no ${kind}: expected ${versions.join(' or ')}`,
    };
  }
  const known = kindTable.map((e) => e.kind.kind);
  const hint = didYouMean(kind, known) || `; expected one of ${known.join(', ')}`;
  return {
    path: ['kind'],
    at: 'value',
    reason: 'not-supported',
    message: `"${kind}" of ${apiVersion} is not served${hint}`,
  };
}

function invalid(entry: KindEntry | undefined, issues: readonly Issue[]): CheckedObject {
  return { kind: 'invalid', entry, issues };
}
