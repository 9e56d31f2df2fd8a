/** LimitRanges and ResourceQuotas: what new objects get and may, and what is used. Quotas count creations, not changes. */
import { isDeepStrictEqual } from 'node:util';
import type { Pod, Service } from '../../../../common/kube/kinds/core.ts';
import type { Kind, KubeObject } from '../../../../common/kube/types.ts';
import type { AdmissionPlugin, AdmissionRequest } from '../../admission/admission.ts';
import type { ApiObject } from '../../objects.ts';
import type { Resource } from '../../resources/resource.ts';
import { forbidden } from '../../status.ts';
import { type Cluster, claimKind } from '../runtime/cluster.ts';
import { keyOfObject, splitKey } from '../runtime/collection.ts';
import { isFinished } from '../runtime/pod-state.ts';
import { writeStatus } from '../runtime/status-writer.ts';
import {
  add,
  claimUsage,
  countedByName,
  countName,
  countsPod,
  hasScopes,
  podUsage,
  type ResourceQuota,
  refusal,
  serviceUsage,
  shown,
  type Usage,
} from './quotas.ts';
import { claimProblems, type LimitRange, podProblems, type Resources, withDefaults } from './ranges.ts';

const core = { group: '', version: 'v1', namespaced: true } as const;
const limitRangeKind: Kind<LimitRange> = { ...core, kind: 'LimitRange', plural: 'limitranges' };
const quotaKind: Kind<ResourceQuota> = { ...core, kind: 'ResourceQuota', plural: 'resourcequotas' };

/** Ms that an object which was let in is counted for before it is seen: one that is refused later is forgotten then. */
const reservation = 5_000;

interface Reservation {
  readonly resource: Resource;
  readonly namespace: string;
  readonly object: ApiObject;
  readonly until: number;
}

export function limits(cluster: Cluster): readonly AdmissionPlugin[] {
  const { writer, queue } = cluster.desk('resourcequota-controller');
  const { clock, rest } = cluster;
  const ranges = cluster.collection(limitRangeKind);
  const quotas = cluster.collection(quotaKind);
  const claims = cluster.collection(claimKind);
  const byNamespace = (o: KubeObject) => [o.metadata.namespace ?? ''];
  const rangesOf = ranges.index(byNamespace);
  const quotasOf = quotas.index(byNamespace);
  const servicesOf = cluster.services.index(byNamespace);
  const claimsOf = claims.index(byNamespace);
  /** Let in and not yet seen, by uid. */
  const reserved = new Map<string, Reservation>();

  const work = queue(
    async (key) => {
      const { namespace, name } = splitKey(key);
      const quota = quotas.get(namespace, name);
      if (quota === undefined) return;
      const status = shown(quota, usedBy(quota, []));
      if (!isDeepStrictEqual(status, quota.status)) await writeStatus(writer, quotaKind, quota, status);
      // Counts of kinds that are not watched here.
      work.addAfter(key, 10_000);
    },
    { rest: 200 },
  );

  function usedBy(quota: ResourceQuota, pending: readonly Reservation[]): Usage {
    const namespace = quota.metadata.namespace ?? '';
    let used: Usage = {};
    const tally = (usage: Usage) => {
      used = add(used, usage);
    };
    for (const pod of cluster.podsOfNamespace(namespace))
      if (!isFinished(pod) && countsPod(quota, pod.spec)) tally(podUsage(pod.spec));
    for (const { resource, object } of pending) tally(usageOf(quota, resource, object));
    if (hasScopes(quota)) return used;
    for (const service of servicesOf(namespace)) tally(serviceUsage(service));
    for (const claim of claimsOf(namespace)) tally(claimUsage(claim));
    for (const what of Object.keys(quota.spec?.hard ?? {})) tally(countOf(what, namespace));
    return used;
  }

  /** Of what no collection here counts. */
  function countOf(what: string, namespace: string): Usage {
    const name = what.startsWith('count/') ? what.slice(6) : what;
    if (['pods', 'services', 'persistentvolumeclaims'].includes(name)) return {};
    if (!what.startsWith('count/') && !countedByName.includes(what)) return {};
    const dot = name.indexOf('.');
    const resource = dot === -1 ? `${name}.core` : name;
    return { [what]: rest.store.list({ resource, namespace }).items.length };
  }

  function usageOf(quota: ResourceQuota, resource: Resource, object: ApiObject): Usage {
    const of = resource.group === '' ? resource.resource : '';
    if (of === 'pods') {
      const pod = object as unknown as Pod;
      return countsPod(quota, pod.spec) ? podUsage(pod.spec) : {};
    }
    if (hasScopes(quota)) return {};
    if (of === 'services') return serviceUsage(object as unknown as Service);
    if (of === 'persistentvolumeclaims') return claimUsage(object as unknown as KubeObject);
    return { [countName(resource)]: 1, ...(countedByName.includes(of) ? { [of]: 1 } : {}) };
  }

  function pendingIn(namespace: string): readonly Reservation[] {
    const now = clock.now();
    for (const [uid, { until, resource, object, namespace: place }] of reserved) {
      const key = { resource: resource.stored.resource, namespace: place, name: object.metadata.name! };
      if (until < now || rest.store.get(key) !== undefined) reserved.delete(uid);
    }
    return [...reserved.values()].filter((r) => r.namespace === namespace);
  }

  function checkQuotas({ resource, namespace, object, dryRun }: AdmissionRequest): void {
    const all = quotasOf(namespace);
    if (all.length === 0) return;
    const made = object!;
    const pending = pendingIn(namespace);
    const isPod = resource.group === '' && resource.resource === 'pods';
    for (const quota of all) {
      const asked = usageOf(quota, resource, made);
      if (Object.keys(asked).length === 0) continue;
      const why = refusal(quota, usedBy(quota, pending), asked, isPod ? (made as unknown as Pod).spec : undefined);
      if (why !== undefined) throw forbidden(resource, made.metadata.name ?? '', why);
    }
    if (!dryRun)
      reserved.set(made.metadata.uid!, { resource, namespace, object: made, until: clock.now() + reservation });
  }

  const refresh = (namespace: string) => {
    for (const quota of quotasOf(namespace)) work.add(keyOfObject(quota));
  };
  quotas.onChange((current) => {
    if (current !== undefined) work.add(keyOfObject(current));
  });
  for (const collection of [cluster.pods, cluster.services, claims])
    collection.onChange((current: KubeObject | undefined, previous: KubeObject | undefined) => {
      if (quotas.size > 0) refresh((current ?? previous)!.metadata.namespace ?? '');
    });

  const isNew = ({ operation, subresource, resource }: AdmissionRequest, name: string) =>
    operation === 'CREATE' && subresource === '' && resource.group === '' && resource.resource === name;
  return [
    {
      name: 'LimitRanger',
      mutate(request) {
        if (!isNew(request, 'pods')) return;
        const own = rangesOf(request.namespace);
        const spec = request.object!['spec'] as {
          containers: Pod['spec']['containers'];
          initContainers?: Pod['spec']['containers'];
        };
        if (own.length === 0) return;
        spec.containers = spec.containers.map((c) => withDefaults(c, own));
        if (spec.initContainers !== undefined)
          spec.initContainers = spec.initContainers.map((c) => withDefaults(c, own));
      },
      validate(request) {
        const { resource, namespace, object } = request;
        const own = rangesOf(namespace);
        if (own.length === 0) return;
        const problems = isNew(request, 'pods')
          ? podProblems((object as unknown as Pod).spec, own)
          : isNew(request, 'persistentvolumeclaims')
            ? claimProblems((object!['spec'] as { resources?: Resources }).resources ?? {}, own)
            : [];
        const text = problems.length > 1 ? `[${problems.join(', ')}]` : problems[0];
        if (text !== undefined) throw forbidden(resource, object?.metadata.name ?? '', text);
      },
    },
    {
      name: 'ResourceQuota',
      validate(request) {
        if (request.operation === 'CREATE' && request.subresource === '' && request.namespace !== '')
          checkQuotas(request);
      },
    },
  ];
}
