/** `pods/NAME/binding`, by which a scheduler says on which node a pod runs. */
import type { Condition } from '../../../../common/kube/kinds/core.ts';
import { isObject } from '../../../../common/kube/schema/validate.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import { at, textAt } from '../../kinds/columns.ts';
import type { ApiObject } from '../../objects.ts';
import type { SpecialEndpoint } from '../../part.ts';
import { decodeBody } from '../../rest/decode.ts';
import { contextOf } from '../../rest/endpoints.ts';
import type { Rest } from '../../rest/rest.ts';
import { badRequest, conflict, invalid, methodNotAllowed, success } from '../../status.ts';
import { dropCondition, setCondition } from '../runtime/conditions.ts';

const pods = { group: '', resource: 'pods' };

export function bindingEndpoint(rest: Rest): SpecialEndpoint {
  return {
    of: pods,
    subresource: 'binding',
    describe: ({ group, version }) => ({ name: 'binding', group, version, kind: 'Binding', verbs: ['create'] }),
    async handle(request, resource) {
      const { verb, name } = request.info;
      if (verb !== 'create') throw methodNotAllowed(resource, verb);
      const binding = decodeBody(request.headers['content-type'] ?? '', await request.body());
      if (!isObject(binding)) throw badRequest('the body is no Binding');
      const uid = textAt(binding, 'metadata', 'uid');
      const annotations = at(binding, 'metadata', 'annotations');
      const node = targetOf(binding, name);
      await rest.update(
        contextOf(request, resource),
        name,
        (current) => {
          const pod = current!;
          if (uid !== '') pod.metadata.uid = uid;
          if (isObject(annotations))
            pod.metadata.annotations = { ...pod.metadata.annotations, ...(annotations as Record<string, string>) };
          bind(pod, node, rest.now());
          return pod;
        },
        false,
      );
      return { kind: 'value', code: 201, value: success() };
    },
  };
}

function targetOf(binding: Readonly<Record<string, unknown>>, name: string): string {
  const kind = textAt(binding, 'target', 'kind');
  const node = textAt(binding, 'target', 'name');
  if (kind !== '' && kind !== 'Node') {
    const message = `${JSON.stringify(kind)}: a pod is bound to a Node`;
    throw invalid('', 'Binding', name, [{ reason: 'FieldValueNotSupported', field: 'target.kind', message }]);
  }
  if (node === '')
    throw invalid('', 'Binding', name, [
      { reason: 'FieldValueRequired', field: 'target.name', message: 'is required' },
    ]);
  return node;
}

/** ApiError 409 when it is bound, gated or being deleted. */
export function bind(pod: ApiObject, node: string, now: number): void {
  const name = pod.metadata.name ?? '';
  const spec = pod['spec'] as Record<string, unknown>;
  if (pod.metadata.deletionTimestamp !== undefined) {
    throw conflict(
      { group: '', resource: 'pods/binding' },
      name,
      `pod ${name} is being deleted, cannot be assigned to a host`,
    );
  }
  if (textAt(spec, 'nodeName') !== '') {
    const why = `pod ${name} is already assigned to node ${JSON.stringify(textAt(spec, 'nodeName'))}`;
    throw conflict({ group: '', resource: 'pods/binding' }, name, why);
  }
  if ((spec['schedulingGates'] as unknown[] | undefined)?.length) {
    throw conflict({ group: '', resource: 'pods/binding' }, name, `pod ${name} has non-empty .spec.schedulingGates`);
  }
  spec['nodeName'] = node;
  const status = (pod['status'] ?? {}) as { readonly conditions?: readonly Condition[] };
  const scheduled = { type: 'PodScheduled', status: 'True' };
  const others = dropCondition(status.conditions ?? [], scheduled.type);
  pod['status'] = { ...status, conditions: setCondition(others, scheduled, timestamp(now)) };
}
