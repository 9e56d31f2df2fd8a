/** What a CustomResourceDefinition must be, beyond its schema. Pure. */

import { isDeepStrictEqual } from 'node:util';
import type {
  CustomResourceDefinition,
  DefinitionNames,
  DefinitionVersion,
} from '../../../common/kube/kinds/extension.ts';
import type { Schema } from '../../../common/kube/schema/types.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import type { Strategy } from '../resources/resource.ts';
import type { Cause, CauseType } from '../status.ts';
import { JsonPathError, parseJsonPath } from './json-path.ts';
import { readSchemaOnce } from './read-schema.ts';

/** Keeps the definition until its objects are gone. */
export const cleanupFinalizer = 'customresourcecleanup.apiextensions.k8s.io';

const approval = 'api-approved.kubernetes.io';

export const definitionStrategy: Strategy = {
  fillIn(object) {
    const { spec } = object as unknown as { spec?: { names?: Partial<Record<keyof DefinitionNames, unknown>> } };
    const names = spec?.names;
    if (typeof names?.kind !== 'string') return;
    names.singular ||= names.kind.toLowerCase();
    names.listKind ||= `${names.kind}List`;
  },
  prepareCreate(object) {
    object['status'] = { conditions: [], acceptedNames: { plural: '', kind: '' }, storedVersions: storedIn(object) };
    keepFinalizer(object);
  },
  prepareUpdate(object, old) {
    if (old.metadata.deletionTimestamp === undefined) keepFinalizer(object);
    const status = object['status'] as { storedVersions?: string[] } | undefined;
    const [storage] = storedIn(object);
    if (status === undefined || storage === undefined || status.storedVersions?.includes(storage)) return;
    object['status'] = { ...status, storedVersions: [...(status.storedVersions ?? []), storage] };
  },
  validate: (object, old) =>
    checkDefinition(
      object as unknown as CustomResourceDefinition,
      old === undefined ? undefined : (old as unknown as CustomResourceDefinition),
    ),
};

/** Versions that are stored, of an object that nobody has checked yet. */
function storedIn({ spec }: ApiObject): readonly string[] {
  const versions = isObject(spec) ? spec['versions'] : undefined;
  if (!Array.isArray(versions)) return [];
  return versions.flatMap((v) =>
    isObject(v) && v['storage'] === true && typeof v['name'] === 'string' ? v['name'] : [],
  );
}

function keepFinalizer({ metadata }: ApiObject): void {
  metadata.finalizers ??= [];
  if (!metadata.finalizers.includes(cleanupFinalizer)) metadata.finalizers.push(cleanupFinalizer);
}

/** Its schema's rules hold already. */
export function checkDefinition(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition | undefined,
): readonly Cause[] {
  const { spec, metadata, status } = definition;
  const { names, group, versions } = spec;
  const causes: Cause[] = [];
  const bad = (field: string, message: string, reason: CauseType = 'FieldValueInvalid') =>
    causes.push({ reason, field, message });
  const fullName = `${names.plural}.${group}`;
  if (metadata.name !== fullName)
    bad('metadata.name', `must be spec.names.plural+"."+spec.group: ${JSON.stringify(fullName)}`);
  if (/(^|\.)(k8s|kubernetes)\.io$/.test(group) && metadata.annotations?.[approval] === undefined) {
    bad(`metadata.annotations[${approval}]`, 'protected groups must have approval annotation', 'FieldValueRequired');
  }
  if (names.listKind === names.kind) bad('spec.names.listKind', 'cannot be the same as kind');
  if (spec.conversion?.strategy === 'Webhook') {
    bad(
      'spec.conversion.strategy',
      'conversion by webhook is not supported by this server; use None',
      'FieldValueNotSupported',
    );
  }
  if (spec.preserveUnknownFields)
    bad('spec.preserveUnknownFields', 'must be false; use x-kubernetes-preserve-unknown-fields in the schema');
  const storage = versions.filter((v) => v.storage).length;
  if (storage !== 1)
    bad('spec.versions', `must have exactly one version marked as storage version, and ${storage} are`);
  if (!versions.some((v) => v.served)) bad('spec.versions', 'must have at least one version that is served');
  versions.forEach((version, i) => {
    if (versions.findIndex((v) => v.name === version.name) < i) {
      bad(`spec.versions[${i}].name`, `${JSON.stringify(version.name)} is named twice`, 'FieldValueDuplicate');
    }
    causes.push(...checkVersion(version, `spec.versions[${i}]`, spec.scope === 'Namespaced'));
  });
  for (const stored of status?.storedVersions ?? []) {
    if (!versions.some((v) => v.name === stored)) {
      bad(
        'status.storedVersions',
        `objects may be stored in ${JSON.stringify(stored)}, which must appear in spec.versions`,
      );
    }
  }
  if (old !== undefined) {
    const still = (field: string, a: unknown, b: unknown) => {
      if (!isDeepStrictEqual(a, b)) bad(field, 'field is immutable');
    };
    still('spec.group', group, old.spec.group);
    if (isTrue(old, 'Established')) {
      still('spec.scope', spec.scope, old.spec.scope);
      still('spec.names.kind', names.kind, old.spec.names.kind);
      still('spec.names.plural', names.plural, old.spec.names.plural);
    }
  }
  return causes;
}

export function isTrue({ status }: CustomResourceDefinition, type: string): boolean {
  return status?.conditions?.some((c) => c.type === type && c.status === 'True') ?? false;
}

function checkVersion(version: DefinitionVersion, field: string, namespaced: boolean): readonly Cause[] {
  const causes: Cause[] = [];
  const bad = (at: string, message: string, reason: CauseType = 'FieldValueInvalid') =>
    causes.push({ reason, field: `${field}.${at}`, message });
  const given = version.schema?.openAPIV3Schema;
  if (given === undefined) {
    bad('schema.openAPIV3Schema', 'schemas are required', 'FieldValueRequired');
    return causes;
  }
  const at = `${field}.schema.openAPIV3Schema`;
  const { schema, causes: found } = readSchemaOnce(given, namespaced);
  causes.push(...found.map((cause) => ({ ...cause, field: `${at}${cause.field ?? ''}` })));
  if (version.deprecationWarning !== undefined && !version.deprecated) {
    bad('deprecationWarning', 'is for versions that are deprecated');
  }
  version.additionalPrinterColumns?.forEach(({ jsonPath }, i) => {
    const problem = pathProblem(jsonPath);
    if (problem !== undefined) bad(`additionalPrinterColumns[${i}].jsonPath`, problem);
  });
  version.selectableFields?.forEach(({ jsonPath }, i) => {
    const leaf = schemaAt(schema, jsonPath);
    const ok = /^\.[^[\]*]+$/.test(jsonPath) && !/^\.metadata\b/.test(jsonPath) && leaf !== undefined;
    if (!ok || !['string', 'integer', 'boolean'].includes(leaf.type ?? '')) {
      bad(
        `selectableFields[${i}].jsonPath`,
        `${JSON.stringify(jsonPath)} is not a field of type string, integer or boolean`,
      );
    }
  });
  const scale = version.subresources?.scale;
  if (scale !== undefined) {
    const under = (
      name: 'specReplicasPath' | 'statusReplicasPath' | 'labelSelectorPath',
      roots: RegExp,
      what: string,
    ) => {
      const path = scale[name];
      if (path === undefined) return;
      if (!roots.test(path)) bad(`subresources.scale.${name}`, `must be a path of names below ${what}`);
    };
    under('specReplicasPath', /^\.spec(\.[\w-]+)+$/, '.spec');
    under('statusReplicasPath', /^\.status(\.[\w-]+)+$/, '.status');
    under('labelSelectorPath', /^\.(spec|status)(\.[\w-]+)+$/, '.spec or .status');
  }
  return causes;
}

function pathProblem(path: string): string | undefined {
  try {
    parseJsonPath(path);
    return undefined;
  } catch (e) {
    if (e instanceof JsonPathError) return e.message;
    throw e;
  }
}

/** undefined where the path, of names with dots between them, leads nowhere. */
export function schemaAt(schema: Schema, path: string): Schema | undefined {
  let at: Schema | undefined = schema;
  for (const name of path.replace(/^\./, '').split('.')) {
    if (at?.type !== 'object') return undefined;
    at = Object.hasOwn(at.properties ?? {}, name) ? at.properties![name] : undefined;
  }
  return at;
}
