/** A CustomResourceDefinition as the resources that it makes: one a served version. Pure. */
import type {
  CustomResourceDefinition,
  DefinitionVersion,
  PrinterColumn,
} from '../../../common/kube/kinds/extension.ts';
import { applyDefaults } from '../../../common/kube/schema/defaults.ts';
import type { Schema } from '../../../common/kube/schema/types.ts';
import { allVerbs, type Column, type Resource } from '../resources/resource.ts';
import { parseJsonPath } from './json-path.ts';
import { type ReadSchema, readSchemaOnce } from './read-schema.ts';

/** The definition is valid. */
export function resourcesOf(definition: CustomResourceDefinition): readonly Resource[] {
  const { versions } = definition.spec;
  const storage = versions.find((v) => v.storage)!.name;
  return versions.filter((v) => v.served).map((version) => resourceOf(definition, version, storage));
}

function resourceOf({ spec }: CustomResourceDefinition, version: DefinitionVersion, storage: string): Resource {
  const { group, names, scope } = spec;
  const namespaced = scope === 'Namespaced';
  // When the first object is read or written: a start with the mesh's 31 definitions would take 0.2 s of CPU for schemas that nobody uses yet.
  let known: ReadSchema | undefined;
  const read = () => {
    known ??= readSchemaOnce(version.schema?.openAPIV3Schema, namespaced);
    return known;
  };
  let schema: Resource['schema'] | undefined;
  const { status, scale } = version.subresources ?? {};
  return {
    group,
    version: version.name,
    resource: names.plural,
    kind: names.kind,
    listKind: names.listKind ?? `${names.kind}List`,
    singular: names.singular ?? names.kind.toLowerCase(),
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    namespaced,
    verbs: allVerbs,
    get schema() {
      schema ??= objectOnly(read().schema);
      return schema;
    },
    hasGeneration: true,
    hasStatus: status !== undefined,
    scale:
      scale === undefined
        ? undefined
        : {
            specReplicas: scale.specReplicasPath,
            statusReplicas: scale.statusReplicasPath,
            labelSelector: scale.labelSelectorPath,
          },
    columns: (version.additionalPrinterColumns ?? []).map(columnOf),
    selectableFields: (version.selectableFields ?? []).map((f) => f.jsonPath.replace(/^\./, '')),
    // The status goes at a creation; what it is by default comes back.
    strategy: {
      prepareCreate: (object) => applyDefaults(read().schema, object),
      validate: (object, old) => read().rules.check(object, old),
    },
    stored: { resource: `${names.plural}.${group}`, apiVersion: `${group}/${storage}` },
    builtIn: false,
  };
}

function objectOnly(schema: Schema): Resource['schema'] {
  return schema.type === 'object' ? schema : { type: 'object' };
}

function columnOf({ name, type, format, description, priority, jsonPath }: PrinterColumn): Column {
  const path = parseJsonPath(jsonPath);
  return {
    name,
    type,
    ...(format === undefined ? {} : { format }),
    description: description ?? `The field ${jsonPath}`,
    priority: priority ?? 0,
    value: (object) => cellOf(path(object), type),
  };
}

/** What does not have the column's type is not shown; several values are shown as a list. */
function cellOf(found: readonly unknown[], type: PrinterColumn['type']): string | number | boolean | null {
  const [first] = found;
  if (first === undefined || first === null) return null;
  switch (type) {
    case 'string':
      if (found.length > 1) return found.map(text).join(',');
      return text(first);
    case 'date':
      return String(first);
    case 'boolean':
      return typeof first === 'boolean' ? first : null;
    case 'integer':
      return typeof first === 'number' ? Math.trunc(first) : null;
    case 'number':
      return typeof first === 'number' ? first : null;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
