/** `pods/NAME/eviction`: deletes a pod where its disruption budget lets it go. */
import type { Pod } from '../../../../common/kube/kinds/core.ts';
import { isObject } from '../../../../common/kube/schema/validate.ts';
import { at } from '../../kinds/columns.ts';
import type { SpecialEndpoint } from '../../part.ts';
import { decodeBody } from '../../rest/decode.ts';
import { contextOf } from '../../rest/endpoints.ts';
import { deleteOptions } from '../../rest/options.ts';
import { matchesSelector } from '../../selectors/objects.ts';
import { ApiError, badRequest, methodNotAllowed, success } from '../../status.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { isDeleting, isFinished, isReady } from '../runtime/pod-state.ts';
import type { Budget, PodDisruptionBudget } from './disruption.ts';
import { budgetNow } from './disruption-controller.ts';

export function evictionEndpoint(cluster: Cluster): SpecialEndpoint {
  const { rest } = cluster;
  /** One at a time: two would use the same disruption that is left. */
  let turn: Promise<unknown> = Promise.resolve();
  return {
    of: { group: '', resource: 'pods' },
    subresource: 'eviction',
    describe: () => ({ name: 'eviction', group: 'policy', version: 'v1', kind: 'Eviction', verbs: ['create'] }),
    async handle(request, resource) {
      const { verb, namespace, name } = request.info;
      if (verb !== 'create') throw methodNotAllowed(resource, verb);
      const body = decodeBody(request.headers['content-type'] ?? '', await request.body());
      if (!isObject(body)) throw badRequest('the body is no Eviction');
      const options = deleteOptions(request.query, at(body, 'deleteOptions'));
      const evict = async () => {
        rest.get(resource, namespace, name);
        const pod = cluster.pods.get(namespace, name);
        if (pod !== undefined) checkBudgets(cluster, pod);
        await rest.delete({ ...contextOf(request, resource, options.dryRun), subresource: '' }, name, options);
      };
      const done = turn.then(evict, evict);
      turn = done.catch(() => undefined);
      await done;
      return { kind: 'value', code: 201, value: success() };
    },
  };
}

/** ApiError 429, 500. */
function checkBudgets(cluster: Cluster, pod: Pod): void {
  if (isFinished(pod) || isDeleting(pod) || pod.status?.phase === 'Pending') return;
  const { namespace = '', name, labels } = pod.metadata;
  const budgets = cluster.budgetsOf(namespace).filter((b) => matchesSelector(b.spec?.selector, labels));
  if (budgets.length > 1) {
    const message = `This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.`;
    throw new ApiError(500, 'InternalError', message);
  }
  const [budget] = budgets;
  if (budget === undefined) return;
  const now = budgetNow(cluster, budget);
  if (isAllowed(budget, pod, now)) return;
  const why = `The disruption budget ${budget.metadata.name} needs ${now.desiredHealthy} healthy pods and has ${now.currentHealthy} currently`;
  throw new ApiError(429, 'TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
    name,
    kind: 'pods',
    causes: [{ reason: 'DisruptionBudget', message: why }],
  });
}

/** A pod that is not ready disrupts nobody once the others are enough. */
function isAllowed({ spec }: PodDisruptionBudget, pod: Pod, now: Budget): boolean {
  if (!isReady(pod)) {
    if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
    if (now.currentHealthy >= now.desiredHealthy && now.desiredHealthy > 0) return true;
  }
  return now.disruptionsAllowed > 0;
}
