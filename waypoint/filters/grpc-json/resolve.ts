/** What a request asks for, by its path and query. */
import type { RequestView } from '../../request/view.ts';
import type { Config } from './config.ts';
import { fieldsAt, type Way } from './methods.ts';
import type { FieldBinding } from './request-message.ts';
import { unescapeUrl } from './unescape.ts';

export type Resolved =
  | { readonly kind: 'found'; readonly way: Way; readonly bindings: readonly FieldBinding[] }
  | { readonly kind: 'no-method'; readonly path: string }
  | { readonly kind: 'no-field'; readonly name: string };

export function resolve(config: Config, view: RequestView): Resolved {
  const at = view.path.indexOf('?');
  const path = at < 0 ? view.path : view.path.slice(0, at);
  const match = config.ways?.find(view.method, path);
  if (!match) return { kind: 'no-method', path };
  const { target: way } = match;
  const query = at < 0 ? [] : queryOf(config, view.path.slice(at + 1));
  const bindings: FieldBinding[] = [];
  for (const { path: names, value } of [...match.bindings, ...query]) {
    const fields = fieldsAt(way.method.input, names);
    if (fields) bindings.push({ fields, value });
    else if (!config.ignoresUnknownParameters) return { kind: 'no-field', name: names.join('.') };
  }
  return { kind: 'found', way, bindings };
}

function queryOf({ ignoredParameters, plusIsSpace }: Config, query: string) {
  return query.split('&').flatMap((parameter) => {
    const at = parameter.indexOf('=');
    const name = parameter.slice(0, at);
    if (at <= 0 || ignoredParameters.has(name)) return [];
    return [{ path: name.split('.'), value: unescapeUrl(parameter.slice(at + 1), 'nothing', plusIsSpace) }];
  });
}
