/** Paths made canonical, as HttpConnectionManager's options ask: probed against Envoy 1.40, byte by byte (test/envoy). */

/** Written as they are even where they came as %XX: RFC 3986's unreserved characters. */
const unreserved = /[A-Za-z0-9\-._~]/;
/** Never left bare. */
const mustEscape = /["<>^`{|}]/g;

/**
 * Dot segments resolved, `\` taken for `/`, unreserved characters unescaped, forbidden ones escaped. A segment `.` or `..` counts as
 * such with path parameters too (`..;x`). undefined: to be refused, for a NUL. `path` has no query.
 */
export function normalizePath(path: string): string | undefined {
  const withoutParameters = path.includes(';') ? path.replace(/(^|\/)(\.\.?);[^/]*/g, '$1$2') : path;
  if (/%00/.test(withoutParameters)) return undefined;
  const plain = withoutParameters.includes('\\') ? withoutParameters.replaceAll('\\', '/') : withoutParameters;
  const escaped = plain.replace(mustEscape, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return resolveDots(escaped.includes('%') ? unescapeUnreserved(escaped) : escaped);
}

/**
 * A `%` that begins no escape stays; where what follows it would become one by unescaping, it is escaped itself, so that nobody
 * who decodes the result again finds more in it than was there.
 */
function unescapeUnreserved(path: string): string {
  let out = '';
  let barePercent = -1;
  for (let i = 0; i < path.length; ) {
    const hex = path[i] === '%' ? /^[0-9A-Fa-f]{2}/.exec(path.slice(i + 1, i + 3))?.[0] : undefined;
    if (hex === undefined) {
      if (path[i] === '%') barePercent = out.length;
      out += path[i];
      i++;
      continue;
    }
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    const isPlain = unreserved.test(char);
    out += isPlain ? char : `%${hex}`;
    i += 3;
    if (!isPlain || barePercent < 0) continue;
    const after = out.slice(barePercent + 1);
    const pair = after.length === 1 ? after + (path[i] ?? '') : after;
    if (/^[0-9A-Fa-f]{2}$/.test(pair)) out = `${out.slice(0, barePercent)}%25${after}`;
  }
  return out;
}

function resolveDots(path: string): string {
  if (!path.includes('/.')) return path;
  const segments = path.split('/');
  const out: string[] = [];
  for (const [i, segment] of segments.entries()) {
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
  return path.replace(/%(2[Ff]|5[Cc])/g, (_, code: string) => (code.startsWith('2') ? '/' : '\\'));
}

/** Without query and fragment. */
export function withoutQuery(path: string): string {
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}
