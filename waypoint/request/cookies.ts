/** Cookies of requests, and those that answers set, as Envoy reads and writes them. */
import type { Headers } from './headers.ts';

export interface CookieAttributes {
  /** Seconds; 0: as long as the client runs. */
  readonly maxAge: number;
  /** Empty: of the request's path. */
  readonly path: string;
  readonly attributes: readonly { readonly name: string; readonly value: string }[];
}

/** undefined: no such cookie, or an empty one, which counts as none. */
export function cookieOf(headers: Headers, name: string): string | undefined {
  for (const header of headers.getAll('cookie')) {
    for (const pair of header.split(';')) {
      const equals = pair.indexOf('=');
      if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
      const value = pair.slice(equals + 1).trim();
      const plain = /^".*"$/.test(value) ? value.slice(1, -1) : value;
      return plain === '' ? undefined : plain;
    }
  }
  return undefined;
}

/** Of `set-cookie`. */
export function setCookie(name: string, value: string, { maxAge, path, attributes }: CookieAttributes): string {
  const age = maxAge === 0 ? '' : `; Max-Age=${maxAge}`;
  const where = path === '' ? '' : `; Path=${path}`;
  const more = attributes.map((a) => (a.value === '' ? `; ${a.name}` : `; ${a.name}=${a.value}`)).join('');
  return `${name}="${value}"${age}${where}${more}; HttpOnly`;
}
