/** Paths made canonical, as HttpConnectionManager's options ask: probed against Envoy 1.40, byte by byte (test/envoy). */

const percent = 37;
/** RFC 3986's unreserved characters: written as they are even where they came as %XX. By byte. */
const unreserved = table('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~');
/** Never left bare. */
const mustEscape = table('"<>^`{|}');
const touched = /["%<>^`{|}]/;

function table(characters: string): Uint8Array {
  const out = new Uint8Array(256);
  for (const byte of Buffer.from(characters, 'latin1')) out[byte] = 1;
  return out;
}

/**
 * Dot segments resolved, `\` taken for `/`, unreserved characters unescaped, forbidden ones escaped. A segment `.` or `..` counts as
 * such with path parameters too (`..;x`). undefined: to be refused, for a NUL. `path` has no query.
 */
export function normalizePath(path: string): string | undefined {
  const withoutParameters = path.includes(';') ? path.replace(/(^|\/)(\.\.?);[^/]*/g, '$1$2') : path;
  if (/%00/.test(withoutParameters)) return undefined;
  const plain = withoutParameters.includes('\\') ? withoutParameters.replaceAll('\\', '/') : withoutParameters;
  return resolveDots(touched.test(plain) ? unescapeUnreserved(escapeForbidden(plain)).toString('latin1') : plain);
}

function escapeForbidden(path: string): Buffer {
  const out = Buffer.allocUnsafe(3 * path.length);
  let length = 0;
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (mustEscape[code] === 1) {
      out[length++] = percent;
      out[length++] = digit(code >> 4);
      out[length++] = digit(code & 15);
    } else out[length++] = code;
  }
  return out.subarray(0, length);
}

/**
 * A `%` that begins no escape stays; where what follows it would become one by unescaping, it is escaped itself, so that nobody
 * who decodes the result again finds more in it than was there. In place: nothing gets longer by it.
 */
function unescapeUnreserved(path: Buffer): Buffer {
  let length = 0;
  let barePercent = -1;
  for (let i = 0; i < path.length; ) {
    const byte = path[i]!;
    const code = byte === percent ? pair(path[i + 1], path[i + 2]) : -1;
    if (code < 0) {
      if (byte === percent) barePercent = length;
      path[length++] = byte;
      i++;
      continue;
    }
    if (unreserved[code] === 0) {
      for (const next = i + 3; i < next; ) path[length++] = path[i++]!;
      continue;
    }
    path[length++] = code;
    i += 3;
    if (barePercent < 0) continue;
    const first = path[barePercent + 1]!;
    const after = length - barePercent - 1;
    if (after > 2 || pair(first, after === 1 ? path[i] : code) < 0) continue;
    path[length - after] = 50;
    path[length - after + 1] = 53;
    path[length - after + 2] = first;
    if (after === 2) path[length + 1] = code;
    length += 2;
  }
  return path.subarray(0, length);
}

/** What two hexadecimal digits stand for; -1: they are none. */
function pair(high: number | undefined, low: number | undefined): number {
  const first = hex(high);
  const second = hex(low);
  return first < 0 || second < 0 ? -1 : first * 16 + second;
}

function hex(code: number | undefined): number {
  if (code === undefined) return -1;
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

function digit(value: number): number {
  return value < 10 ? 48 + value : 55 + value;
}

function resolveDots(path: string): string {
  if (!path.includes('/.')) return path;
  const segments = path.split('/');
  const out: string[] = [];
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!;
    const isLast = i === segments.length - 1;
    if (segment === '..') {
      // The empty segment before the first slash stays.
      if (out.length > 1) out.pop();
    } else if (segment !== '.') {
      out.push(segment);
      continue;
    }
    if (isLast) out.push('');
  }
  return out.join('/');
}

/** `//` to `/`; where there is nothing but slashes, two of them stay, as in Envoy. `path` has no query. */
export function mergeSlashes(path: string): string {
  if (/^\/{2,}$/.test(path)) return '//';
  return path.replace(/\/{2,}/g, '/');
}

/** `%2F` and `%5C`, in any case, to what they stand for. `path` has no query. */
export function unescapeSlashes(path: string): string {
  return path.replace(/%2[Ff]/g, '/').replace(/%5[Cc]/g, '\\');
}

/** Without query and fragment. */
export function withoutQuery(path: string): string {
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}
