/** Requests on resources: from a parsed request to what Rest does, and back to a reply. */
import type { Reply, ResourceApiRequest } from '../http/api-request.ts';
import type { ApiObject } from '../objects.ts';
import { applyConfig } from '../patch/apply/apply.ts';
import type { Registry } from '../resources/registry.ts';
import type { Resource } from '../resources/resource.ts';
import { type ApiError, badRequest, invalid, methodNotAllowed, noSuchPath, notFound, success } from '../status.ts';
import { decodeBody, type OnDuplicate } from './decode.ts';
import { acceptConfig, acceptObject, reportMistakes } from './incoming.ts';
import { list, selectionOf, watch } from './listing.ts';
import { deleteOptions, type FieldValidation, type WriteOptions, writeOptions } from './options.ts';
import { decodePatch, patched } from './patching.ts';
import type { Rest, WriteContext } from './rest.ts';

/** What a subresource (or a resource that stores nothing) does with a request. */
export type Endpoint = (request: ResourceApiRequest, resource: Resource) => Promise<Reply>;

const deletionsAtOnce = 64;

export interface EndpointsOptions {
  readonly registry: Registry;
  readonly rest: Rest;
  /** What answers instead of what every resource has; undefined: nothing does. */
  readonly special: (resource: Resource, subresource: string) => Endpoint | undefined;
}

export function createEndpoints(options: EndpointsOptions): (request: ResourceApiRequest) => Promise<Reply> {
  const { registry, special } = options;
  return async (request) => {
    const { info } = request;
    const resource = registry.find(info.group, info.version, info.resource);
    if (resource === undefined) throw noSuchPath();
    if (!resource.namespaced && info.namespace !== '' && info.resource !== 'namespaces') throw noSuchPath();
    const endpoint = special(resource, info.subresource);
    if (endpoint !== undefined) return endpoint(request, resource);
    if (info.subresource === '') return onObjects(options, request, resource);
    if (info.subresource === 'status' && resource.hasStatus) return onStatus(options, request, resource);
    throw noSuchPath();
  };
}

async function onObjects({ rest }: EndpointsOptions, request: ResourceApiRequest, resource: Resource): Promise<Reply> {
  const { info, query } = request;
  const { verb, name } = info;
  if (!resource.verbs.includes(verb)) throw methodNotAllowed(resource, verb);
  const namespace = resource.namespaced ? info.namespace : '';
  switch (verb) {
    case 'get':
      return { kind: 'object', code: 200, resource, json: rest.get(resource, namespace, name).json };
    case 'list': {
      const { items, metadata } = list(rest.store, resource, selectionOf(resource, namespace, name, query), query);
      return { kind: 'list', resource, items, metadata };
    }
    case 'watch':
      return {
        kind: 'watch',
        resource,
        watch: watch(rest.store, resource, selectionOf(resource, namespace, name, query), query),
      };
    case 'create': {
      if (name !== '') throw methodNotAllowed(resource, 'POST on a name');
      if (resource.namespaced && namespace === '')
        throw badRequest('an object of this resource is created in a namespace');
      const context = contextOf(request, resource);
      const { fieldValidation } = context.options;
      const sent = await decoded(request, fieldValidation, decodeBody);
      const object = acceptObject(sent, { resource, namespace, name: '' }, fieldValidation, request.warn);
      const { json } = await rest.create(context, object);
      return { kind: 'object', code: 201, resource, json };
    }
    case 'update':
    case 'patch':
      if (name === '') throw methodNotAllowed(resource, `${verb} of a collection`);
      return write({ rest, request, resource, subresource: '' });
    case 'delete': {
      const options = deleteOptions(query, await bodyOf(request));
      const context = contextOf(request, resource, options.dryRun);
      const { json, uid, gone } = await rest.delete(context, name, options);
      if (!gone) return { kind: 'object', code: 200, resource, json };
      const { group, resource: kind } = resource;
      return { kind: 'value', code: 200, value: success({ name, ...(group === '' ? {} : { group }), kind, uid }) };
    }
    case 'deletecollection': {
      const options = deleteOptions(query, await bodyOf(request));
      const context = contextOf(request, resource, options.dryRun);
      const { items, metadata } = list(rest.store, resource, selectionOf(resource, namespace, '', query), query);
      // Deletions that come together share a sync of the disk.
      for (let i = 0; i < items.length; i += deletionsAtOnce) {
        await Promise.all(
          items
            .slice(i, i + deletionsAtOnce)
            .map(({ key }) =>
              rest.delete({ ...context, namespace: key.namespace }, key.name, options).catch(ignoreMissing),
            ),
        );
      }
      return { kind: 'list', resource, items, metadata };
    }
  }
}

async function onStatus({ rest }: EndpointsOptions, request: ResourceApiRequest, resource: Resource): Promise<Reply> {
  const { verb, name, namespace } = request.info;
  if (verb === 'get') return { kind: 'object', code: 200, resource, json: rest.get(resource, namespace, name).json };
  if (verb === 'update' || verb === 'patch') return write({ rest, request, resource, subresource: 'status' });
  throw methodNotAllowed(resource, verb);
}

export interface WriteRequest {
  readonly rest: Rest;
  readonly request: ResourceApiRequest;
  readonly resource: Resource;
  readonly subresource: string;
}

/** PUT and PATCH. */
async function write({ rest, request, resource, subresource }: WriteRequest): Promise<Reply> {
  const { info } = request;
  const namespace = resource.namespaced ? info.namespace : '';
  const context = { ...contextOf(request, resource), subresource };
  const { fieldValidation } = context.options;
  const place = { resource, namespace, name: info.name };
  const accept = (value: unknown): ApiObject => acceptObject(value, place, fieldValidation, request.warn);
  if (info.verb === 'update') {
    const sent = await decoded(request, fieldValidation, decodeBody);
    const { json } = await rest.update(context, info.name, () => accept(structuredClone(sent)), false);
    return { kind: 'object', code: 200, resource, json };
  }
  const patch = await decoded(request, fieldValidation, (type, body, hear) => decodePatch(type, body, resource, hear));
  if (patch.kind === 'apply') {
    const { json, created } = await apply({ rest, request, resource, subresource }, patch.object);
    return { kind: 'object', code: created ? 201 : 200, resource, json };
  }
  if (request.query.has('force')) throw badOption('force', 'Forbidden', 'may not be specified for non-apply patch');
  const { json } = await rest.update(
    context,
    info.name,
    (current) => {
      const next = accept(patched(resource, patch, current!));
      // A patch is of whatever is there, unless it names a version.
      if (next.metadata.resourceVersion === current!.metadata.resourceVersion) delete next.metadata.resourceVersion;
      return next;
    },
    false,
  );
  return { kind: 'object', code: 200, resource, json };
}

/** The body, its members that are there twice judged. */
async function decoded<T>(
  request: ResourceApiRequest,
  judge: FieldValidation,
  decode: (contentType: string, body: Buffer, onDuplicate: OnDuplicate) => T,
): Promise<T> {
  const duplicates: string[] = [];
  const hear = (path: string) => void duplicates.push(`duplicate field ${JSON.stringify(path)}`);
  const value = decode(request.headers['content-type'] ?? '', await request.body(), hear);
  reportMistakes(duplicates, judge, request.warn);
  return value;
}

/** Server-side apply. Only the object itself is created so. ApiError. */
export async function apply(
  { rest, request, resource, subresource }: WriteRequest,
  sent: unknown,
): Promise<Awaited<ReturnType<Rest['apply']>>> {
  const { info, query } = request;
  if ((query.get('fieldManager') ?? '') === '')
    throw badOption('fieldManager', 'Required', 'is required for apply patch');
  const namespace = resource.namespaced ? info.namespace : '';
  const place = { resource, namespace, name: info.name };
  const context = { ...contextOf(request, resource), subresource };
  const { fieldManager, fieldValidation, force } = context.options;
  const config = acceptConfig(sent, place, fieldValidation, request.warn);
  return rest.apply(context, info.name, (current) => {
    if (current === undefined) {
      if (subresource !== '') throw notFound(resource, info.name);
      request.authorize({ ...info, verb: 'create' });
    }
    const writer = { resource, subresource, manager: fieldManager, now: rest.now() };
    const object = acceptObject(applyConfig(writer, current, config, force), place, 'Ignore', () => undefined);
    const { resourceVersion } = object.metadata;
    if (resourceVersion === current?.metadata.resourceVersion) delete object.metadata.resourceVersion;
    return object;
  });
}

function badOption(field: string, reason: 'Required' | 'Forbidden', message: string): ApiError {
  return invalid('meta.k8s.io', 'PatchOptions', '', [{ reason: `FieldValue${reason}`, field, message }]);
}

export function contextOf(request: ResourceApiRequest, resource: Resource, dryRun?: boolean): WriteContext {
  const { info, query, headers, user, warn } = request;
  // Deletions name dryRun in the body too, and it is read there.
  const options: WriteOptions =
    dryRun === undefined
      ? writeOptions(query, headers['user-agent'])
      : { ...writeOptions(new URLSearchParams(), headers['user-agent']), dryRun };
  return {
    resource,
    namespace: resource.namespaced ? info.namespace : '',
    subresource: info.subresource,
    user,
    options,
    warn,
  };
}

async function bodyOf(request: ResourceApiRequest): Promise<unknown> {
  const body = await request.body();
  return body.length === 0 ? undefined : decodeBody(request.headers['content-type'] ?? '', body);
}

function ignoreMissing(e: unknown): void {
  const missing = e instanceof Error && 'status' in e && (e.status as { code?: number }).code === 404;
  if (!missing) throw e;
}
