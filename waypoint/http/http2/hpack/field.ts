/** A header field as HPACK carries it, judged once: those in the dynamic table come again and again. */

/** What a name is to RFC 9113; `bad`: no field may have it, or its value is none. */
export type FieldRole =
  | 'other'
  | 'cookie'
  | 'host'
  | 'length'
  | 'te'
  | 'method'
  | 'path'
  | 'authority'
  | 'scheme'
  | 'status'
  | 'protocol'
  | 'bad';

export interface Field {
  readonly name: string;
  /** latin1. */
  readonly value: string;
  readonly role: FieldRole;
  /** As RFC 7541 4.1 counts it, of what was sent. */
  readonly size: number;
}

/** What RFC 7541 4.1 counts for each field besides its text. */
export const fieldOverhead = 32;

const roles: ReadonlyMap<string, FieldRole> = new Map([
  [':method', 'method'],
  [':path', 'path'],
  [':authority', 'authority'],
  [':scheme', 'scheme'],
  [':status', 'status'],
  [':protocol', 'protocol'],
  ['cookie', 'cookie'],
  ['host', 'host'],
  ['content-length', 'length'],
  ['te', 'te'],
  // Of a connection (RFC 9113 8.2.2).
  ['connection', 'bad'],
  ['keep-alive', 'bad'],
  ['proxy-connection', 'bad'],
  ['transfer-encoding', 'bad'],
  ['upgrade', 'bad'],
] as const);

/** A token without capitals. */
const fieldName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** Any but tab, printable ASCII and what is beyond ASCII. */
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;
const blankAtAnEnd = /^[\t ]|[\t ]$/;

/**
 * Blanks around a value are taken off, as a parser of HTTP/1.1 does and Envoy lets pass; RFC 9113 8.2.1 forbids to send them. Whoever comes
 * next reads the same value then.
 */
export function fieldOf(name: string, value: string): Field {
  const known = roles.get(name) ?? (fieldName.test(name) ? 'other' : 'bad');
  return {
    name,
    value: blankAtAnEnd.test(value) ? trimmed(value) : value,
    role: notInValue.test(value) ? 'bad' : known,
    size: name.length + value.length + fieldOverhead,
  };
}

function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}
