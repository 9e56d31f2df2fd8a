/** Changes of headers: from maps (Istio) and from lists (Gateway API). */
import type { HeaderChanges, HeaderValueOption } from './envoy.ts';

interface MapChanges {
  readonly set?: Readonly<Record<string, string>>;
  readonly add?: Readonly<Record<string, string>>;
  readonly remove?: readonly string[];
}
interface ListChanges {
  readonly set?: readonly Named[];
  readonly add?: readonly Named[];
  readonly remove?: readonly string[];
}
interface Named {
  readonly name: string;
  readonly value: string;
}

export interface Changes {
  readonly changes: HeaderChanges;
  /** That the request is to have; undefined: as it came. Envoy changes it in another way than headers. */
  readonly host: string | undefined;
}

/** Values may have Envoy's `%COMMAND%`s. */
export function istioHeaders(
  given: { readonly request?: MapChanges; readonly response?: MapChanges } | undefined,
): Changes {
  const lists = ({ set = {}, add = {}, remove = [] }: MapChanges = {}): Required<ListChanges> => ({
    set: named(set),
    add: named(add),
    remove,
  });
  return changesOf(lists(given?.request), lists(given?.response), (value) => value);
}

/** Values are meant as they are written, so what Envoy would take for the beginning of a command is doubled. */
export function gatewayHeaders(request: ListChanges | undefined, response: ListChanges | undefined): Changes {
  return changesOf(once(request), once(response), (value) => value.replaceAll('%', '%%'));
}

/** Those of `b` after those of `a`. */
export function joinChanges(a: HeaderChanges, b: HeaderChanges): HeaderChanges {
  const joined: Record<string, readonly unknown[]> = {};
  for (const changes of [a, b]) {
    for (const [field, list] of Object.entries(changes) as [keyof HeaderChanges, readonly unknown[]][])
      joined[field] = [...(joined[field] ?? []), ...list];
  }
  return joined as HeaderChanges;
}

function named(values: Readonly<Record<string, string>>): readonly Named[] {
  return Object.entries(values)
    .map(([name, value]) => ({ name, value }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Of a name that is there twice, whatever its case, the first one counts. */
function once({ set = [], add = [], remove = [] }: ListChanges = {}): Required<ListChanges> {
  const first = (list: readonly Named[]) =>
    list.filter(({ name }, i) => list.findIndex((o) => o.name.toLowerCase() === name.toLowerCase()) === i);
  return { set: first(set), add: first(add), remove };
}

function changesOf(
  request: Required<ListChanges>,
  response: Required<ListChanges>,
  text: (value: string) => string,
): Changes {
  const options = ({ set, add }: Required<ListChanges>) => [
    ...set.filter(isPlain).map((h) => option(h, text, 'OVERWRITE_IF_EXISTS_OR_ADD')),
    ...add.filter(isPlain).map((h) => option(h, text, 'APPEND_IF_EXISTS_OR_ADD')),
  ];
  const changes = {
    request_headers_to_add: options(request),
    request_headers_to_remove: request.remove.filter((name) => isPlain({ name })),
    response_headers_to_add: options(response),
    response_headers_to_remove: response.remove.filter((name) => isPlain({ name })),
  };
  const host = [...request.set, ...request.add].find(({ name }) => isHost(name))?.value;
  return { changes: Object.fromEntries(Object.entries(changes).filter(([, list]) => list.length > 0)), host };
}

function option(
  { name, value }: Named,
  text: (value: string) => string,
  append_action: HeaderValueOption['append_action'],
): HeaderValueOption {
  return { header: { key: name, value: text(value) }, append_action };
}

/** Envoy refuses to change pseudo-headers and the host as headers. */
function isPlain({ name }: { readonly name: string }): boolean {
  return !name.startsWith(':') && !isHost(name);
}

function isHost(name: string): boolean {
  return /^(host|:authority)$/i.test(name);
}
