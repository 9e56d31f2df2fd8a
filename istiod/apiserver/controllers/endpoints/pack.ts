/** Endpoints into EndpointSlices of at most a hundred, with as few changes to the slices that there are as can be. Pure. */
import { isSameJson } from '../../../../common/core/same-json.ts';
import type { EndpointSlice, EndpointSliceEndpoint } from '../../../../common/kube/kinds/discovery.ts';
import type { Group } from './pods.ts';

export const sliceLimit = 100;

export interface Packing {
  readonly create: readonly Group[];
  readonly update: readonly { readonly slice: EndpointSlice; readonly endpoints: readonly EndpointSliceEndpoint[] }[];
  readonly remove: readonly EndpointSlice[];
}

export function pack(existing: readonly EndpointSlice[], groups: readonly Group[]): Packing {
  const create: Group[] = [];
  const update: Packing['update'][number][] = [];
  const remove = new Set(existing);
  for (const group of groups) {
    const slices = existing.filter((s) => s.addressType === group.family && isSameJson(s.ports ?? [], group.ports));
    for (const s of slices) remove.delete(s);
    const missing = new Map(group.endpoints.map((e) => [idOf(e), e]));
    const filled = slices.map((slice) => {
      const endpoints = (slice.endpoints ?? []).flatMap((old) => {
        const id = idOf(old);
        const now = missing.get(id);
        missing.delete(id);
        return now ?? [];
      });
      return { slice, endpoints };
    });
    const rest = [...missing.values()];
    for (const { endpoints } of filled) endpoints.push(...rest.splice(0, sliceLimit - endpoints.length));
    // One that is empty stays where there is no other: it says that there are none.
    const empty = filled.filter((f) => f.endpoints.length === 0);
    const needed = empty.length === filled.length && rest.length === 0 ? empty[0] : undefined;
    for (const f of filled) {
      if (f.endpoints.length === 0 && f !== needed) remove.add(f.slice);
      else if (!isSameJson(f.endpoints, f.slice.endpoints ?? [])) update.push(f);
    }
    if (filled.length === 0 && rest.length === 0) create.push({ ...group, endpoints: [] });
    while (rest.length > 0) create.push({ ...group, endpoints: rest.splice(0, sliceLimit) });
  }
  return { create, update, remove: [...remove] };
}

function idOf({ addresses, targetRef }: EndpointSliceEndpoint): string {
  return `${targetRef?.uid ?? ''}/${addresses.join()}`;
}
