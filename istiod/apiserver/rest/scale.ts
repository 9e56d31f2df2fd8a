/** The subresource `scale` of every kind that has replicas: autoscaling/v1 Scale. */
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { Reply, ResourceApiRequest } from '../http/api-request.ts';
import type { ApiObject } from '../objects.ts';
import type { Part, PartMaker } from '../part.ts';
import type { Resource, ScalePaths } from '../resources/resource.ts';
import { badRequest, invalid, methodNotAllowed, noSuchPath } from '../status.ts';
import { decodeBody } from './decode.ts';
import { apply, contextOf } from './endpoints.ts';
import { decodePatch, patched } from './patching.ts';
import { parse, type Rest } from './rest.ts';

const verbs = ['get', 'patch', 'update'];

export const scalePart: PartMaker = ({ rest }): Part => ({
  endpoints: [
    {
      of: 'all',
      subresource: 'scale',
      describe: ({ scale }) =>
        scale === undefined ? undefined : { name: 'scale', group: 'autoscaling', version: 'v1', kind: 'Scale', verbs },
      handle: (request, resource) => {
        if (resource.scale === undefined) throw noSuchPath();
        return onScale(rest, request, resource, resource.scale);
      },
    },
  ],
});

async function onScale(rest: Rest, request: ResourceApiRequest, resource: Resource, paths: ScalePaths): Promise<Reply> {
  const { verb, namespace, name } = request.info;
  const reply = (object: ApiObject): Reply => ({ kind: 'value', code: 200, value: scaleOf(object, paths) });
  if (verb === 'get') return reply(parse(rest.get(resource, namespace, name).json, resource));
  if (verb !== 'update' && verb !== 'patch') throw methodNotAllowed(resource, verb);
  const body = await request.body();
  const contentType = request.headers['content-type'] ?? '';
  // Scale has no list, so that its strategic merge patch is a merge patch.
  const patch = verb === 'patch' ? decodePatch(contentType, body, resource) : undefined;
  if (patch?.kind === 'apply') {
    const { json } = await apply(
      { rest, request, resource, subresource: 'scale' },
      configOf(patch.object, paths, resource),
    );
    return reply(parse(json, resource));
  }
  const sent = verb === 'update' ? decodeBody(contentType, body) : undefined;
  const { json } = await rest.update(
    contextOf(request, resource),
    name,
    (current) => {
      const object = current!;
      const wanted = patch === undefined ? sent : patched(resource, patch, scaleOf(object, paths) as ApiObject);
      setReplicas(object, wanted, paths, resource);
      return object;
    },
    false,
  );
  return reply(parse(json, resource));
}

/** What is applied to the object by applying a Scale. */
function configOf(scale: unknown, { specReplicas }: ScalePaths, { group, version, kind }: Resource): object {
  if (!isObject(scale) || scale['kind'] !== 'Scale') throw badRequest('the body is not a Scale object');
  const metadata = isObject(scale['metadata']) ? scale['metadata'] : {};
  const replicas = isObject(scale['spec']) ? scale['spec']['replicas'] : undefined;
  const names = split(specReplicas);
  const fields =
    replicas === undefined ? {} : names.reduceRight<unknown>((inner, name) => ({ [name]: inner }), replicas);
  return { apiVersion: group === '' ? version : `${group}/${version}`, kind, metadata, ...(fields as object) };
}

function setReplicas(object: ApiObject, scale: unknown, paths: ScalePaths, { group, kind }: Resource): void {
  if (!isObject(scale)) throw badRequest('the body is not a Scale object');
  const metadata = isObject(scale['metadata']) ? scale['metadata'] : {};
  const version = metadata['resourceVersion'];
  if (typeof version === 'string' && version !== '') object.metadata.resourceVersion = version;
  const replicas = (isObject(scale['spec']) ? scale['spec']['replicas'] : undefined) ?? 0;
  if (!Number.isInteger(replicas) || (replicas as number) < 0) {
    const message = `${JSON.stringify(replicas)} is not a number of replicas`;
    throw invalid(group, kind, object.metadata.name ?? '', [
      { reason: 'FieldValueInvalid', field: 'spec.replicas', message },
    ]);
  }
  let parent: Record<string, unknown> = object;
  const names = split(paths.specReplicas);
  for (const name of names.slice(0, -1)) {
    if (!isObject(parent[name])) parent[name] = {};
    parent = parent[name] as Record<string, unknown>;
  }
  parent[names.at(-1)!] = replicas;
}

function scaleOf(object: ApiObject, paths: ScalePaths): object {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: valueAt(object, paths.specReplicas) ?? 0 },
    status: { replicas: valueAt(object, paths.statusReplicas) ?? 0, selector: selectorOf(object, paths) },
  };
}

function selectorOf(object: ApiObject, { labelSelector }: ScalePaths): string {
  if (labelSelector !== undefined) return String(valueAt(object, labelSelector) ?? '');
  return selectorText(valueAt(object, '.spec.selector'));
}

const operators = { In: 'in', NotIn: 'notin' } as const;

/** A selector object as text. */
export function selectorText(selector: unknown): string {
  if (!isObject(selector)) return '';
  const labels = isObject(selector['matchLabels']) ? selector['matchLabels'] : {};
  const terms = Object.entries(labels).map(([k, v]) => `${k}=${v}`);
  for (const e of Array.isArray(selector['matchExpressions']) ? selector['matchExpressions'] : []) {
    if (!isObject(e)) continue;
    const { key, operator, values } = e;
    if (operator === 'Exists') terms.push(String(key));
    else if (operator === 'DoesNotExist') terms.push(`!${key}`);
    else
      terms.push(`${key} ${operators[operator as 'In' | 'NotIn']} (${Array.isArray(values) ? values.join(',') : ''})`);
  }
  return terms.join(',');
}

/** The value at a path such as `.spec.replicas`. */
function valueAt(object: unknown, path: string): unknown {
  let value = object;
  for (const name of split(path)) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  return value;
}

function split(path: string): readonly string[] {
  return path.replace(/^\./, '').split('.');
}
