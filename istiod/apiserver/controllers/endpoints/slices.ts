/** Writes EndpointSlices until they say what they should. */
import { isSameJson } from '../../../../common/core/same-json.ts';
import { type EndpointSlice, endpointSliceKind } from '../../../../common/kube/kinds/discovery.ts';
import type { OwnerReference } from '../../objects.ts';
import { unlessGone, type Writer } from '../runtime/writer.ts';
import { pack } from './pack.ts';
import type { Group } from './pods.ts';

export const serviceLabel = 'kubernetes.io/service-name';
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';

export interface SliceOwner {
  readonly namespace: string;
  /** Of the Service. */
  readonly service: string;
  readonly ref: OwnerReference;
  readonly labels: Readonly<Record<string, string>>;
}

export async function writeSlices(
  writer: Writer,
  { namespace, service, ref, labels }: SliceOwner,
  existing: readonly EndpointSlice[],
  groups: readonly Group[],
): Promise<void> {
  const alive = existing.filter((s) => s.metadata.deletionTimestamp === undefined);
  const { create, update, remove } = pack(alive, groups);
  for (const { family, ports, endpoints } of create) {
    await writer.create(endpointSliceKind, {
      metadata: { generateName: `${service}-`, namespace, labels: { ...labels }, ownerReferences: [ref] },
      addressType: family,
      endpoints,
      ports,
    });
  }
  const changed = new Map(update.map((u) => [u.slice, u.endpoints]));
  const removed = new Set(remove);
  for (const slice of alive) {
    if (removed.has(slice)) continue;
    const endpoints = changed.get(slice) ?? slice.endpoints ?? [];
    if (!changed.has(slice) && isSameJson(slice.metadata.labels, labels)) continue;
    const { name, uid } = slice.metadata;
    await unlessGone(() =>
      writer.update(endpointSliceKind, { namespace, name, uid }, (object) => {
        object['endpoints'] = endpoints;
        object.metadata.labels = { ...labels };
        return 'changed';
      }),
    );
  }
  for (const { metadata } of remove) {
    await writer.delete(endpointSliceKind, { namespace, name: metadata.name, uid: metadata.uid });
  }
}
