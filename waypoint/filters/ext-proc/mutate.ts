/** What a service changes in headers and bodies, within the rules. */
import type { Headers } from '../../request/headers.ts';
import type { RequestView, ResponseView } from '../../request/view.ts';
import { type MutationRules, mayMutate } from './mutation-rules.ts';

export interface HeaderMutation {
  readonly set: readonly HeaderSetting[];
  readonly remove: readonly string[];
}

export interface HeaderSetting {
  /** As it came. */
  readonly name: string;
  /** latin1. */
  readonly value: string;
  /** Behind those of its name; else in their place. */
  readonly appends: boolean;
}

export type BodyMutation =
  | { readonly kind: 'none' }
  | { readonly kind: 'replace'; readonly body: Buffer }
  | { readonly kind: 'clear' };

/** What is changed: headers, and what stands in the first line. */
export interface Target {
  readonly headers: Headers;
  /** Of a name with a colon, or `host`; undefined: there is no such thing in this message. */
  get(name: string): string | undefined;
  /** False: that is no value of it. */
  set(name: string, value: string): boolean;
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** No NUL, CR or LF (RFC 9110 5.5), nor other control characters but a tab. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unfit = /[\x00-\x08\x0a-\x1f\x7f]/;
/** Nothing that ends a word of the request line. */
const word = /^[\x21-\x7e\x80-\xff]+$/;
/** Fields and bytes of a message's headers, as they may become. */
const mostFields = 1_000;
const mostBytes = 262_144;

/**
 * Returns what of it cannot be, after which nothing counts any more; undefined: all is well. `rejected` is called for each change
 * that is not made. `replaces`: the whole message is replaced, with its method if asked for.
 */
export function applyMutation(
  { set, remove }: HeaderMutation,
  target: Target,
  rules: MutationRules,
  rejected: () => void,
  replaces = false,
): string | undefined {
  const fail = (why: string) => {
    rejected();
    return why;
  };
  if (set.length + remove.length > mostFields) return fail('too many header mutations');
  for (const given of remove) {
    if (!isName(given)) return fail('Invalid character in remove_headers mutation.');
    const name = given.toLowerCase();
    if (mayMutate(rules, name, 'remove')) target.headers.remove(name);
    else {
      rejected();
      if (rules.isError) return `Invalid attempt to remove ${name}`;
    }
  }
  for (const { name: given, value, appends } of set) {
    if (!isName(given) || unfit.test(value)) return fail('Invalid character in set_headers mutation.');
    const name = given.toLowerCase();
    const may = (replaces && name === ':method') || mayMutate(rules, name, 'set');
    if (!may) {
      rejected();
      if (rules.isError) return `Invalid attempt to modify ${name}`;
      continue;
    }
    if (isSpecial(name)) {
      if (!target.set(name, value)) return fail(`Invalid value of ${name}`);
    } else if (appends) target.headers.append(name, value);
    else target.headers.set(name, value);
  }
  let bytes = 0;
  for (const [name, value] of target.headers) bytes += name.length + value.length;
  return target.headers.size > mostFields || bytes > mostBytes ? fail('the headers became too large') : undefined;
}

function isName(name: string): boolean {
  return token.test(name.startsWith(':') ? name.slice(1) : name);
}

function isSpecial(name: string): boolean {
  return name.startsWith(':') || name === 'host';
}

export function requestTarget(view: RequestView): Target {
  return {
    headers: view.headers,
    get: (name) => requestParts(view)[name],
    set(name, value) {
      if (!word.test(value)) return false;
      switch (name) {
        case ':method':
          if (!token.test(value)) return false;
          view.method = value;
          return true;
        case ':path':
          view.path = value;
          return true;
        case ':scheme':
          if (value !== 'http' && value !== 'https') return false;
          view.scheme = value;
          return true;
        case ':authority':
        case 'host':
          view.authority = value;
          return true;
        default:
          return false;
      }
    },
  };
}

export function requestParts(view: RequestView): Readonly<Record<string, string | undefined>> {
  return {
    ':authority': view.authority || undefined,
    ':path': view.path || undefined,
    ':method': view.method,
    ':scheme': view.scheme,
  };
}

export function responseTarget(response: ResponseView): Target {
  return {
    headers: response.headers,
    get: (name) => (name === ':status' ? String(response.status) : undefined),
    set(name, value) {
      if (name !== ':status' || !/^[2-9]\d\d$/.test(value)) return false;
      response.status = Number(value);
      return true;
    },
  };
}

/** Trailers have nothing but fields. */
export function trailersTarget(trailers: Headers): Target {
  return { headers: trailers, get: () => undefined, set: () => false };
}

export function applyToBody(mutation: BodyMutation, body: readonly Buffer[]): readonly Buffer[] {
  switch (mutation.kind) {
    case 'none':
      return body;
    case 'replace':
      return mutation.body.length === 0 ? [] : [mutation.body];
    case 'clear':
      return [];
  }
}
