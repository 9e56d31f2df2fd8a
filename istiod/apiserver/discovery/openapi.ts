/** OpenAPI version 2 in one document, and version 3 in one document a group and version. */
import { createHash } from 'node:crypto';
import type { Registry } from '../resources/registry.ts';
import type { Resource } from '../resources/resource.ts';
import { definitionName, definitionsOf, type RefPrefix } from './schemas.ts';

export const serverVersion = 'v1.36.0';

export function openApiV2(registry: Registry): object {
  const resources = registry.all();
  return {
    swagger: '2.0',
    info: { title: 'Kubernetes', version: serverVersion },
    paths: Object.assign({}, ...resources.map((r) => pathsOf(r, '#/definitions/'))),
    definitions: definitionsOf(resources, '#/definitions/'),
  };
}

/** `api/v1` and `apis/apps/v1` with the address of their documents, which changes with what they hold. */
export function openApiV3Index(registry: Registry): object {
  const places = new Set(registry.all().map(placeOf));
  const paths = [...places].map((place) => {
    const hash = createHash('sha256')
      .update(JSON.stringify(openApiV3(registry, place)))
      .digest('hex')
      .toUpperCase();
    return [place, { serverRelativeURL: `/openapi/v3/${place}?hash=${hash}` }];
  });
  return { paths: Object.fromEntries(paths) };
}

/** undefined: nothing is served there. */
export function openApiV3(registry: Registry, place: string): object | undefined {
  const resources = registry.all().filter((r) => placeOf(r) === place);
  if (resources.length === 0) return undefined;
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: serverVersion },
    paths: Object.assign({}, ...resources.map((r) => pathsOf(r, '#/components/schemas/'))),
    components: { schemas: definitionsOf(resources, '#/components/schemas/') },
  };
}

function placeOf({ group, version }: Resource): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}

/** Clients find from the paths which kinds can be written, and which parameters a write takes. */
function pathsOf(resource: Resource, refs: RefPrefix): object {
  const { group, version, kind } = resource;
  const base = `/${placeOf(resource)}${resource.namespaced ? '/namespaces/{namespace}' : ''}/${resource.resource}`;
  const gvk = { 'x-kubernetes-group-version-kind': { group, version, kind } };
  const body = { $ref: refs + definitionName(resource) };
  const responses = (ref: object) =>
    refs === '#/definitions/'
      ? { 200: { description: 'OK', schema: ref } }
      : { 200: { description: 'OK', content: { 'application/json': { schema: ref } } } };
  const operation = (action: string, ref: object) => ({
    responses: responses(ref),
    parameters: queryParameters(refs),
    'x-kubernetes-action': action,
    ...gvk,
  });
  return {
    [base]: {
      get: operation('list', { $ref: `${refs}${definitionName(resource)}List` }),
      ...(resource.verbs.includes('create') ? { post: operation('post', body) } : {}),
    },
    [`${base}/{name}`]: {
      get: operation('get', body),
      ...(resource.verbs.includes('update') ? { put: operation('put', body), patch: operation('patch', body) } : {}),
      ...(resource.verbs.includes('delete') ? { delete: operation('delete', body) } : {}),
    },
  };
}

function queryParameters(refs: RefPrefix): readonly object[] {
  const names = ['dryRun', 'fieldManager', 'fieldValidation'];
  return names.map((name) =>
    refs === '#/definitions/'
      ? { name, in: 'query', type: 'string', uniqueItems: true }
      : { name, in: 'query', schema: { type: 'string', uniqueItems: true } },
  );
}
