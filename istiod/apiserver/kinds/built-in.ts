/** Built-in kinds as resources: the schema of common/kube/schema together with what only the API server needs to know. */
import { metadata } from '../../../common/kube/schema/meta.ts';
import { apiVersionOf, kindName } from '../../../common/kube/schema/table.ts';
import type { KindEntry, ObjectSchema } from '../../../common/kube/schema/types.ts';
import {
  allVerbs,
  type Column,
  type Resource,
  type ScalePaths,
  type Strategy,
  type Verb,
} from '../resources/resource.ts';

/** What is absent is the rule: all verbs, no short names, no status. */
export interface BuiltInKind {
  readonly entry: KindEntry;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  /** Where it is not the kind in lower case. */
  readonly singular?: string;
  readonly verbs?: readonly Verb[];
  readonly hasStatus?: true;
  readonly hasGeneration?: true;
  readonly scale?: ScalePaths;
  readonly columns?: readonly Column[];
  readonly selectableFields?: readonly string[];
  readonly strategy?: Strategy;
}

/** One a version. */
export function resourcesOf(kind: BuiltInKind): readonly Resource[] {
  const { entry } = kind;
  const { group, plural, namespaced } = entry.kind;
  return entry.versions.map((version) => ({
    group,
    version,
    resource: plural,
    kind: entry.kind.kind,
    listKind: `${entry.kind.kind}List`,
    singular: kind.singular ?? entry.kind.kind.toLowerCase(),
    shortNames: kind.shortNames ?? [],
    categories: kind.categories ?? [],
    namespaced,
    verbs: kind.verbs ?? allVerbs,
    schema: wholeSchema(entry),
    hasStatus: kind.hasStatus ?? false,
    hasGeneration: kind.hasGeneration ?? false,
    scale: kind.scale,
    columns: kind.columns ?? [],
    selectableFields: kind.selectableFields ?? [],
    strategy: kind.strategy ?? {},
    stored: { resource: kindName(entry.kind), apiVersion: apiVersionOf(entry.kind) },
    builtIn: true,
  }));
}

function wholeSchema(entry: KindEntry): ObjectSchema {
  const { fields } = entry;
  return {
    ...fields,
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: metadata(entry.nameRule, entry.kind.namespaced),
      ...fields.properties,
    },
    required: [...(fields.required ?? []), 'metadata'],
  };
}
