/** envoy.extensions.filters.{http,network}.set_filter_state.v3: values that go with the connection, also into the next listener. */
import type { Fields } from '../../common/envoy/fields.ts';
import { compileFormat, type Format, type FormatContext } from '../format/format.ts';
import { type FilterKind, type FilterState, goOn, type HttpFilter } from './filter.ts';

export interface StateRule {
  readonly key: string;
  readonly format: Format;
  /** Stands for values that are missing within it. */
  readonly missing: string;
  readonly shared: FilterState['shared'];
  readonly skipsEmpty: boolean;
}

export const setFilterStateFilter: FilterKind = {
  type: 'type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config',
  read(fields) {
    const rules = fields.readAll('on_request_headers', readStateRule);
    const filter: HttpFilter = {
      onRequest(_view, context) {
        for (const state of statesOf(rules, context.format)) context.setFilterState(state);
        return goOn;
      },
    };
    return filter;
  },
};

/** Reads an envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue. */
export function readStateRule(fields: Fields): StateRule {
  // The class that Envoy parses the value with; here a value stays its text. Nothing overwrites what another rule set.
  fields.harmless('factory_key', 'read_only');
  const key = fields.text('object_key');
  if (key === '') throw fields.refusal('object_key', 'is empty');
  return {
    key,
    ...fields.required('format_string', readFormatString),
    shared:
      fields.choice('shared_with_upstream', 'NONE', {
        NONE: 'none',
        ONCE: 'once',
        TRANSITIVE: 'transitive',
      } as const) ?? 'none',
    skipsEmpty: fields.flag('skip_if_empty'),
  };
}

export function statesOf(rules: readonly StateRule[], context: FormatContext): readonly FilterState[] {
  return rules.flatMap(({ key, format, missing, shared, skipsEmpty }) => {
    const value = format.render(context, missing);
    return value === '' && skipsEmpty ? [] : [{ key, value, shared }];
  });
}

/** Reads the text of an envoy.config.core.v3.SubstitutionFormatString. */
export function readFormatString(fields: Fields): { readonly format: Format; readonly missing: string } {
  if (fields.has('json_format')) throw fields.unsupported('json_format');
  const inline = fields.read('text_format_source', (f) => f.text('inline_string')) ?? fields.text('text_format');
  const missing = fields.flag('omit_empty_values') ? '' : '-';
  try {
    return { format: compileFormat(inline), missing };
  } catch (e) {
    throw fields.refusal('text_format_source', (e as Error).message);
  }
}
