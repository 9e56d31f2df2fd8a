/** Bodies of resources that are posted and answered, never kept. */
import { validate } from '../../../common/kube/schema/validate.ts';
import type { ResourceApiRequest } from '../http/api-request.ts';
import type { ApiObject } from '../objects.ts';
import type { Resource } from '../resources/resource.ts';
import { invalid, methodNotAllowed } from '../status.ts';
import { decodeBody } from './decode.ts';
import { acceptObject } from './incoming.ts';
import { writeOptions } from './options.ts';
import { causeOf } from './validation.ts';

/**
 * The object with a valid spec, and without what the client claims as its status. `place`: of the path, for subresources.
 * ApiError 400, 405, 415, 422.
 */
export async function readReview(
  request: ResourceApiRequest,
  resource: Resource,
  place: { readonly namespace: string; readonly name: string } = { namespace: request.info.namespace, name: '' },
): Promise<ApiObject> {
  const { info, query, headers } = request;
  if (info.verb !== 'create') throw methodNotAllowed(resource, info.verb);
  const { fieldValidation } = writeOptions(query, headers['user-agent']);
  const value = decodeBody(headers['content-type'] ?? '', await request.body());
  const object = acceptObject(value, { resource, ...place }, fieldValidation, request.warn);
  delete object['status'];
  const spec = resource.schema.properties?.['spec'];
  const causes = spec === undefined ? [] : validate(spec, object['spec'] ?? {}, ['spec']).map(causeOf);
  if (causes.length > 0) throw invalid(resource.group, resource.kind, '', causes);
  if (spec !== undefined) object['spec'] ??= {};
  return object;
}
