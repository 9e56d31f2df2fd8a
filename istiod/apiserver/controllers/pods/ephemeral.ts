/** `pods/NAME/ephemeralcontainers`: adds containers to a pod that runs, as `kubectl debug` does. */
import { isDeepStrictEqual } from 'node:util';
import { isObject } from '../../../../common/kube/schema/validate.ts';
import { listAt, textAt } from '../../kinds/columns.ts';
import { forbidden } from '../../kinds/rules.ts';
import type { ApiObject } from '../../objects.ts';
import type { SpecialEndpoint } from '../../part.ts';
import { decodeBody } from '../../rest/decode.ts';
import { contextOf } from '../../rest/endpoints.ts';
import { decodePatch, patched } from '../../rest/patching.ts';
import { parse, type Rest } from '../../rest/rest.ts';
import { badRequest, invalid, methodNotAllowed } from '../../status.ts';

const subresource = 'ephemeralcontainers';
const field = 'spec.ephemeralContainers';

export function ephemeralEndpoint(rest: Rest): SpecialEndpoint {
  return {
    of: { group: '', resource: 'pods' },
    subresource,
    describe: () => ({ name: subresource, group: '', version: 'v1', kind: 'Pod', verbs: ['get', 'patch', 'update'] }),
    async handle(request, resource) {
      const { verb, namespace, name } = request.info;
      if (verb === 'get')
        return { kind: 'value', code: 200, value: parse(rest.get(resource, namespace, name).json, resource) };
      if (verb !== 'update' && verb !== 'patch') throw methodNotAllowed(resource, verb);
      const body = await request.body();
      const contentType = request.headers['content-type'] ?? '';
      const patch = verb === 'patch' ? decodePatch(contentType, body, resource) : undefined;
      if (patch?.kind === 'apply') throw badRequest(`the ${subresource} subresource does not take apply patches`);
      const sent = verb === 'update' ? decodeBody(contentType, body) : undefined;
      const { json } = await rest.update(
        { ...contextOf(request, resource), subresource },
        name,
        (current) => {
          const wanted = patch === undefined ? sent : patched(resource, patch, structuredClone(current!));
          return withAdded(current!, wanted);
        },
        false,
      );
      return { kind: 'value', code: 200, value: parse(json, resource) };
    },
  };
}

/** Nothing but more containers. ApiError. */
function withAdded(pod: ApiObject, wanted: unknown): ApiObject {
  if (!isObject(wanted)) throw badRequest('the body is no Pod');
  const version = isObject(wanted['metadata']) ? wanted['metadata']['resourceVersion'] : undefined;
  if (typeof version === 'string' && version !== '') pod.metadata.resourceVersion = version;
  const next = listAt(wanted, 'spec', 'ephemeralContainers');
  const refuse = (at: string, message: string) => invalid('', 'Pod', pod.metadata.name ?? '', [forbidden(at, message)]);
  for (const old of listAt(pod, 'spec', 'ephemeralContainers')) {
    const same = next.find((c) => textAt(c, 'name') === textAt(old, 'name'));
    if (same === undefined) throw refuse(field, 'existing ephemeral containers may not be removed');
    const kept = Object.entries(old as object).every(([key, value]) => isDeepStrictEqual((same as never)[key], value));
    if (!kept) throw refuse(field, `existing ephemeral container "${textAt(old, 'name')}" may not be changed`);
  }
  next.forEach((container, i) => {
    for (const key of ['ports', 'livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle', 'resources'])
      if (isObject(container) && container[key] !== undefined && !isDeepStrictEqual(container[key], {}))
        throw refuse(`${field}[${i}].${key}`, 'cannot be set for an Ephemeral Container');
  });
  (pod['spec'] as Record<string, unknown>)['ephemeralContainers'] = next;
  return pod;
}
