/** The kinds of patches that a client may send, as functions from the present object to the wanted one. */
import { applyMergePatch } from '../../../common/kube/merge-patch.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import { applyJsonPatch, PatchError } from '../patch/json-patch.ts';
import { applyStrategicPatch } from '../patch/strategic.ts';
import type { Resource } from '../resources/resource.ts';
import { ApiError, badRequest, unsupportedMediaType } from '../status.ts';
import { decodeJson, decodeYaml, mediaType, type OnDuplicate } from './decode.ts';

export type Patch =
  | { readonly kind: 'json'; readonly operations: unknown }
  | { readonly kind: 'merge'; readonly patch: unknown }
  | { readonly kind: 'strategic'; readonly patch: unknown }
  /** The fields that the manager wants, whole. */
  | { readonly kind: 'apply'; readonly object: unknown };

const types = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
} as const;

/** ApiError 400, 415. Custom resources have no strategic merge patch. */
export function decodePatch(contentType: string, body: Buffer, resource: Resource, onDuplicate?: OnDuplicate): Patch {
  const type = mediaType(contentType);
  const offered = Object.keys(types).filter((t) => resource.builtIn || types[t as keyof typeof types] !== 'strategic');
  if (!offered.includes(type)) throw unsupportedMediaType(contentType, offered);
  switch (types[type as keyof typeof types]) {
    case 'json':
      return { kind: 'json', operations: decodeJson(body) };
    case 'merge':
      return { kind: 'merge', patch: objectFrom(decodeJson(body, onDuplicate)) };
    case 'strategic':
      return { kind: 'strategic', patch: objectFrom(decodeJson(body, onDuplicate)) };
    case 'apply':
      return { kind: 'apply', object: objectFrom(decodeYaml(body, onDuplicate)) };
  }
}

function objectFrom(value: unknown): unknown {
  if (!isObject(value)) throw badRequest('the patch is not an object');
  return value;
}

/** ApiError 422 where the patch does not fit this object. */
export function patched(resource: Resource, patch: Exclude<Patch, { kind: 'apply' }>, current: ApiObject): unknown {
  try {
    switch (patch.kind) {
      case 'json':
        return applyJsonPatch(current, patch.operations);
      case 'merge':
        return applyMergePatch(current, patch.patch);
      case 'strategic':
        return applyStrategicPatch(resource.schema, current, patch.patch);
    }
  } catch (e) {
    if (!(e instanceof PatchError)) throw e;
    throw new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${e.message}`);
  }
}
