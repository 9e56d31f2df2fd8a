/** What journal-writer.ts writes. */
import type { ApiObject } from '../../istiod/apiserver/objects.ts';
import type { StoreKey } from '../../istiod/apiserver/storage/types.ts';

/** Writers at once, so that batches hold more than one. */
export const together = 3;

/** Long enough that a thousand pages, after which SQLite moves them to their place, come soon. */
const padding = 'x'.repeat(9000);

export function objectOf(number: number): { readonly key: StoreKey; readonly object: ApiObject } {
  const name = `o${number}`;
  return {
    key: { resource: 'configmaps.core', namespace: 'ns', name },
    object: {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'ns' },
      data: { number: String(number), padding },
    },
  };
}
