/** envoy.extensions.filters.http.header_mutation.v3. */
import type { Fields } from '../../common/envoy/fields.ts';
import type { FormatContext } from '../format/format.ts';
import { applyHeaderOps, type HeaderOps, readAddition } from '../format/header-ops.ts';
import type { Headers } from '../request/headers.ts';
import { type FilterContext, type FilterKind, goOn, type HttpFilter } from './filter.ts';

/** Each alone and in order: one sees what the one before it did. */
interface Mutations {
  readonly request: readonly HeaderOps[];
  readonly response: readonly HeaderOps[];
}

const none: Mutations = { request: [], response: [] };

export const headerMutationFilter: FilterKind = {
  type: 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
  read(fields) {
    const own = fields.read('mutations', readMutations) ?? none;
    const mostSpecificWins = fields.flag('most_specific_header_mutations_wins');
    const all = (context: FilterContext): readonly Mutations[] => {
      const levels = context.perRoute.flatMap((level) => (level.kind === 'config' ? [level.config as Mutations] : []));
      return [own, ...(mostSpecificWins ? levels.reverse() : levels)];
    };
    const filter: HttpFilter = {
      onRequest(view, context) {
        for (const { request } of all(context)) apply(request, view.headers, context.format);
        return goOn;
      },
      onResponse(_view, response, context) {
        for (const mutations of all(context)) apply(mutations.response, response.headers, context.format);
      },
    };
    return filter;
  },
  perRoute: {
    type: 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute',
    read: (fields) => fields.read('mutations', readMutations) ?? none,
  },
};

function readMutations(fields: Fields): Mutations {
  return {
    request: fields.readAll('request_mutations', readMutation),
    response: fields.readAll('response_mutations', readMutation),
  };
}

function readMutation(fields: Fields): HeaderOps {
  if (fields.which('remove', 'append') === 'append') {
    return { add: [fields.required('append', readAddition)], remove: [] };
  }
  const name = fields.text('remove').toLowerCase();
  if (name === '' || name.startsWith(':') || name === 'host') {
    throw fields.refusal('remove', `${JSON.stringify(name)} may not be removed`);
  }
  return { add: [], remove: [name] };
}

function apply(mutations: readonly HeaderOps[], headers: Headers, context: FormatContext): void {
  for (const ops of mutations) applyHeaderOps(ops, headers, context);
}
