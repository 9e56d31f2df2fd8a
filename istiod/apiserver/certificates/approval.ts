/** The subresource `approval`: `kubectl certificate approve` and `deny`. */
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import type { SpecialEndpoint } from '../part.ts';
import { decodeBody } from '../rest/decode.ts';
import { contextOf } from '../rest/endpoints.ts';
import { acceptObject } from '../rest/incoming.ts';
import { decodePatch, patched } from '../rest/patching.ts';
import type { Rest } from '../rest/rest.ts';
import { badRequest, methodNotAllowed } from '../status.ts';
import { group, resourceName, statusOf } from './admission.ts';

export function approvalEndpoint(rest: Rest): SpecialEndpoint {
  return {
    of: { group, resource: resourceName },
    subresource: 'approval',
    describe: () => ({
      name: 'approval',
      group,
      version: 'v1',
      kind: 'CertificateSigningRequest',
      verbs: ['get', 'patch', 'update'],
    }),
    async handle(request, resource) {
      const { verb, name } = request.info;
      if (verb === 'get') return { kind: 'object', code: 200, resource, json: rest.get(resource, '', name).json };
      if (verb !== 'update' && verb !== 'patch') throw methodNotAllowed(resource, verb);
      const contentType = request.headers['content-type'] ?? '';
      const body = await request.body();
      const patch = verb === 'patch' ? decodePatch(contentType, body, resource) : undefined;
      if (patch?.kind === 'apply') throw badRequest('the approval subresource does not take apply patches');
      const sent = verb === 'update' ? decodeBody(contentType, body) : undefined;
      const context = contextOf(request, resource);
      const place = { resource, namespace: '', name };
      const { json } = await rest.update(
        context,
        name,
        (current) => {
          const wanted =
            patch === undefined ? structuredClone(sent) : patched(resource, patch, structuredClone(current!));
          if (!isObject(wanted)) throw badRequest('the body is no CertificateSigningRequest');
          const next = acceptObject(wanted, place, context.options.fieldValidation, request.warn);
          return decided(next, current!, patch !== undefined);
        },
        false,
      );
      return { kind: 'object', code: 200, resource, json };
    },
  };
}

/** Only conditions are written here, never the certificate. */
function decided(wanted: ApiObject, current: ApiObject, isPatch: boolean): ApiObject {
  const { conditions } = statusOf(wanted);
  const status = { ...statusOf(current), ...(conditions === undefined ? {} : { conditions }) };
  const next = { ...current, metadata: { ...current.metadata }, status };
  const { resourceVersion } = wanted.metadata;
  if (resourceVersion === undefined || (isPatch && resourceVersion === current.metadata.resourceVersion))
    delete next.metadata.resourceVersion;
  else next.metadata.resourceVersion = resourceVersion;
  return next;
}
