/** config.core.v3.Metadata. */
import type { Fields } from '../../../common/envoy/fields.ts';
import type { Metadata } from '../types.ts';

const none: Metadata = {};

/** typed_filter_metadata is left out: nothing here reads it. */
export function readMetadata(owner: Fields, name: string): Metadata {
  const metadata = owner.message(name);
  if (!metadata) return none;
  metadata.harmless('typed_filter_metadata');
  const filters = metadata.message('filter_metadata');
  return filters ? filters.structs() : none;
}
