/** Schemas of the tables as OpenAPI writes them. Pure. */
import type { ObjectSchema, Schema } from '../../../common/kube/schema/types.ts';
import type { Resource } from '../resources/resource.ts';
import { forVersion2 } from './version2.ts';

export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** Where `$ref`s point: `#/definitions/` in version 2, `#/components/schemas/` in version 3. */
export type RefPrefix = '#/definitions/' | '#/components/schemas/';

const metaName = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const listMetaName = 'io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta';

/** `io.k8s.api.apps.v1.Deployment`; of other groups the name reversed: `io.istio.security.v1.AuthorizationPolicy`. */
export function definitionName({ group, version, kind, builtIn }: Resource): string {
  const own = group.replace(/\.(authorization\.)?k8s\.io$/, '').split('.')[0] ?? '';
  if (builtIn && !group.includes('istio')) return `io.k8s.api.${own === '' ? 'core' : own}.${version}.${kind}`;
  return `${group.split('.').reverse().join('.')}.${version}.${kind}`;
}

/** The kind, its list, and what both refer to. */
export function definitionsOf(resources: readonly Resource[], refs: RefPrefix): Record<string, object> {
  const definitions: Record<string, object> = {};
  for (const resource of resources) {
    const name = definitionName(resource);
    definitions[name] = kindDefinition(resource, refs);
    definitions[`${name}List`] = listDefinition(resource, name, refs);
    definitions[metaName] ??= toOpenApi(
      inVersion(refs, resource.schema.properties?.['metadata'] ?? { type: 'object' }),
    );
  }
  definitions[listMetaName] = {
    type: 'object',
    description: 'What a list says of itself.',
    properties: {
      continue: { type: 'string' },
      remainingItemCount: { type: 'integer', format: 'int64' },
      resourceVersion: { type: 'string' },
      selfLink: { type: 'string' },
    },
  };
  return definitions;
}

function kindDefinition(resource: Resource, refs: RefPrefix): object {
  const { group, version, kind, schema } = resource;
  const { metadata: _metadata, ...others } = schema.properties ?? {};
  const own = toOpenApi(inVersion(refs, { ...schema, properties: others })) as { properties?: object };
  return {
    ...own,
    description: schema.description ?? `${kind} of ${group === '' ? 'the core group' : group}.`,
    properties: {
      ...own.properties,
      metadata: { description: "Name, labels and the server's own records.", ...reference(refs, metaName) },
    },
    required: undefined,
    'x-kubernetes-group-version-kind': [{ group, version, kind }],
  };
}

function listDefinition({ group, version, kind, listKind }: Resource, itemName: string, refs: RefPrefix): object {
  return {
    type: 'object',
    description: `A list of ${kind}.`,
    required: ['items'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: reference(refs, listMetaName),
      items: { type: 'array', items: reference(refs, itemName) },
    },
    'x-kubernetes-group-version-kind': [{ group, version, kind: listKind }],
  };
}

function inVersion(refs: RefPrefix, schema: Schema): Schema {
  return refs === '#/definitions/' ? forVersion2(schema) : schema;
}

/** Version 3 allows siblings of a reference only within allOf. */
function reference(refs: RefPrefix, name: string): object {
  return refs === '#/definitions/' ? { $ref: refs + name } : { allOf: [{ $ref: refs + name }], default: {} };
}

/** Without the words that are our own, wherever they stand. */
export function toOpenApi(schema: Schema): object {
  const { nullable: _nullable, ...common } = schema as Schema & {
    expects?: string;
    atMostOneOf?: unknown;
    mayRepeat?: boolean;
  };
  const { expects: _expects, atMostOneOf: _atMostOneOf, mayRepeat: _mayRepeat, custom: _custom, ...rest } = common;
  for (const word of ['allOf', 'anyOf', 'oneOf', 'not'] as const) {
    if (rest[word] !== undefined) Object.assign(rest, { [word]: withoutMark(rest[word]) });
  }
  if (schema.type === undefined) {
    if (schema['x-kubernetes-int-or-string'] !== true) return rest;
    return { ...rest, 'x-kubernetes-int-or-string': true, format: 'int-or-string', type: 'string' };
  }
  if (schema.type === 'array')
    return { ...rest, items: toOpenApi(schema.items), ...listType(schema['x-kubernetes-list-type']) };
  if (schema.type === 'object') return objectToOpenApi(schema, rest);
  return rest;
}

function objectToOpenApi({ properties, additionalProperties }: ObjectSchema, rest: object): object {
  return {
    ...rest,
    ...(properties === undefined
      ? {}
      : { properties: Object.fromEntries(Object.entries(properties).map(([k, v]) => [k, toOpenApi(v)])) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: toOpenApi(additionalProperties) }),
  };
}

function listType(type: string | undefined): object {
  return { 'x-kubernetes-list-type': type ?? 'atomic' };
}

function withoutMark(rules: unknown): unknown {
  return JSON.parse(JSON.stringify(rules, (name, value) => (name === 'custom' && value === true ? undefined : value)));
}
