/** What an authorization service says of a request, whichever protocol it speaks. */
import type { Headers } from '../../request/headers.ts';

export type Outcome =
  | {
      readonly kind: 'ok';
      readonly request: readonly HeaderEdit[];
      /** Lower-case names. */
      readonly remove: readonly string[];
      readonly query: QueryEdits;
      /** For the answer to the client. */
      readonly response: readonly HeaderEdit[];
      readonly metadata: Metadata | undefined;
    }
  | {
      readonly kind: 'denied';
      readonly status: number;
      readonly headers: readonly HeaderEdit[];
      readonly body: string;
      readonly metadata: Metadata | undefined;
    }
  /** Nobody said anything that counts. */
  | { readonly kind: 'error'; readonly why: string };

export type Metadata = Readonly<Record<string, unknown>>;

export interface QueryEdits {
  readonly set: readonly (readonly [key: string, value: string])[];
  readonly remove: readonly string[];
}

export interface HeaderEdit {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
  /** `append-if-exists`: behind a comma of a header that is there, else nothing. */
  readonly action: 'set' | 'add' | 'append-if-exists' | 'add-if-absent' | 'set-if-exists';
}

/** In Envoy's order, whatever the order in which they came: what is set, then what is added to. */
export function applyEdits(edits: readonly HeaderEdit[], headers: Headers): void {
  for (const { name, value, action } of edits) if (action === 'set') headers.set(name, value);
  for (const { name, value, action } of edits) {
    switch (action) {
      case 'set':
        break;
      case 'add':
        headers.append(name, value);
        break;
      case 'append-if-exists': {
        const before = headers.get(name);
        if (before !== undefined) headers.set(name, before === '' ? value : `${before},${value}`);
        break;
      }
      case 'add-if-absent':
        if (!headers.has(name)) headers.append(name, value);
        break;
      case 'set-if-exists':
        if (headers.has(name)) headers.set(name, value);
        break;
    }
  }
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** No NUL, CR or LF (RFC 9110 5.5), nor other control characters but a tab. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unfit = /[\x00-\x08\x0a-\x1f\x7f]/;

/** What of an answer is no header, or no part of a request's first line; undefined: all is well. */
export function unfitPart(outcome: Exclude<Outcome, { kind: 'error' }>): string | undefined {
  const edits = outcome.kind === 'ok' ? [...outcome.request, ...outcome.response] : outcome.headers;
  const header = edits.find(({ name, value }) => {
    if (pseudo.has(name)) return !firstLine.test(value);
    return !token.test(name) || unfit.test(value);
  });
  if (header) return `header ${JSON.stringify(header.name.slice(0, 100))}`;
  const query = outcome.kind === 'ok' ? outcome.query.set : [];
  return query.some((pair) => !pair.every((text) => firstLine.test(text))) ? 'a query parameter' : undefined;
}

/** Nothing that ends a word of the request line. */
const firstLine = /^[\x21-\x7e\x80-\xff]*$/;

/** What a service may change of a request though they are no headers here. */
const pseudo: ReadonlySet<string> = new Set([':path', ':method', ':authority', ':scheme']);

/** As Envoy: parameters come out sorted by their keys where anything is changed. */
export function editQuery(path: string, { set, remove }: QueryEdits): string {
  if (set.length === 0 && remove.length === 0) return path;
  const at = path.indexOf('?');
  const base = at < 0 ? path : path.slice(0, at);
  const parameters = new Map<string, string[]>();
  const query = at < 0 ? '' : path.slice(at + 1);
  for (const part of query.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const [key, value] = equals < 0 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)];
    parameters.set(key, [...(parameters.get(key) ?? []), value]);
  }
  for (const [key, value] of set) parameters.set(key, [value]);
  for (const key of remove) parameters.delete(key);
  const sorted = [...parameters].sort(([a], [b]) => (a < b ? -1 : 1));
  const text = sorted.flatMap(([key, values]) => values.map((value) => `${key}=${value}`)).join('&');
  return text === '' ? base : `${base}?${text}`;
}
