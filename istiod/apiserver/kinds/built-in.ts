/**
 * Built-in kinds as resources: their shape, narrowed by the schema of common/kube/schema where there is one, together with
 * what only the API server needs to know.
 */

import { apiVersionOf, kindName } from '../../../common/kube/names.ts';
import { metadata } from '../../../common/kube/schema/meta.ts';
import { type KindEntry, type NameRule, type ObjectSchema, object } from '../../../common/kube/schema/types.ts';
import {
  allVerbs,
  type Column,
  type Conversion,
  type Resource,
  type ScalePaths,
  type Strategy,
  type Verb,
} from '../resources/resource.ts';
import type { Message } from '../shapes/notation.ts';
import { canonicalizeQuantities } from '../shapes/quantity.ts';
import { refine, schemaOfKind } from '../shapes/schema.ts';
import { findShape } from '../shapes/shapes.ts';

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
  /** For a version that is stored as another: under which key and version. */
  readonly stored?: Resource['stored'];
  readonly conversion?: Conversion;
}

interface ShapedKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** subdomain by default. */
  readonly nameRule?: NameRule;
}

/** A kind whose schema is its shape; `fields` narrows it. */
export function shaped({ nameRule = 'subdomain', ...kind }: ShapedKind, fields: ObjectSchema = object({})): KindEntry {
  return { kind, versions: [kind.version], nameRule, fields };
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
    schema: wholeSchema(entry, version),
    hasStatus: kind.hasStatus ?? false,
    hasGeneration: kind.hasGeneration ?? false,
    scale: kind.scale,
    columns: kind.columns ?? [],
    selectableFields: kind.selectableFields ?? [],
    strategy: strategyOf(kind, version),
    stored: kind.stored ?? { resource: kindName(entry.kind), apiVersion: apiVersionOf(entry.kind) },
    ...(kind.conversion === undefined ? {} : { conversion: kind.conversion }),
    builtIn: true,
  }));
}

function strategyOf({ entry, strategy = {} }: BuiltInKind, version: string): Strategy {
  const shape = shapeOf(entry, version);
  if (shape === undefined) return strategy;
  return {
    ...strategy,
    fillIn(object) {
      canonicalizeQuantities(shape, object);
      strategy.fillIn?.(object);
    },
  };
}

/** undefined also for definitions, whose schemas hold schemas without end: theirs is written by hand. */
function shapeOf({ kind }: KindEntry, version: string): Message | undefined {
  if (kind.group === 'apiextensions.k8s.io') return undefined;
  return findShape(apiVersionOf({ group: kind.group, version }), kind.kind);
}

function wholeSchema(entry: KindEntry, version: string): ObjectSchema {
  const shape = shapeOf(entry, version);
  const fields = shape === undefined ? entry.fields : (refine(schemaOfKind(shape), entry.fields) as ObjectSchema);
  return {
    ...fields,
    properties: {
      ...fields.properties,
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: metadata(entry.nameRule, entry.kind.namespaced),
    },
    required: [...(fields.required ?? []).filter((f) => f !== 'metadata'), 'metadata'],
  };
}
