/** `typed_per_filter_config`: what a level of a route says to one filter. */
import type { Fields } from '../../common/envoy/fields.ts';
import type { PerFilter } from './types.ts';

/** How the message of a filter's configuration for a route is read, by its type URL. */
export type PerFilterTypes = ReadonlyMap<string, (fields: Fields) => unknown>;

/** Reads the field of one level. */
export type PerFilterReader = (level: Fields) => ReadonlyMap<string, PerFilter>;

const wrapper = 'type.googleapis.com/envoy.config.route.v3.FilterConfig';

export function perFilterReader(types: PerFilterTypes): PerFilterReader {
  const readOne = (fields: Fields, isOptional = false): PerFilter | undefined => {
    if (fields.type === wrapper) {
      const optional = fields.flag('is_optional');
      if (fields.flag('disabled')) {
        fields.message('config')?.skip();
        return { kind: 'disabled' };
      }
      // An empty one enables the filter as it is configured.
      return fields.required('config', (f) => (isEmpty(f) ? { kind: 'enabled' } : readOne(f, optional)));
    }
    const read = types.get(fields.type);
    if (read) return { kind: 'config', config: read(fields) };
    if (!isOptional) throw fields.unsupported(`[${fields.type}]`);
    fields.skip();
    return undefined;
  };
  return (level) => {
    const found = new Map<string, PerFilter>();
    for (const [name, fields] of level.map('typed_per_filter_config')) {
      const one = readOne(fields);
      if (one) found.set(name, one);
    }
    return found;
  };
}

function isEmpty(fields: Fields): boolean {
  return fields.type === '' && fields.bytes('value').length === 0;
}
