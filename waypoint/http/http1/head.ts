/** The heads of HTTP/1 messages, strictly (RFC 9112, 9110): what two parsers could read differently is refused. */
import type { HeaderList } from '../message.ts';

export interface HeadLimits {
  /** Bytes of a head or of trailers, with all line ends. */
  readonly bytes: number;
  /** Header fields. */
  readonly count: number;
}

/** What a peer sent is no good; `status` is what a client is answered with. */
export class Malformed extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

export interface FieldLines {
  readonly headers: string[];
  /** Every Host, in order. */
  readonly hosts: readonly string[];
  readonly lengths: readonly string[];
  readonly encodings: readonly string[];
  /** Lower-case members of Connection. */
  readonly connection: readonly string[];
  readonly upgrade: string | undefined;
}

/** Control characters but for tab, and line ends that are not CR LF. */
const forbidden = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|(?:^|[^\r])\n/;
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Raw names that were seen and are tokens, in lower case. Clients choose names, so there is a bound. */
const names = new Map<string, string>();
const namesKept = 2_000;

/** Throws for bytes that no head may have, once for all of it; `text` ends with the last line's CR LF. */
export function checkCharacters(text: string): void {
  if (forbidden.test(text)) throw new Malformed(400, 'a control character or a bare CR or LF in the head');
}

export function lowerName(raw: string): string {
  const known = names.get(raw);
  if (known !== undefined) return known;
  if (!token.test(raw)) throw new Malformed(400, 'a header whose name is no token');
  const lower = raw.toLowerCase();
  if (names.size < namesKept && raw.length < 64) names.set(raw, lower);
  return lower;
}

export function isToken(text: string): boolean {
  return token.test(text);
}

/** Headers that belong to a connection; they are read here and never passed on. */
const ofConnection = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Reads the lines of `text` from `at`; each ends with CR LF. */
export function parseFields(text: string, start: number, limits: HeadLimits): FieldLines {
  const headers: string[] = [];
  let hosts: string[] = none;
  let lengths: string[] = none;
  let encodings: string[] = none;
  let connection: string[] = none;
  let upgrade: string | undefined;
  let count = 0;
  for (let at = start; at < text.length; ) {
    const end = text.indexOf('\r\n', at);
    const colon = text.indexOf(':', at);
    if (colon < 0 || colon > end) throw new Malformed(400, 'a header line without a colon');
    if (++count > limits.count) throw new Malformed(431, `more than ${limits.count} headers`);
    const name = lowerName(text.slice(at, colon));
    const value = trimmed(text, colon + 1, end);
    at = end + 2;
    switch (name) {
      case 'host':
        hosts = [...hosts, value];
        break;
      case 'content-length':
        lengths = [...lengths, value];
        headers.push(name, value);
        break;
      case 'transfer-encoding':
        encodings = [...encodings, value.toLowerCase()];
        break;
      case 'connection':
        connection = [...connection, ...membersOf(value, limits.count - connection.length)];
        break;
      case 'upgrade':
        upgrade = upgrade === undefined ? value.toLowerCase() : `${upgrade}, ${value.toLowerCase()}`;
        break;
      default:
        if (!ofConnection.has(name)) headers.push(name, value);
    }
  }
  return { headers: withoutNominated(headers, connection), hosts, lengths, encodings, connection, upgrade };
}

const none: string[] = [];

function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

/** Of Connection, in lower case; throws where there are more than `most`, empty ones included. */
function membersOf(value: string, most: number): string[] {
  const out: string[] = [];
  const text = value.toLowerCase();
  for (let at = 0, left = most; at <= text.length; left--) {
    if (left <= 0) throw new Malformed(400, 'Connection has more members than a head may have headers');
    const comma = text.indexOf(',', at);
    const end = comma < 0 ? text.length : comma;
    const member = text.slice(at, end).trim();
    if (member !== '') out.push(member);
    at = end + 1;
  }
  return out;
}

/** Connection may name what must not be hidden from who is behind: framing, host, and what policies are about. */
const notNominable = new Set(['host', 'content-length', 'te', 'forwarded', 'authorization', 'cookie', 'trailer']);

function withoutNominated(headers: string[], connection: readonly string[]): string[] {
  const out = connection.filter((c) => c !== 'close' && c !== 'keep-alive' && c !== 'upgrade' && c !== 'te');
  if (out.length === 0) return headers;
  for (const name of out) {
    if (notNominable.has(name) || name.startsWith('x-forwarded-') || name.startsWith('x-envoy-')) {
      throw new Malformed(400, `Connection nominates ${name}`);
    }
  }
  const left: string[] = [];
  for (let i = 0; i < headers.length; i += 2) if (!out.includes(headers[i]!)) left.push(headers[i]!, headers[i + 1]!);
  return left;
}

/** undefined: no Content-Length. Two of them are refused even where they agree. */
export function contentLength(lengths: readonly string[]): number | undefined {
  if (lengths.length === 0) return undefined;
  const [text] = lengths;
  if (lengths.length > 1 || !/^\d{1,15}$/.test(text!)) throw new Malformed(400, 'Content-Length is not one number');
  return Number(text);
}

/** Head of a message in one latin1 text. */
export function formatHead(first: string, headers: HeaderList, last: string): string {
  let out = first;
  for (let i = 0; i < headers.length; i += 2) out += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${out}${last}\r\n`;
}

/** How names of headers are written; `proper`: `X-Request-Id`. */
export type HeaderCase = 'lower' | 'proper';

/** What `formatHead` made, with names in this case. */
export function inCase(text: string, headerCase: HeaderCase): string {
  if (headerCase === 'lower') return text;
  const firstLine = text.indexOf('\r\n') + 2;
  const names = text.slice(firstLine).replace(/^[^:\r\n]+(?=:)/gm, proper);
  return text.slice(0, firstLine) + names;
}

function proper(name: string): string {
  return name.replace(/(^|[^a-z0-9])([a-z])/gi, (_, before: string, letter: string) => before + letter.toUpperCase());
}
