/** `namespaces/NAME/finalize`: who deletes content of its own from namespaces takes its finalizer away by this. */
import { at } from '../../kinds/columns.ts';
import type { SpecialEndpoint } from '../../part.ts';
import { decodeBody } from '../../rest/decode.ts';
import { contextOf } from '../../rest/endpoints.ts';
import { acceptObject } from '../../rest/incoming.ts';
import type { Rest } from '../../rest/rest.ts';
import { methodNotAllowed } from '../../status.ts';

export function finalizeEndpoint(rest: Rest): SpecialEndpoint {
  return {
    of: { group: '', resource: 'namespaces' },
    subresource: 'finalize',
    describe: ({ group, version, kind }) => ({ name: 'finalize', group, version, kind, verbs: ['update'] }),
    async handle(request, resource) {
      const { verb, name } = request.info;
      if (verb !== 'update') throw methodNotAllowed(resource, verb);
      const context = contextOf(request, resource);
      const sent = acceptObject(
        decodeBody(request.headers['content-type'] ?? '', await request.body()),
        { resource, namespace: '', name },
        context.options.fieldValidation,
        request.warn,
      );
      const { json } = await rest.update(
        context,
        name,
        (current) => {
          const object = current!;
          const version = sent.metadata.resourceVersion ?? '';
          if (version !== '') object.metadata.resourceVersion = version;
          object['spec'] = { finalizers: at(sent, 'spec', 'finalizers') ?? [] };
          return object;
        },
        false,
      );
      return { kind: 'object', code: 200, resource, json };
    },
  };
}
