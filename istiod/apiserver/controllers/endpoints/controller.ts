/** EndpointSlices and Endpoints of Services with selectors, from their pods. */
import { isSameJson } from '../../../../common/core/same-json.ts';
import type { Pod, Service } from '../../../../common/kube/kinds/core.ts';
import { endpointSliceKind } from '../../../../common/kube/kinds/discovery.ts';
import { endpointsKind } from '../../../../common/kube/schema/cluster.ts';
import { controllerRef } from '../replicas/claim.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { keyOf, keyOfObject, splitKey } from '../runtime/collection.ts';
import { isCode, isTerminatingNamespace, unlessGone } from '../runtime/writer.ts';
import { groupsOf, hasEndpoints, isSelected } from './pods.ts';
import { managedByLabel, serviceLabel, writeSlices } from './slices.ts';
import { type Endpoints, mirrored, subsetsOf } from './subsets.ts';

const manager = 'endpointslice-controller.k8s.io';
const mirror = 'endpointslicemirroring-controller.k8s.io';
const skipMirror = 'endpointslice.kubernetes.io/skip-mirror';
const overCapacity = 'endpoints.kubernetes.io/over-capacity';
/** On Endpoints that this controller made. */
const ownLabel = 'endpoints.kubernetes.io/managed-by';
const headlessLabel = 'service.kubernetes.io/headless';
/** Changes of many pods that come together are taken together, ms. */
const settle = 20;

export function endpointsController(cluster: Cluster): void {
  const { writer, queue } = cluster.desk('endpointslice-controller');
  const slices = cluster.collection(endpointSliceKind);
  const endpoints = cluster.collection<Endpoints>(endpointsKind as never);
  const slicesOf = slices.index((s) => {
    const service = s.metadata.labels?.[serviceLabel];
    return service === undefined ? [] : [keyOf(s.metadata.namespace ?? '', service)];
  });
  const servicesOf = cluster.services.index((s) => (hasEndpoints(s) ? [s.metadata.namespace ?? ''] : []));
  const madeBy = (key: string, by: string) => slicesOf(key).filter((s) => s.metadata.labels?.[managedByLabel] === by);

  /** Services that were deleted: Endpoints that never had one are somebody's own. */
  const ended = new Set<string>();

  const work = queue(
    async (key) => {
      const { namespace, name } = splitKey(key);
      const service = cluster.services.get(namespace, name);
      if (service === undefined) {
        // The slices have it as their owner; Endpoints have none.
        if (ended.has(key)) await writer.delete(endpointsKind, { namespace, name });
        ended.delete(key);
        return;
      }
      if (service.metadata.deletionTimestamp !== undefined) return;
      try {
        if (hasEndpoints(service)) {
          const pods = cluster.podsOfNamespace(namespace).filter((p) => isSelected(service, p));
          await writeSlices(
            writer,
            ownerOf(service, manager),
            madeBy(key, manager),
            groupsOf(service, pods, (n) => cluster.nodes.get('', n)),
          );
          await writeSlices(writer, ownerOf(service, mirror), madeBy(key, mirror), []);
          await writeEndpoints(service, pods);
        } else {
          // Those of others stay: who left the selector out writes them.
          const theirs = endpoints.get(namespace, name);
          const wanted = theirs !== undefined && isMirrored(theirs) && service.spec.type !== 'ExternalName';
          await writeSlices(writer, ownerOf(service, mirror), madeBy(key, mirror), wanted ? mirrored(theirs) : []);
        }
      } catch (e) {
        if (!isTerminatingNamespace(e)) throw e;
      }
    },
    { rest: 4 },
  );

  async function writeEndpoints(service: Service, pods: readonly Pod[]): Promise<void> {
    const { namespace = '', name } = service.metadata;
    const { subsets, truncated } = subsetsOf(service, pods);
    const labels = { ...service.metadata.labels, [ownLabel]: 'endpoint-controller', ...headless(service) };
    const annotations = truncated ? { [overCapacity]: 'truncated' } : undefined;
    const present = endpoints.get(namespace, name);
    if (present === undefined) {
      const metadata = { name, namespace, labels, ...(annotations === undefined ? {} : { annotations }) };
      try {
        await writer.create(endpointsKind, { metadata, subsets });
      } catch (e) {
        // Somebody was quicker, and it comes as a change.
        if (!isCode(e, 409)) throw e;
      }
      return;
    }
    const same =
      isSameJson(present.subsets ?? [], JSON.parse(JSON.stringify(subsets))) &&
      isSameJson(present.metadata.labels, labels) &&
      (present.metadata.annotations?.[overCapacity] !== undefined) === truncated;
    if (same) return;
    await unlessGone(() =>
      writer.update(endpointsKind, { namespace, name }, (object) => {
        object['subsets'] = subsets;
        object.metadata.labels = labels;
        const { [overCapacity]: _old, ...others } = object.metadata.annotations ?? {};
        object.metadata.annotations = { ...others, ...annotations };
        return 'changed';
      }),
    );
  }

  cluster.services.onChange((current, previous) => {
    const key = keyOfObject((current ?? previous)!);
    if (current === undefined) ended.add(key);
    else ended.delete(key);
    work.add(key);
  });
  cluster.pods.onChange((current, previous) => {
    const { namespace = '' } = (current ?? previous)!.metadata;
    if (current !== undefined && previous !== undefined && isSameJson(shown(current), shown(previous))) return;
    for (const service of servicesOf(namespace)) {
      if ([current, previous].some((p) => p !== undefined && isSelected(service, p)))
        work.addAfter(keyOfObject(service), settle);
    }
  });
  slices.onChange((current, previous) => {
    const { namespace = '', labels } = (current ?? previous)!.metadata;
    const service = labels?.[serviceLabel];
    const by = labels?.[managedByLabel];
    if (service !== undefined && (by === manager || by === mirror)) work.addAfter(keyOf(namespace, service), settle);
  });
  endpoints.onChange((current, previous) => work.addAfter(keyOfObject((current ?? previous)!), settle));
}

function ownerOf(service: Service, by: string) {
  const { namespace = '', name, labels } = service.metadata;
  return {
    namespace,
    service: name,
    ref: controllerRef(service),
    labels: { ...labels, [serviceLabel]: name, [managedByLabel]: by, ...headless(service) },
  };
}

function headless({ spec }: Service): Readonly<Record<string, string>> {
  return spec.clusterIP === 'None' ? { [headlessLabel]: '' } : {};
}

function isMirrored({ metadata }: Endpoints): boolean {
  if (metadata.labels?.[skipMirror] === 'true' || metadata.labels?.[ownLabel] !== undefined) return false;
  // A lock that leaders elect themselves by is no endpoint.
  return metadata.annotations?.['control-plane.alpha.kubernetes.io/leader'] === undefined;
}

/** What endpoints show of a pod. */
function shown({ metadata, spec, status }: Pod): unknown {
  const ready = status?.conditions?.find((c) => c.type === 'Ready')?.status;
  const { labels, deletionTimestamp } = metadata;
  return [
    labels,
    deletionTimestamp,
    spec.nodeName,
    spec.hostname,
    spec.subdomain,
    status?.podIPs,
    status?.phase,
    ready,
  ];
}
