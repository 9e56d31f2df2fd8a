/** The mesh's own kinds as CustomResourceDefinitions, printed from the table of common/kube/schema. Pure. */
import { gatewayKinds } from '../../common/kube/schema/gateway.ts';
import { securityKinds } from '../../common/kube/schema/security.ts';
import type { KindEntry, ObjectSchema, Schema } from '../../common/kube/schema/types.ts';
import type { NewObject } from '../../common/kube/types.ts';

export function meshDefinitions(): readonly NewObject[] {
  return [...securityKinds, ...gatewayKinds].map(definitionOf);
}

/** API servers ask who approved of a definition in Kubernetes' own groups; ours has fewer fields than what was approved. */
const subset = { 'api-approved.kubernetes.io': 'unapproved, the part of the Gateway API that Aquifer reads' };

function definitionOf({ kind, versions, fields }: KindEntry): NewObject {
  const { group, plural, namespaced } = kind;
  const openAPIV3Schema = printed(fields);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, ...(group.endsWith('.k8s.io') ? { annotations: subset } : {}) },
    spec: {
      group,
      scope: namespaced ? 'Namespaced' : 'Cluster',
      names: { kind: kind.kind, listKind: `${kind.kind}List`, plural, singular: kind.kind.toLowerCase() },
      versions: versions.map((name) => ({
        name,
        served: true,
        storage: name === kind.version,
        schema: { openAPIV3Schema },
        ...(fields.properties?.['status'] === undefined ? {} : { subresources: { status: {} } }),
      })),
    },
  };
}

/** Words of our own become those that every API server knows, or go. */
function printed(schema: Schema): object {
  const { 'x-kubernetes-patch-merge-key': _key, 'x-kubernetes-patch-strategy': _strategy, ...rest } = schema;
  switch (rest.type) {
    case 'object':
      return printedObject(rest);
    case 'array': {
      const { mayRepeat: _mayRepeat, items, ...list } = rest;
      const isMap = list['x-kubernetes-list-map-keys'] !== undefined;
      return { ...list, items: printed(items), ...(isMap ? { 'x-kubernetes-list-type': 'map' } : {}) };
    }
    case 'string': {
      const { expects: _expects, ...text } = rest;
      return text;
    }
    default:
      return rest;
  }
}

function printedObject({ atMostOneOf = [], properties, additionalProperties, ...rest }: ObjectSchema): object {
  return {
    ...rest,
    ...(properties === undefined
      ? {}
      : { properties: Object.fromEntries(Object.entries(properties).map(([name, s]) => [name, printed(s)])) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: printed(additionalProperties) }),
    ...(atMostOneOf.length === 0 ? {} : { allOf: atMostOneOf.map(oneOrNone) }),
  };
}

function oneOrNone(names: readonly string[]): object {
  const each = names.map((name) => ({ required: [name] }));
  return { oneOf: [{ not: { anyOf: each } }, ...each] };
}
