/** The mesh's own kinds as CustomResourceDefinitions, printed from the table of common/kube/schema. Pure. */

import { customKinds } from '../../common/kube/schema/table.ts';
import type { Column, CustomKind, ObjectSchema, Schema } from '../../common/kube/schema/types.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { descriptions } from './descriptions.ts';

export function meshDefinitions(): readonly NewObject[] {
  return customKinds.map(definitionOf);
}

function definitionOf(custom: CustomKind): NewObject {
  const { kind, versions, storage, deprecated, fields, fieldsOf = {}, annotations, labels } = custom;
  const { shortNames, categories } = custom;
  const { group, plural, namespaced } = kind;
  const columns = custom.columns.map((column) => printedColumn(column));
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${group}`,
      ...(annotations === undefined ? {} : { annotations }),
      ...(labels === undefined ? {} : { labels }),
    },
    spec: {
      group,
      scope: namespaced ? 'Namespaced' : 'Cluster',
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural,
        singular: kind.kind.toLowerCase(),
        ...(shortNames.length === 0 ? {} : { shortNames }),
        categories,
      },
      versions: versions.map((name) => ({
        name,
        served: true,
        storage: name === storage,
        ...(deprecated.includes(name)
          ? {
              deprecated: true,
              deprecationWarning: `${group}/${name} ${kind.kind} is deprecated; use ${group}/${kind.version}`,
            }
          : {}),
        ...(columns.length === 0 ? {} : { additionalPrinterColumns: columns }),
        schema: { openAPIV3Schema: rootSchema(fieldsOf[name] ?? fields, custom.description) },
        ...(fields.properties?.['status'] === undefined ? {} : { subresources: { status: {} } }),
      })),
    },
  };
}

function printedColumn({ name, type, jsonPath, description, priority }: Column): object {
  return {
    name,
    type,
    jsonPath,
    ...(description === undefined ? {} : { description }),
    ...(priority === undefined ? {} : { priority }),
  };
}

/** The fields that every object has are named too, for `kubectl explain`. */
function rootSchema(fields: ObjectSchema, description: string): object {
  const header = {
    apiVersion: { type: 'string', description: 'Group and version of the kind.' },
    kind: { type: 'string', description: 'Which kind of object it is.' },
    // API servers describe it themselves, and forbid that others do.
    metadata: { type: 'object' },
  };
  const { properties, ...rest } = printedObject(fields, false, '') as { readonly properties: object };
  return { description, ...rest, properties: { ...header, ...properties } };
}

/** Words of our own become those that every API server knows, or go. `repeated`: below a list or map; `name`: of the field. */
function printed(schema: Schema, repeated: boolean, name: string): object {
  const { 'x-kubernetes-patch-merge-key': _key, 'x-kubernetes-patch-strategy': _strategy, ...rest } = schema;
  switch (rest.type) {
    case 'object':
      return printedObject(rest, repeated, name);
    case 'array': {
      const { mayRepeat: _mayRepeat, items, ...list } = rest;
      const isMap = list['x-kubernetes-list-map-keys'] !== undefined;
      return { ...list, items: printed(items, true, name), ...(isMap ? { 'x-kubernetes-list-type': 'map' } : {}) };
    }
    case 'string': {
      const { expects: _expects, ...text } = rest;
      return text;
    }
    default:
      return rest;
  }
}

function printedObject(schema: ObjectSchema, repeated: boolean, around: string): object {
  const { atMostOneOf = [], properties, additionalProperties, ...rest } = schema;
  const rules = [...(rest['x-kubernetes-validations'] ?? []), ...(repeated ? [] : atMostOneOf.map(oneOrNoneRule))];
  return {
    ...rest,
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, s]) => {
              const { description = descriptions[`${around}.${name}`] } = s;
              return [name, { ...(description !== undefined && { description }), ...printed(s, repeated, name) }];
            }),
          ),
        }),
    ...(additionalProperties === undefined
      ? {}
      : { additionalProperties: printed(additionalProperties, true, around) }),
    ...(rules.length === 0 ? {} : { 'x-kubernetes-validations': rules }),
    ...(repeated && atMostOneOf.length > 0 ? { allOf: atMostOneOf.map(oneOrNone) } : {}),
  };
}

/** A rule with words for the user. */
function oneOrNoneRule(names: readonly string[]): object {
  return {
    rule: `${names.map((name) => `(has(self.${name}) ? 1 : 0)`).join(' + ')} <= 1`,
    message: `${names.join(', ')} exclude each other; keep one`,
  };
}

/** In lists without a limit a rule would cost more than API servers allow a definition, so it is said without words. */
function oneOrNone(names: readonly string[]): object {
  const each = names.map((name) => ({ required: [name] }));
  return { oneOf: [{ not: { anyOf: each } }, ...each] };
}
